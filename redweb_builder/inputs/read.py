"""A PairSource -> a StereoPair: opened, split, freed of mounts, unsqueezed, put in order, brought to one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import cv2
import numpy as np

from redweb_builder.errors import InputError
from redweb_builder.files import sha256_of
from redweb_builder.inputs.content.mount import Box, inside_margin, inside_mount
from redweb_builder.inputs.content.refuse import is_flat_map, is_sphere
from redweb_builder.inputs.copies import copied
from redweb_builder.inputs.formats.films import Shot, read_shot, shot_at
from redweb_builder.inputs.formats.heic import read_spatial
from redweb_builder.inputs.formats.mpo import read_mpo
from redweb_builder.inputs.formats.packed import split
from redweb_builder.inputs.formats.two_frames import read_two_frames
from redweb_builder.inputs.formats.vr180 import Sphere, covered, flat_view, main_xmp, right_eye
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.layout import LAYOUTS
from redweb_builder.inputs.picture import MIN_SIDE, open_picture, read_header, read_picture, sample_bits
from redweb_builder.inputs.remote import address_of
from redweb_builder.types import PairSource, Picture, StereoPair, Window

CROP_SHARE = 0.10
ASPECT_SHARE = 0.02
_IN_TURN = ("row-interleaved", "column-interleaved")
_ACROSS = ("side-by-side", "column")  # beginnings of layouts whose eyes have half the columns each

Size = tuple[int, int]


@dataclass(frozen=True)
class _Eyes:
    """Two eyes as the source has them, its first one first; equal in size.

    size: (width, height) of an eye in the source. scale: px of the source a px of the pictures. boxes: what the
    pictures are of the source's two pictures, in px of the pictures; None where they are all of them. corners: where in
    its eye each picture begins, (left, top) in px of the source; None where the two were cropped or scaled apart.
    """

    first: Picture
    second: Picture
    size: Size
    lossless: bool
    scale: int = 1
    boxes: tuple[Box, Box] | None = None
    corners: tuple[Size, Size] | None = ((0, 0), (0, 0))


def read_pair(source: PairSource, max_side: int) -> StereoPair:
    """Read the two eyes of a pair, left and right in order and equal in size.

    source: where the eyes lie and how they are packed, from discover; files of remote storage are copied for as long as
    they are read. max_side: px; larger eyes are reduced by one
    factor for both, by area averaging, until the longer side fits. Mounts, borders, bars and round masks are cropped,
    both eyes to one size. Half-width and half-height eyes are stretched to their full shape. Eyes whose sides differ by
    up to 10 % are cropped to the middle, eyes of one shape (2 %) but different scale are reduced to the smaller one. Of
    a VR180 picture the flat view ahead is cut. `source_size` is the size of one eye before any crop or reduction,
    halves unstretched. Films and HEIC are decoded in a process of their own (isolation.py). Raises InputError: as
    read_picture and decoded, "too-small" for an eye under 64 px, "size-mismatch", "not-upright", "not-a-photograph",
    "not-a-pair", "panorama"; StoreError where remote storage does not answer; ValueError for an unknown layout or a
    max_side under 64.
    """
    if source.layout not in LAYOUTS:
        raise ValueError(f"{source.key}: unknown layout {source.layout!r}; one of {', '.join(LAYOUTS)}")
    if max_side < MIN_SIDE:
        raise ValueError(f"max_side must be {MIN_SIDE} px or more, got {max_side}")
    if address_of(source.left) is None:
        return decoded(_read_pair, (source.left, source.right), source, max_side)
    with copied((source.left, source.right)) as copies:
        copy = replace(source, left=copies.here(source.left), right=copies.here(source.right))
        return decoded(_read_pair, (copy.left, copy.right), copy, max_side)


def _read_pair(source: PairSource, max_side: int) -> StereoPair:
    eyes = _reader(source)(source, max_side)
    if not source.layout.startswith("vr180"):
        eyes = _without_mount(eyes)
    full = _full_size(source.layout, (eyes.first.shape[1], eyes.first.shape[0]))
    target = _fit(full, max_side)
    if min(target) < MIN_SIDE:
        raise InputError(
            "too-small",
            f"{source.left}: {target[0]} x {target[1]} px to use; every side must keep {MIN_SIDE} px or more",
        )
    left, right = _resize(eyes.first, target), _resize(eyes.second, target)
    if source.right_first:
        left, right = right, left
    if source.time is None:
        digest = sha256_of(*dict.fromkeys((source.left, source.right)))
    else:
        digest = sha256(left.tobytes() + right.tobytes()).hexdigest()
    crop, windows = _order_text(eyes, source.right_first), _windows(eyes, source.right_first)
    return StereoPair(source.key, left, right, eyes.lossless, eyes.size, digest, crop, windows)


def _reader(source: PairSource) -> Callable[[PairSource, int], _Eyes]:
    if source.time is not None:
        return _read_film
    one_file = {
        **{"files": _read_two_files, "mpo": _read_mpo, "spatial": _read_spatial, "vr180": _read_vr180},
        "two-frames": _read_two_frames,
    }
    return one_file.get(source.layout, _read_packed)


def _read_two_files(source: PairSource, max_side: int) -> _Eyes:
    headers = read_header(source.left), read_header(source.right)
    sizes = headers[0].size, headers[1].size
    shrink = _shrink(sizes[0], _fit(sizes[0], max_side)) if sizes[0] == sizes[1] else 1
    bits = max(map(sample_bits, (source.left, source.right))) if headers[0].deep and headers[1].deep else None
    left, right = (read_picture(file, shrink=shrink, bits=bits) for file in (source.left, source.right))
    if is_flat_map(left) and is_flat_map(right):
        raise InputError("not-a-photograph", f"{source.left}: a few flat colours: a mask, map or drawing")
    left, right = _to_common_size(left, right, source)
    size = sizes[1] if source.right_first else sizes[0]
    corners = ((0, 0), (0, 0)) if sizes[0] == sizes[1] else None
    return _Eyes(left, right, size, headers[0].lossless and headers[1].lossless, shrink, corners=corners)


def _read_mpo(source: PairSource, max_side: int) -> _Eyes:
    header = read_header(source.left)
    shrink = _shrink(header.size, _fit(header.size, max_side))
    first, second = read_mpo(source.left, shrink)
    if first.shape != second.shape:
        raise InputError("size-mismatch", f"{source.left}: frames of {first.shape} and {second.shape}")
    return _Eyes(first, second, header.size, header.lossless, shrink)


def _read_spatial(source: PairSource, max_side: int) -> _Eyes:
    left, right = read_spatial(source.left)
    size = left.shape[1], left.shape[0]
    left, right = _to_common_size(left, right, source)
    return _Eyes(left, right, size, lossless=False)


def _read_two_frames(source: PairSource, max_side: int) -> _Eyes:
    header = read_header(source.left)
    first, second = read_two_frames(source.left)
    return _Eyes(first, second, header.size, header.lossless)


def _read_vr180(source: PairSource, max_side: int) -> _Eyes:
    with open_picture(source.left) as image:
        xmp, second = main_xmp(image), right_eye(image, str(source.left))
    eyes = read_picture(source.left), read_picture(second)
    size = eyes[0].shape[1], eyes[0].shape[0]
    left, right = (flat_view(eye, covered(xmp), source.fov) for eye in eyes)
    left, right = _to_common_size(left, right, source)
    return _Eyes(left, right, size, lossless=False)


def _read_packed(source: PairSource, max_side: int) -> _Eyes:
    header = read_header(source.left)
    packing = source.layout.removeprefix("vr180-")
    eye = _half(header.size, packing)
    if min(eye) < MIN_SIDE:
        raise InputError(
            "too-small", f"{source.left}: {eye[0]} x {eye[1]} px an eye; every side must be {MIN_SIDE} px or more"
        )
    shrink = 1 if packing in _IN_TURN else _shrink(eye, _fit(_full_size(packing, eye), max_side))
    picture = read_picture(source.left, shrink=shrink)
    if packing != source.layout:
        left, right = (flat_view(half, Sphere(), source.fov) for half in split(picture, packing))
        return _Eyes(left, right, eye, header.lossless)
    if eye[0] == 2 * eye[1] and is_sphere(split(picture, packing)[0]):
        raise InputError("panorama", f"{source.left}: a 360-degree picture an eye: no flat pair can be cut from it")
    return _packed(picture, packing, inside_margin(picture), eye, header.lossless, shrink)


def _read_film(source: PairSource, max_side: int) -> _Eyes:
    time = source.time or 0.0
    in_turn = source.layout == "frame-sequential"
    shot = read_shot(source.left, time, alternate=in_turn)
    size = shot.picture.shape[1], shot.picture.shape[0]
    if source.layout in ("files", "two-streams", "frame-sequential"):
        partner = shot.time + shot.duration / 2 if in_turn else time + source.offset
        other = shot_at(source.right, partner, int(source.layout != "files"), alternate=in_turn)
        if other is None:
            raise InputError(
                "not-a-pair",
                f"{source.right}: has no frame of the second eye at {partner:.3f} s; it ends before the first",
            )
        _check_moment(source, shot, other)
        frames = shot.picture, other.picture
        boxes = tuple(Box(*crop) for crop in source.crops) if source.crops else tuple(map(Box.whole, frames))
        left, right = _to_common_size(boxes[0].cut(frames[0]), boxes[1].cut(frames[1]), source)
        alike = frames[0].shape == frames[1].shape and boxes[0].size == boxes[1].size
        corners = ((boxes[0].left, boxes[0].top), (boxes[1].left, boxes[1].top)) if alike else None
        return _Eyes(left, right, size, lossless=False, corners=corners)
    packing = source.layout.removeprefix("vr180-")
    eye = _half(size, packing)
    if packing != source.layout:
        left, right = (flat_view(half, shot.sphere, source.fov) for half in split(shot.picture, packing))
        return _Eyes(left, right, eye, lossless=False)
    box = Box(*source.crops[0]) if source.crops else Box.whole(shot.picture)
    return _packed(shot.picture, packing, box, eye, lossless=False)


def _check_moment(source: PairSource, first: Shot, second: Shot) -> None:
    """InputError "not-a-pair" where two eyes were taken at different moments: more than a frame apart."""
    apart = abs(first.time + source.offset - second.time)
    if apart > max(first.duration, second.duration) + 1e-3:
        raise InputError(
            "not-a-pair",
            f"{source.left}: the frames of the two eyes lie {apart:.2f} s apart at {source.time:.3f} s; "
            "one of the films has a gap or ends early",
        )


def _packed(picture: Picture, layout: str, inner: Box, eye: Size, lossless: bool, shrink: int = 1) -> _Eyes:
    """The halves of what margins leave of a packed picture."""
    if layout in _IN_TURN:
        return _interleaved(picture, layout, inner, eye, lossless)
    first, second = split(inner.cut(picture), layout)
    boxes, corners = None, ((0, 0), (0, 0))
    if inner != Box.whole(picture):
        width, height = first.shape[1], first.shape[0]
        across = layout.startswith("side-by-side")
        first_box = Box(inner.left, inner.top, inner.left + width, inner.top + height)
        boxes = (
            first_box,
            (
                Box(inner.right - width, inner.top, inner.right, inner.bottom)
                if across
                else Box(inner.left, inner.bottom - height, inner.right, inner.bottom)
            ),
        )
        beyond = (eye[0], 0) if across else (0, eye[1])  # where the second eye begins
        corners = (
            (first_box.left * shrink, first_box.top * shrink),
            (boxes[1].left * shrink - beyond[0], boxes[1].top * shrink - beyond[1]),
        )
    return _Eyes(first, second, eye, lossless, shrink, boxes, corners)


def _interleaved(picture: Picture, layout: str, inner: Box, eye: Size, lossless: bool) -> _Eyes:
    """The rows, or columns, of the two views in what margins leave of a picture."""
    first, second = split(picture, layout)
    if inner == Box.whole(picture):
        return _Eyes(first, second, eye, lossless)
    across = layout == "column-interleaved"
    box = (
        Box((inner.left + 1) // 2, inner.top, inner.right // 2, inner.bottom)
        if across
        else Box(inner.left, (inner.top + 1) // 2, inner.right, inner.bottom // 2)
    )
    corner = box.left, box.top
    return _Eyes(box.cut(first), box.cut(second), eye, lossless, boxes=(box, box), corners=(corner, corner))


def _without_mount(eyes: _Eyes) -> _Eyes:
    """The eyes without mounts, borders and round masks of their own."""
    inner = inside_mount(eyes.first, eyes.second)
    if inner == (Box.whole(eyes.first), Box.whole(eyes.second)):
        return eyes
    first, second = inner[0].cut(eyes.first), inner[1].cut(eyes.second)
    boxes = (inner[0].within(eyes.boxes[0]), inner[1].within(eyes.boxes[1])) if eyes.boxes else inner
    corners = None
    if eyes.corners:
        moved = [
            (corner[0] + box.left * eyes.scale, corner[1] + box.top * eyes.scale)
            for corner, box in zip(eyes.corners, inner, strict=True)
        ]
        corners = moved[0], moved[1]
    return replace(eyes, first=first, second=second, boxes=boxes, corners=corners)


def _windows(eyes: _Eyes, right_first: bool) -> tuple[Window, Window] | None:
    """What the left and the right picture show of their eye, see StereoPair."""
    if eyes.corners is None:
        return None
    width, height = eyes.first.shape[1] * eyes.scale, eyes.first.shape[0] * eyes.scale
    first, second = ((left, top, width, height) for left, top in eyes.corners)
    return (second, first) if right_first else (first, second)


def _order_text(eyes: _Eyes, right_first: bool) -> str:
    """What of the source is kept, for the manifest."""
    if eyes.boxes is None:
        return ""
    scale, order = eyes.scale, eyes.boxes[::-1] if right_first else eyes.boxes
    boxes = [f"{box.size[0] * scale}x{box.size[1] * scale}+{box.left * scale}+{box.top * scale}" for box in order]
    return f"left {boxes[0]}, right {boxes[1]}"


def _to_common_size(left: Picture, right: Picture, source: PairSource) -> tuple[Picture, Picture]:
    """Two eyes of different size, cropped to the middle or scaled to one size; InputError "size-mismatch"."""
    if left.shape == right.shape:
        return left, right
    (high_a, wide_a), (high_b, wide_b) = left.shape[:2], right.shape[:2]
    size = min(wide_a, wide_b), min(high_a, high_b)
    if size[0] >= (1 - CROP_SHARE) * max(wide_a, wide_b) and size[1] >= (1 - CROP_SHARE) * max(high_a, high_b):
        return _crop(left, size), _crop(right, size)
    if abs(wide_a * high_b / (wide_b * high_a) - 1) <= ASPECT_SHARE:
        return _resize(left, size), _resize(right, size)
    if abs(wide_a * wide_b / (high_a * high_b) - 1) <= ASPECT_SHARE:
        raise InputError("not-upright", f"{source.left}: of its two eyes one lies on its side; turn it by 90 degrees")
    raise InputError(
        "size-mismatch",
        f"{source.left} is {wide_a} x {high_a} px but {source.right} is {wide_b} x {high_b} px: not two views of one "
        "camera; remove the wrong one",
    )


def _crop(picture: Picture, size: Size) -> Picture:
    top, left = (picture.shape[0] - size[1]) // 2, (picture.shape[1] - size[0]) // 2
    return picture[top : top + size[1], left : left + size[0]]


def _half(size: Size, layout: str) -> Size:
    """One eye of a packed picture."""
    return (size[0] // 2, size[1]) if layout.startswith(_ACROSS) else (size[0], size[1] // 2)


def _full_size(layout: str, eye: Size) -> Size:
    """An eye's size with half width or height undone."""
    if not (layout.endswith("-half") or layout in _IN_TURN):
        return eye
    return (2 * eye[0], eye[1]) if layout.startswith(_ACROSS) else (eye[0], 2 * eye[1])


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
