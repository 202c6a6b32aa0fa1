"""Names of encoders: those of the installed segmentation-models-pytorch and timm, and no others.

A name may come from a checkpoint that somebody else made. timm also takes names such as "hf-hub:OWNER/NAME" and
"local-dir:PATH", which ask the network or read other files. Such names are refused here.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

import segmentation_models_pytorch as smp
import timm

from redweb_builder.errors import SettingsError

TIMM = "tu-"  # prefix of timm's names in segmentation-models-pytorch
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
EXAMPLES = ("resnet50", "tu-convnext_tiny", "tu-tf_efficientnet_lite0", "tu-vit_small_patch14_dinov2")


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
