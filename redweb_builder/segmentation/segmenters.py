"""Photograph -> probabilities of sky and of far field (mountains, hills, water, skyline)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model

from redweb_builder.errors import SettingsError, WeightsUnavailable
from redweb_builder.files import parse_json, read_regular, sha256_of
from redweb_builder.networks.device import autocast, one_torch_thread
from redweb_builder.networks.encoder_input import IMAGENET_MEAN, IMAGENET_STD, fit_to_stride
from redweb_builder.networks.exported import last_line
from redweb_builder.networks.folding import fold_batch_norms
from redweb_builder.networks.weights import HUB_TIMEOUT_S, Weights, shipped_weights
from redweb_builder.segmentation import SHIPPED
from redweb_builder.segmentation.guided_filter import guided_filter
from redweb_builder.segmentation.sky_network import SKY_BIAS, SkyNetwork, input_size, region_probabilities
from redweb_builder.types import FloatMap, Picture, Regions

# ConvNeXt UPerNet on ADE20K, converted from OpenMMLab's (MIT); smp's SegFormer encoders carry a non-commercial licence.
DEFAULT_HUB_MODEL = "smp-hub/upernet-convnext-tiny"
ADE20K_CLASSES = 150
ADE20K_SKY = [2]
ADE20K_FAR = [16, 21, 26, 48, 60, 68, 128]  # mountain, water, sea, skyscraper, river, hill, lake
MOST_CONFIG_BYTES = 65_536  # of config.json
GUIDE_VARIANCE = 1e-4  # of colours in [0, 1]; less is noise, of which the guided filter makes no edge
SMP_SIDE = 512  # px, longer side of the input of SmpSegmenter's network


class Segmenter(Protocol):
    """Takes a picture of any size and returns its Regions, at its size, on however many cores the same."""

    @property
    def name(self) -> str:
        """Name in the manifest."""
        ...

    @property
    def weights(self) -> Weights | None:
        """The weight file; None for a segmenter without weights."""
        ...

    def __call__(self, picture: Picture) -> Regions:
        """Regions of a HxWx3 uint8 RGB picture; edges follow the picture."""
        ...


def load_segmenter(choice: str, weights: Path | None, device: torch.device) -> tuple[Segmenter, str]:
    """Load a segmenter; return it and a sentence for people about how it was chosen.

    choice: "auto", "builtin", "none" or a Hugging Face id. "auto" is DEFAULT_HUB_MODEL if it can be had (path, cache,
    hub), else the built-in network. weights: folder or file of the named network, in place of the hub. device: where a
    network runs. Raises WeightsUnavailable for an explicit choice that cannot be had and for a damaged installation,
    SettingsError for weights with a choice that takes none.
    """
    if choice in ("none", "builtin") and weights is not None:
        raise SettingsError(
            f"segmenter {choice} takes no weights: leave out {weights}, or name the network it belongs to"
        )
    if choice == "none":
        return NoRegions(), "no segmentation: sky and far field stay as the flow left them"
    if choice == "builtin":
        return BuiltinSegmenter(device), "built-in segmentation network (comes with the program)"
    model = DEFAULT_HUB_MODEL if choice == "auto" else choice
    try:
        network = SmpSegmenter(model, weights, device)
        return network, f"{network.name} (from {network.weights.path.parent})"
    except WeightsUnavailable as problem:
        if choice != "auto" or weights is not None:
            raise
        return BuiltinSegmenter(device), f"built-in segmentation network (default: no other could be had; {problem})"


class NoRegions:
    """No sky and no far field anywhere."""

    name = "none"
    weights: Weights | None = None

    def __call__(self, picture: Picture) -> Regions:
        """All-zero Regions. picture: its size counts only."""
        return Regions(*np.zeros((2, *picture.shape[:2]), np.float32))


class BuiltinSegmenter:
    """The small network that comes with the program (sky_network.py; docs/segmenter.md is its model card)."""

    name = "builtin"

    def __init__(self, device: torch.device, file: Path = SHIPPED, sky_bias: float = SKY_BIAS) -> None:
        """Load the network.

        device: where it runs. file: weights as `train-segmenter` writes them, with their checksum beside them.
        sky_bias: added to the logit of sky. Raises WeightsUnavailable for weights that are damaged or of another
        version.
        """
        self.weights: Weights | None = shipped_weights(file)
        self.device, self.sky_bias = device, sky_bias
        network = SkyNetwork()
        try:
            network.load_state_dict(load_file(file))
        except (RuntimeError, SafetensorError) as error:
            raise WeightsUnavailable(f"{file} is not of this version's network: {error}") from error
        fold_batch_norms(network.eval())
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, picture: Picture) -> Regions:
        """See Segmenter. picture: HxWx3 uint8 RGB."""
        size = input_size(*picture.shape[:2])
        small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        with one_torch_thread():
            tensor = torch.from_numpy(small[None]).to(self.device).permute(0, 3, 1, 2)  # a view in channels_last
            with autocast(self.device):
                logits = self.network(tensor.float() / 255).float()
            logits[:, 0] += self.sky_bias
            sky, far = region_probabilities(logits)[0].cpu().numpy()
            return guided_upsample(picture, sky, far)


class SmpSegmenter:
    """A segmentation-models-pytorch network with the 150 ADE20K classes, saved by its `save_pretrained`."""

    def __init__(self, model: str, weights: Path | None, device: torch.device) -> None:
        """Load the network.

        model: Hugging Face id. weights: folder with config.json and model.safetensors, or that file; None = the hub's
        cache, then the hub. device: where it runs. Raises WeightsUnavailable where the files cannot be had or hold no
        network of the ADE20K classes.
        """
        folder, origin = _model_folder(model, weights)
        file = folder / "model.safetensors"
        self.name = model if weights is None else folder.name
        self.weights: Weights = Weights(file, origin, sha256_of(file))
        self.device = device
        try:
            self.network = _smp_network(folder).eval().to(device)
            classes = self._probabilities(np.zeros((1, 64, 64, 3), np.uint8)).shape[1]
        except Exception as error:  # whatever a wrong or damaged file makes the loader raise
            raise WeightsUnavailable(
                f"{folder} cannot be loaded as a segmentation network: {last_line(error)}"
            ) from error
        if classes != ADE20K_CLASSES:
            raise WeightsUnavailable(f"{folder} is not an ADE20K network: it must have {ADE20K_CLASSES} classes")

    @torch.inference_mode()
    def __call__(self, picture: Picture) -> Regions:
        """See Segmenter. picture: HxWx3 uint8 RGB. Raises FloatingPointError where a value is not finite."""
        height, width = picture.shape[:2]
        scale = SMP_SIDE / max(height, width)
        size = fit_to_stride(height, width, scale)[::-1]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        with one_torch_thread():
            probabilities = self._probabilities(small[None])[0]
            sky, far = (probabilities[classes].sum(0).cpu().numpy() for classes in (ADE20K_SKY, ADE20K_FAR))
            return guided_upsample(picture, sky, far)

    @torch.inference_mode()
    def _probabilities(self, pictures: Picture) -> torch.Tensor:
        """BxHxWx3 uint8 -> Bx150xHxW float32, summing to 1 over the classes."""
        tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self.device).float() / 255
        mean, std = (tensor.new_tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
        tensor = (tensor - mean) / std
        with autocast(self.device):
            logits = self.network(tensor)
        if not torch.isfinite(logits).all():
            raise FloatingPointError(f"{self.name} gave values that are not finite: are these its weights?")
        return F.softmax(logits.float(), 1)


def _smp_network(folder: Path) -> Any:
    """The network that `save_pretrained` stored, on the CPU; raises what a wrong or damaged file makes it raise.

    The library's own loader would ask the network for an encoder of the name "tu-hf-hub:OWNER/NAME".
    """
    import segmentation_models_pytorch as smp

    from redweb_builder.networks.encoder_names import check_name

    config = parse_json(read_regular(folder / "config.json", MOST_CONFIG_BYTES))
    settings = {name: value for name, value in config.items() if not name.startswith("_")}
    check_name(str(settings["encoder_name"]))
    network: Any = smp.create_model(str(config["_model_class"]), **settings | {"encoder_weights": None})
    load_model(network, folder / "model.safetensors")
    return network


def _model_folder(model: str, weights: Path | None) -> tuple[Path, str]:
    """The folder that holds config.json and model.safetensors, and its origin: "path", "cache" or "hub"."""
    if weights is not None:
        folder = weights.parent if weights.is_file() else weights
        missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
        if missing:
            raise WeightsUnavailable(f"{folder} lacks {' and '.join(missing)} of a saved segmentation network")
        return folder, "path"
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "model.safetensors"]
    for origin, offline in (("cache", True), ("hub", False)):
        try:
            cached = Path(
                snapshot_download(model, allow_patterns=wanted, local_files_only=offline, etag_timeout=HUB_TIMEOUT_S)
            )
        except Exception as error:  # the hub client raises a dozen unrelated types for "cannot be had"
            problem = error
            continue
        if all((cached / name).is_file() for name in wanted):
            return cached, origin
        problem = FileNotFoundError(f"{model} has no {' or '.join(wanted)}")
    reason = (str(problem).splitlines() or [type(problem).__name__])[0].partition(". ")[0]
    raise WeightsUnavailable(f"{model} is not in the hub's cache and the hub gave none: {reason}")


def guided_upsample(picture: Picture, sky: FloatMap, far: FloatMap) -> Regions:
    """Small probability maps -> Regions at the picture's size, with edges on those of the picture.

    picture: HxWx3 uint8 RGB, the guide. sky, far: hxw float32 in [0, 1]. Where both maps are zero everywhere they stay
    so.
    """
    if not (sky.any() or far.any()):
        return NoRegions()(picture)
    radius = max(4, round(max(picture.shape) / 64))
    sky, far = (soft.clip(0, 1) for soft in guided_filter(picture, (sky, far), radius, GUIDE_VARIANCE))
    return Regions(sky, np.minimum(far, 1 - sky))
