"""ImageNet's start for the coarse convolutions of Eigen et al. 2014, from torchvision's AlexNet.

The paper starts from Krizhevsky's network (96, 256, 384, 384, 256 filters). torchvision's is the single-tower variant
with 64, 192, 384, 256, 256. All five layers can be taken as a part: its filters become the first of each layer here,
and get no input from the filters that it does not have. So the first 64, 192, 384, 256 and 256 channels are exactly
AlexNet's (which pads its first convolution by 2, and the paper's does not); the other filters stay random and may look
at everything. The full layers have no counterpart; a file with `full6` and `full7` of the right size fills them too.
"""

from __future__ import annotations

from pathlib import Path

import torch

from redweb_builder.weights import Weights, WeightsUnavailable, find_weights
from trainer.models.eigen import Coarse
from trainer.models.encoder_weights import state_of

LAYERS = ("features.0", "features.3", "features.6", "features.8", "features.10")  # torchvision's names


def imagenet_start(coarse: Coarse, wanted: str = "auto") -> tuple[bool, str]:
    """Fill the convolutions where AlexNet's weights can be had. Returns whether they were, and a sentence for people.

    wanted: "auto" = torch.hub's cache or hub, else random with a warning; "none" = random; otherwise the path of
    torchvision's file. Raises WeightsUnavailable where a path is given that cannot be used.
    """
    if wanted == "none":
        return False, "coarse convolutions: random weights, as asked"
    try:
        found = alexnet_file(wanted)
    except WeightsUnavailable as error:
        if wanted != "auto":
            raise
        return False, (
            f"WARNING: the coarse convolutions start from RANDOM weights ({error}), where the paper starts from "
            "ImageNet: expect worse. They learn at the full layers' rate instead of a hundredth of it. Give "
            "torchvision's AlexNet with --encoder-weights FILE."
        )
    taken = _take(coarse, found.path)
    return True, f"coarse convolutions: {found.path.name} ({found.origin}): {taken}; the rest is random"


def alexnet_file(wanted: str = "auto") -> Weights:
    """torchvision's AlexNet: the file at a path, or "auto" = of torch.hub's cache or hub. Raises WeightsUnavailable."""
    import torchvision

    url = torchvision.models.get_model_weights("alexnet")["IMAGENET1K_V1"].url
    return find_weights(Path(wanted) if wanted != "auto" else None, url)


@torch.no_grad()
def _take(coarse: Coarse, path: Path) -> str:
    state, told, before = state_of(path), [], 3
    for layer, name in zip(coarse.convolutions(), LAYERS, strict=True):
        if not {f"{name}.weight", f"{name}.bias"} <= state.keys():
            raise WeightsUnavailable(f"{path} is not torchvision's AlexNet: it has no {name}")
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        filters = len(weight)
        if weight.shape[1:] != (before, *layer.kernel_size) or filters > layer.out_channels:
            raise WeightsUnavailable(f"{path} is not torchvision's AlexNet: {name} is {tuple(weight.shape)}")
        layer.weight[:filters] = 0
        layer.weight[:filters, :before] = weight
        assert layer.bias is not None
        layer.bias[:filters] = bias
        told.append(f"{filters} of {layer.out_channels}")
        before = filters
    for name in (
        "full6",
        "full7",
    ):  # AlexNet's full layers have no place here; benchmarks.eigen_start has ones that fit
        if f"{name}.weight" in state:
            getattr(coarse, name).load_state_dict({key: state[f"{name}.{key}"] for key in ("weight", "bias")})
            told.append(name)
    return "filters " + ", ".join(told)
