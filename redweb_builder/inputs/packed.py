"""Both eyes in one plain picture: side by side or one over the other, told by the name or by the content.

Name tags are those of StereoPhoto Maker, of stereo players and of YouTube and Kodi (-lr, -rl, _sbs, -hsbs, _hou, ...).
"""

from __future__ import annotations

import re

import numpy as np

from redweb_builder.inputs.agreement import AGREEMENT, COLOUR_SHIFT, agreement, colour_shift
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.types import Picture

# Photographs have more levels than this; label maps, which repeat and so look like two views, have fewer.
MIN_LEVELS = 32

_SBS, _OU = "side-by-side", "over-under"
# Words of the name in their order -> layout, right eye first (None: not stated).
_TAGS: tuple[tuple[str, str, bool | None], ...] = (
    ("left right", _SBS, False),
    ("right left", _SBS, True),
    ("side by side", _SBS, None),
    ("sidebyside", _SBS, None),
    ("sbs", _SBS, None),
    ("fsbs", _SBS, None),
    ("over under", _OU, None),
    ("overunder", _OU, None),
    ("top bottom", _OU, None),
    ("topbottom", _OU, None),
    ("bottom top", _OU, True),
    ("under over", _OU, True),
)
_HALF_TAGS = (
    ("hsbs", _SBS, None),
    ("hou", _OU, None),
    ("htab", _OU, None),
    ("lrq", _SBS, False),
    ("rlq", _SBS, True),
    ("abq", _OU, False),
    ("baq", _OU, True),
)
# Short words that mean something only at the end of a name.
_LAST_TAGS = (
    ("lr", _SBS, False),
    ("rl", _SBS, True),
    ("ab", _OU, False),
    ("ba", _OU, True),
    ("tb", _OU, False),
    ("bt", _OU, True),
    ("ou", _OU, None),
    ("tab", _OU, None),
)
_CROSSED = ("cross", "crossed", "crosseye", "crosseyed", "crossview", "xeyed")
# Whole frames in which broadcast 3D squeezes both eyes (HDMI 1.4a, frame-compatible structures).
_BROADCAST = ((1280, 720), (1920, 1080), (3840, 2160))


def name_words(stem: str) -> list[str]:
    """The words of a file name without extension, lower case, split at everything but letters and digits."""
    return [word for word in re.split(r"[\W_]+", stem.lower()) if word]


def named_layout(stem: str) -> Layout | NotPair | None:
    """The layout that a file name states; None when it states none. Nothing is opened.

    stem: the name without extension. Where the tag does not tell the order, "cross" and "parallel" do;
    else the left eye is taken to come first, or to lie on top (guessed).
    """
    words = name_words(stem)
    if any(word.startswith("anaglyph") for word in words):
        return NotPair("anaglyph", "named an anaglyph: the colours of the eyes are lost")
    for tag, layout, right_first, half in _all_tags():
        place = _place(words, tag.split(), last=(tag, layout, right_first) in _LAST_TAGS)
        if place is None:
            continue
        order = right_first if right_first is not None else _named_order(words)
        squeezed = half or _beside(words, place, len(tag.split()), ("half", "h"))
        return Layout(f"{layout}-half" if squeezed else layout, f"name tag '{tag}'", bool(order), order is None)
    return None


def seen_layout(picture: Picture, size: tuple[int, int], stem: str) -> Layout | NotPair:
    """The layout that the content shows: halves that agree hold two views of one scene.

    picture: HxWx3 uint8 RGB, may be reduced. size: (width, height) of the file. stem: its name without extension,
    for the words "cross" and "parallel". Always guessed; the score is part of the rule.
    """
    if np.count_nonzero(np.bincount(picture[:, :, 1].ravel(), minlength=256)) < MIN_LEVELS:
        return NotPair("not-a-photograph", f"fewer than {MIN_LEVELS} levels of brightness: a mask, map or drawing")
    scores = {layout: agreement(*split(picture, layout)) for layout in (_SBS, _OU)}
    layout = max(scores, key=lambda name: scores[name])
    score = scores[layout]
    if score >= AGREEMENT:
        order = _named_order(name_words(stem))
        half = _looks_squeezed(layout, size, stem)
        words = "content, halves agree" if order is None else "content, halves agree, order from the name"
        return Layout(f"{layout}-half" if half else layout, f"{words} ({score:.2f})", bool(order), guessed=True)
    shifted = colour_shift(picture)
    if shifted >= COLOUR_SHIFT:
        return NotPair("anaglyph", f"red lies beside green and blue in {shifted:.0%} of it: an anaglyph")
    return NotPair(
        "single",
        f"a single photograph: its halves do not agree (side by side {scores[_SBS]:.2f}, "
        f"over-under {scores[_OU]:.2f}, {AGREEMENT} needed)",
    )


def round_view(stem: str, size: tuple[int, int], layout: str, xmp: bytes) -> NotPair | None:
    """Says no to 360- and 180-degree pictures, which no flat pair can be cut from; None for the rest.

    Told by the panorama description in the XMP block (Google Photo Sphere XMP, GPano), or by a name with 360, 180
    or vr together with eyes of exactly 2 : 1 or 1 : 1. size: (width, height) of the file.
    """
    width = size[0] // 2 if layout == _SBS else size[0]
    height = size[1] // 2 if layout == _OU else size[1]
    named = any(word in ("360", "180", "vr", "vr180", "vr360") for word in name_words(stem))
    if b"GPano:" in xmp or (named and width in (height, 2 * height)):
        return NotPair(
            "panorama", "a 360- or 180-degree picture (equirectangular): flat views must be cut from it first"
        )
    return None


def split(picture: Picture, layout: str) -> tuple[Picture, Picture]:
    """The first and the second half, as views: left and right, or top and bottom.

    The middle column or row of an odd picture is dropped. Raises ValueError for a layout that is not split.
    """
    if layout.startswith(_SBS):
        half = picture.shape[1] // 2
        return picture[:, :half], picture[:, -half:]
    if layout.startswith(_OU):
        half = picture.shape[0] // 2
        return picture[:half], picture[-half:]
    raise ValueError(f"layout {layout!r} does not hold two halves")


def _all_tags() -> list[tuple[str, str, bool | None, bool]]:
    whole = [(*tag, False) for tag in (*_TAGS, *_LAST_TAGS)]
    return [(*tag, True) for tag in _HALF_TAGS] + whole


def _place(words: list[str], tag: list[str], last: bool) -> int | None:
    starts = [len(words) - len(tag)] if last else range(len(words) - len(tag) + 1)
    # A name that is nothing but the tag ("ab.jpg") says nothing when the tag is a short one.
    return next((start for start in starts if start >= int(last) and words[start : start + len(tag)] == tag), None)


def _beside(words: list[str], place: int, length: int, wanted: tuple[str, ...]) -> bool:
    return any(word in wanted for word in (*words[max(0, place - 1) : place], *words[place + length :][:1]))


def _named_order(words: list[str]) -> bool | None:
    """True: right eye first, False: left eye first, None: the name does not say."""
    crossed = any(word in _CROSSED for word in words)
    parallel = "parallel" in words
    return None if crossed == parallel else crossed


def _looks_squeezed(layout: str, size: tuple[int, int], stem: str) -> bool:
    """Half width or height cannot be seen in the content: a name or a telling shape of the whole picture."""
    if any(word in ("squeezed", "anamorphic") for word in name_words(stem)):
        return True
    # Over-under of full height is upright or square; each eye of a lying one would be wider than 2 : 1.
    return size in _BROADCAST or (layout == _OU and size[0] >= 1.2 * size[1])
