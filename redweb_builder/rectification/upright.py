"""Whether one of two eyes is upside down or mirrored: asked only where their preview has few matches."""

from __future__ import annotations

from redweb_builder.inputs.content.turned import how_turned
from redweb_builder.matching.dis import consistent_share
from redweb_builder.matching.quick_flow import Preview
from redweb_builder.types import PairSource

FEW_MATCHES = 0.4  # of the preview's pixels consistent both ways; below, an eye may be upside down or mirrored


def turned_eye(source: PairSource, preview: Preview) -> str:
    """A sentence on how one of two eyes is turned; empty where none is, or both are in one file and so turned alike.

    source: of the pair. preview: of it.
    """
    if source.layout != "files" or consistent_share(preview.flow) >= FEW_MATCHES:
        return ""
    turned = how_turned(preview.left, preview.right)
    return f"{source.left.name}: one of the two eyes {turned}; turn the wrong one" if turned else ""
