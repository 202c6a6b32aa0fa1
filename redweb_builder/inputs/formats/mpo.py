"""MPO: several JPEG pictures in one file (CIPA DC-007, Multi-Picture Format, 2009)."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageFile

from redweb_builder.errors import InputError
from redweb_builder.inputs.content.agreement import AGREEMENT, agreement
from redweb_builder.inputs.content.refuse import is_drawing
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.inputs.picture import Embedded, open_picture, orientation_of, read_picture
from redweb_builder.types import Picture

_ENTRIES = 0xB002
_UNSTATED = ("Undefined", "Baseline MP Primary Image")
_JPEG = b"\xff\xd8\xff"
_MP_HEADER = b"MPF\0"
# What photographs of high dynamic range say in their gain map: Ultra HDR (Adobe), ISO 21496-1, Apple.
_GAIN_MAP = (b"://ns.adobe.com/hdr-gain-map/", b"urn:iso:std:iso:ts:21496:", b"://ns.apple.com/HDRGainMap/")
# How far from its stated place a frame may begin, in bytes.
_STRAY = 16


def mpo_layout(image: ImageFile.ImageFile) -> Layout | NotPair | None:
    """Whether an opened picture is a stereo MPO; None when it is not, so that its first frame is looked at alone.

    image: from open_picture. Two frames of type "Disparity" and of equal size are a pair, left first (DC-007 numbers
    viewpoints from the left). The first two of two or three frames of no stated type, as Pillow and some cameras write
    them, are taken for one when they are equal in size and their contents agree (guessed). Phones put previews, bursts
    and gain maps into MPO files: no pair. Gain maps may have the size of their photograph and agree with it. Raises
    InputError "corrupt" when the second frame cannot be opened.
    """
    places = _eye_frames(image)
    if places is None:
        return None
    first, second = (_open_frame(image, place) for place in places)
    turns = _turns(image, second)
    with open_picture(first, min_side=1) as first_picture, open_picture(second, min_side=1) as second_picture:
        sizes = [
            picture.size[::-1] if turn >= 5 else picture.size
            for picture, turn in zip((first_picture, second_picture), turns, strict=True)
        ]
        is_gain_map = _is_gain_map(first_picture, second_picture)
    stated = "Disparity" in _frame_types(image)[places[0]]
    if sizes[0] != sizes[1] or (is_gain_map and not stated):
        return None
    shrink = 8 if min(sizes[0]) >= 1024 else 1
    first.seek(0)
    left = read_picture(first, shrink=shrink, min_side=1, orientation=turns[0])
    if is_drawing(left):
        return NotPair("not-a-photograph", "MPO of a few flat colours: a drawing")
    if stated:
        return Layout("mpo", "MPO, disparity frames")
    second.seek(0)
    score = agreement(left, read_picture(second, shrink=shrink, min_side=1, orientation=turns[1]))
    if score < AGREEMENT:
        return None
    return Layout("mpo", f"MPO, two frames of no stated type that agree ({score:.2f})", guessed=True)


def read_mpo(path: Path, shrink: int = 1) -> tuple[Picture, Picture]:
    """The first and second eye of an MPO file, each HxWx3 uint8 RGB.

    path: of the file. shrink: as in read_picture. The rotation of the first frame holds for both where the second
    states none. Raises InputError as read_picture, and "not-a-pair" when the file holds no two eyes.
    """
    with open_picture(path) as image:
        places = _eye_frames(image)
        if places is None:
            raise InputError("not-a-pair", f"{path}: holds no two frames for two eyes")
        first, second = (_open_frame(image, place) for place in places)
        turns = _turns(image, second)
    return (
        read_picture(first, shrink=shrink, orientation=turns[0]),
        read_picture(second, shrink=shrink, orientation=turns[1]),
    )


def _turns(image: ImageFile.ImageFile, second: Embedded) -> tuple[int, int]:
    """The EXIF orientations that the two frames are read with: the first one's for both where the second states none.

    image: the file, from open_picture. second: its second frame, at its beginning, where it is left.
    """
    first = orientation_of(image)
    with open_picture(second, min_side=1) as frame:
        own = orientation_of(frame)
    second.seek(0)
    return first, own if own != 1 else first


def _is_gain_map(first: Image.Image, second: Image.Image) -> bool:
    """Whether the second of two opened frames says how bright the first one is, or has no colours beside it."""
    said = b"".join(content for _, content in getattr(second, "applist", []))
    return any(words in said for words in _GAIN_MAP) or (first.mode, second.mode) == ("RGB", "L")


def _frame_types(image: Image.Image) -> list[str]:
    """The MP types of the frames; none for a file that is no MPO."""
    info = getattr(image, "mpinfo", None) or {}
    return [str(entry["Attribute"]["MPType"]) for entry in info.get(_ENTRIES, [])]


def _eye_frames(image: Image.Image) -> tuple[int, int] | None:
    """The numbers of the two frames for the two eyes, left first, by their types."""
    types = _frame_types(image)
    disparity = [place for place, kind in enumerate(types) if "Disparity" in kind]
    if len(disparity) >= 2:
        return disparity[0], disparity[1]
    return (0, 1) if len(types) in (2, 3) and all(kind in _UNSTATED for kind in types) else None


def _open_frame(image: ImageFile.ImageFile, place: int) -> Embedded:
    """The bytes from the beginning of a frame on; a JPEG decoder stops at its end by itself.

    The place that the MP entry states counts; where no JPEG begins there, the sizes of the frames before it.
    """
    name = str(image.filename)
    file = image.fp
    if file is None:
        raise ValueError(f"{name}: closed before its frames were read")
    file.seek(0)
    content = file.read()
    entries = getattr(image, "mpinfo")[_ENTRIES]  # noqa: B009
    stated = content.find(_MP_HEADER) + len(_MP_HEADER) + int(entries[place]["DataOffset"])
    summed = sum(int(entry["Size"]) for entry in entries[:place])
    for offset in (stated, summed) if place else (0,):
        start = content.find(_JPEG, max(0, offset - _STRAY), offset + _STRAY)
        if start >= 0:
            return Embedded(content[start:], f"{name} (frame {place + 1})")
    raise InputError("corrupt", f"{name}: there is no frame {place + 1} where the file says; copy it again")
