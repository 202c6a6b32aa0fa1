"""Encoders by name: those of the installed segmentation-models-pytorch and timm, and no others.

A name may come from a checkpoint that somebody else made. timm also takes names such as "hf-hub:OWNER/NAME" and
"local-dir:PATH", which ask the network or read other files. Such names are refused here.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

import segmentation_models_pytorch as smp
import timm

from redweb_builder.errors import SettingsError
from redweb_builder.monocular.transformer import TransformerEncoder

TIMM = "tu-"  # prefix of timm's names in segmentation-models-pytorch
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
TRANSFORMERS = tuple(f"timm.models.{name}" for name in ("vision_transformer", "deit", "eva"))
STRIDES = "1/4, 1/8, 1/16 and 1/32"
EXAMPLES = ("resnet50", "tu-convnext_tiny", "tu-tf_efficientnet_lite0", "tu-vit_small_patch14_dinov2")


def build_encoder(name: str) -> Any:
    """The encoder of a name with random weights; nothing is fetched.

    name: of segmentation-models-pytorch, or "tu-NAME" of timm. Returns a module with `out_channels`, Bx3xHxW -> feature
    maps: of segmentation-models-pytorch, or a `TransformerEncoder`. Raises SettingsError where the libraries have no
    such name (similar names are listed), or where the network has no feature maps at STRIDES and is no plain ViT.
    """
    check_name(name)
    try:
        return _of_libraries(name, pretrained=False)
    except Exception as error:  # each network of the libraries raises types of its own
        raise SettingsError(
            f"encoder {name!r}: the decoder needs feature maps at {STRIDES} of the picture, and this network does not "
            f"give them ({error}). Take {', '.join(similar_names(name.split('_')[0], EXAMPLES))}"
        ) from error


def pretrained_encoder(name: str) -> Any:
    """The encoder of a name with the weights that its library fetches, from Hugging Face's cache or hub.

    name: see `build_encoder`. Raises whatever the library raises where they cannot be had.
    """
    check_name(name)
    return _of_libraries(name, pretrained=True)


def _of_libraries(name: str, pretrained: bool) -> Any:
    if name.startswith(TIMM) and _is_transformer(name.removeprefix(TIMM)):
        return TransformerEncoder(name.removeprefix(TIMM), pretrained)
    weights: Any = (True if name.startswith(TIMM) else "imagenet") if pretrained else None
    return smp.encoders.get_encoder(name, weights=weights)


def _is_transformer(name: str) -> bool:
    """Whether timm's module of a network is one of those with plain vision transformers."""
    return timm.model_entrypoint(name).__module__ in TRANSFORMERS


def check_name(name: str) -> None:
    """Raise SettingsError where the installed libraries have no encoder of this name; similar names are listed."""
    if PLAIN_NAME.fullmatch(name) and (name in smp.encoders.encoders or _is_timm(name)):
        return
    raise SettingsError(
        f"encoder {name[:100]!r}: segmentation-models-pytorch and timm have none of this name; "
        f"did you mean {', '.join(similar_names(name[:100], EXAMPLES))}?"
    )


def similar_names(name: str, otherwise: tuple[str, ...]) -> list[str]:
    """Up to three encoder names that resemble a name; `otherwise` where none does."""
    every = [*smp.encoders.encoders, *(TIMM + other for other in timm.list_models())]
    exact = [TIMM + name] if TIMM + name in every else []
    return exact or get_close_matches(name, every, 3, 0.7) or list(otherwise)


def _is_timm(name: str) -> bool:
    return name.startswith(TIMM) and timm.is_model(name.removeprefix(TIMM))
