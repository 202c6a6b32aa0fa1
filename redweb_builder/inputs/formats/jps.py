"""JPS and PNS: a JPEG or PNG file with both eyes side by side.

Stereoscopic descriptor of JPS (J. Siragusa, D. Swift et al., "General Purpose Stereoscopic Data Descriptor", VRex,
1997): a JPEG APP3 segment of "_JPSJPS_", a 16-bit block length, then four bytes, all big-endian:
separation, flags (1 half height, 2 half width, 4 left eye first), layout (1 interlaced, 2 side by side,
3 over-under, 4 anaglyph), media type (0 one view, 1 two views).
"""

from __future__ import annotations

from pathlib import PurePath

from PIL import Image

from redweb_builder.inputs.formats.packed import named_order
from redweb_builder.inputs.layout import Layout, NotPair

EXTENSIONS = (".jps", ".pns")
_MARKER = b"_JPSJPS_"
_HALF_HEIGHT, _HALF_WIDTH, _LEFT_FIRST = 1, 2, 4
_INTERLACED, _SIDE_BY_SIDE, _OVER_UNDER, _ANAGLYPH = 1, 2, 3, 4


def jps_layout(image: Image.Image, file: PurePath) -> Layout | NotPair | None:
    """The layout that a JPS descriptor states, in a file of any extension; None without descriptor and extension.

    image: from open_picture. file: its path. A .jps or .pns file without descriptor is taken for side by side with the
    right eye first (cross-eyed), the convention of these files (guessed), unless its name says "parallel".
    """
    for name, content in getattr(image, "applist", []):
        if name == "APP3" and content.startswith(_MARKER) and len(content) >= len(_MARKER) + 6:
            return _stated(content[len(_MARKER) + 2 :])
    if file.suffix.lower() in EXTENSIONS:
        kind = file.suffix.lower().lstrip(".").upper()
        parallel = named_order(file.stem) is False
        rule = f"{kind} without descriptor: {'parallel by its name' if parallel else 'cross-eyed'}"
        return Layout("side-by-side", rule, right_first=not parallel, guessed=True, order_stated=True)
    return None


def _stated(descriptor: bytes) -> Layout | NotPair:
    _, flags, layout, media = descriptor[:4]
    if media == 0:
        return NotPair("single", "JPS descriptor states a single view")
    if layout == _ANAGLYPH:
        return NotPair("anaglyph", "JPS descriptor states an anaglyph: the colours of the eyes are lost")
    if layout == _INTERLACED:
        return Layout("row-interleaved", "JPS descriptor", not flags & _LEFT_FIRST)
    right_first = not flags & _LEFT_FIRST
    if layout == _SIDE_BY_SIDE:
        half = "-half" if flags & _HALF_WIDTH else ""
        return Layout(f"side-by-side{half}", "JPS descriptor", right_first)
    if layout == _OVER_UNDER:
        half = "-half" if flags & _HALF_HEIGHT else ""
        return Layout(f"over-under{half}", "JPS descriptor", right_first)
    return NotPair("unsupported", f"JPS descriptor states the unknown layout {layout}")
