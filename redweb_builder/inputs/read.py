"""A PairSource -> a StereoPair: opened, split, unsqueezed, put in order, brought to one size."""

from __future__ import annotations

from hashlib import sha256

import cv2
import numpy as np

from redweb_builder.inputs.mpo import read_mpo
from redweb_builder.inputs.packed import split
from redweb_builder.inputs.picture import MIN_SIDE, read_header, read_picture
from redweb_builder.types import LAYOUTS, InputError, PairSource, Picture, StereoPair

CROP_SHARE = 0.10
ASPECT_SHARE = 0.02

Size = tuple[int, int]


def read_pair(source: PairSource, max_side: int) -> StereoPair:
    """Read the two eyes of a pair, left and right in order and equal in size.

    max_side: px; larger eyes are reduced by one factor for both, by area averaging, until the longer side fits.
    Half-width and half-height eyes are stretched to their full shape. Eyes whose sides differ by up to 10 % are
    cropped to the middle, eyes of one shape (2 %) but different scale are reduced to the smaller one.
    `source_size` is the size of one eye before any reduction, halves unstretched.
    Raises InputError: as read_picture, "too-small" for an eye under 64 px, "size-mismatch", "not-a-pair";
    ValueError for an unknown layout or a max_side under 64.
    """
    if source.layout not in LAYOUTS:
        raise ValueError(f"{source.key}: unknown layout {source.layout!r}; one of {', '.join(LAYOUTS)}")
    if max_side < MIN_SIDE:
        raise ValueError(f"max_side must be {MIN_SIDE} px or more, got {max_side}")
    if source.layout == "files":
        left, right, size, lossless = _read_two_files(source, max_side)
    else:
        left, right, size, lossless = _read_one_file(source, max_side)
    return StereoPair(source.key, left, right, lossless, size, _digest(source))


def _read_two_files(source: PairSource, max_side: int) -> tuple[Picture, Picture, Size, bool]:
    headers = read_header(source.left), read_header(source.right)
    sizes = headers[0].size, headers[1].size
    shrink = _shrink(sizes[0], _fit(sizes[0], max_side)) if sizes[0] == sizes[1] else 1
    left, right = read_picture(source.left, shrink=shrink), read_picture(source.right, shrink=shrink)
    common = sizes[0]
    if sizes[0] != sizes[1]:
        left, right = _to_common_size(left, right, source)
        common = (left.shape[1], left.shape[0])
    if source.right_first:
        left, right = right, left
        sizes = sizes[1], sizes[0]
    target = _fit(common, max_side)
    _check_side(target, source)
    return _resize(left, target), _resize(right, target), sizes[0], headers[0].lossless and headers[1].lossless


def _read_one_file(source: PairSource, max_side: int) -> tuple[Picture, Picture, Size, bool]:
    header = read_header(source.left)
    width, height = header.size
    across, down = source.layout.startswith("side-by-side"), source.layout.startswith("over-under")
    eye = (width // 2 if across else width, height // 2 if down else height)
    if min(eye) < MIN_SIDE:
        raise InputError(
            "too-small", f"{source.left}: {eye[0]} x {eye[1]} px an eye; every side must be {MIN_SIDE} px or more"
        )
    half = source.layout.endswith("-half")
    full = (eye[0] * (2 if half and across else 1), eye[1] * (2 if half and down else 1))
    target = _fit(full, max_side)
    _check_side(target, source)
    shrink = _shrink(eye, target)
    if source.layout == "mpo":
        first, second = read_mpo(source.left, shrink)
        if first.shape != second.shape:
            raise InputError("size-mismatch", f"{source.left}: frames of {first.shape} and {second.shape}")
    else:
        first, second = split(read_picture(source.left, shrink=shrink), source.layout)
    first, second = _resize(first, target), _resize(second, target)
    left, right = (second, first) if source.right_first else (first, second)
    return left, right, eye, header.lossless


def _to_common_size(left: Picture, right: Picture, source: PairSource) -> tuple[Picture, Picture]:
    """Two eyes of different size, cropped to the middle or scaled to one size; InputError "size-mismatch"."""
    (high_a, wide_a), (high_b, wide_b) = left.shape[:2], right.shape[:2]
    size = min(wide_a, wide_b), min(high_a, high_b)
    if size[0] >= (1 - CROP_SHARE) * max(wide_a, wide_b) and size[1] >= (1 - CROP_SHARE) * max(high_a, high_b):
        return _crop(left, size), _crop(right, size)
    if abs(wide_a * high_b / (wide_b * high_a) - 1) <= ASPECT_SHARE:
        return _resize(left, size), _resize(right, size)
    raise InputError(
        "size-mismatch",
        f"{source.left} is {wide_a} x {high_a} px but {source.right} is {wide_b} x {high_b} px: not two views of one "
        "camera; remove the wrong one",
    )


def _crop(picture: Picture, size: Size) -> Picture:
    top, left = (picture.shape[0] - size[1]) // 2, (picture.shape[1] - size[0]) // 2
    return picture[top : top + size[1], left : left + size[0]]


def _check_side(size: Size, source: PairSource) -> None:
    """InputError "too-small" where the reduction to max_side left a strip."""
    if min(size) < MIN_SIDE:
        raise InputError(
            "too-small",
            f"{source.left}: {size[0]} x {size[1]} px once reduced; every side must keep {MIN_SIDE} px or more",
        )


def _fit(size: Size, max_side: int) -> Size:
    """The size with the longer side reduced to max_side, never enlarged."""
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _shrink(eye: Size, target: Size) -> int:
    """By how much a JPEG may be decoded smaller: eyes not below the target, and no pixel made of a part of a block."""
    for shrink in (8, 4, 2):
        large = eye[0] >= shrink * target[0] and eye[1] >= shrink * target[1]
        if large and eye[0] % shrink == 0 and eye[1] % shrink == 0:
            return shrink
    return 1


def _resize(picture: Picture, size: Size) -> Picture:
    """To (width, height): area averaging where it gets smaller, bicubic where it gets larger, side by side."""
    width, height = picture.shape[1], picture.shape[0]
    if size == (width, height):
        return np.ascontiguousarray(picture)
    smaller = min(width, size[0]), min(height, size[1])
    if smaller != (width, height):
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    if smaller != size:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return picture


def _digest(source: PairSource) -> str:
    """SHA-256 over the bytes of the file, or of the left and then the right one."""
    digest = sha256()
    for path in dict.fromkeys((source.left, source.right)):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
