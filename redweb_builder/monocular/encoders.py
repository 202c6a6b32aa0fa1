"""The encoders of depth networks, by the names of segmentation-models-pytorch and timm.

Both are imported where an encoder of theirs is asked for: the built-in network has none.
"""

from __future__ import annotations

from typing import Any

from redweb_builder.errors import SettingsError
from redweb_builder.networks import lite0

TRANSFORMERS = tuple(f"timm.models.{name}" for name in ("vision_transformer", "deit", "eva"))
STRIDES = "1/4, 1/8, 1/16 and 1/32"


def build_encoder(name: str) -> Any:
    """The encoder of a name with random weights; nothing is fetched.

    name: of segmentation-models-pytorch, or "tu-NAME" of timm. Returns a module with `out_channels`, Bx3xHxW -> feature
    maps: of segmentation-models-pytorch, or a `TransformerEncoder`. Raises SettingsError where the libraries have no
    such name (similar names are listed), or where the network has no feature maps at STRIDES and is no plain ViT.
    """
    if name == lite0.NAME:
        return lite0.Lite0()
    from redweb_builder.networks.encoder_names import EXAMPLES, check_name, similar_names

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
    from redweb_builder.networks.encoder_names import check_name

    check_name(name)
    return _of_libraries(name, pretrained=True)


def _of_libraries(name: str, pretrained: bool) -> Any:
    import segmentation_models_pytorch as smp

    from redweb_builder.monocular.transformer import TransformerEncoder
    from redweb_builder.networks.encoder_names import TIMM

    if name.startswith(TIMM) and _is_transformer(name.removeprefix(TIMM)):
        return TransformerEncoder(name.removeprefix(TIMM), pretrained)
    weights: Any = (True if name.startswith(TIMM) else "imagenet") if pretrained else None
    return smp.encoders.get_encoder(name, weights=weights)


def _is_transformer(name: str) -> bool:
    """Whether timm's module of a network is one of those with plain vision transformers."""
    import timm

    return timm.model_entrypoint(name).__module__ in TRANSFORMERS
