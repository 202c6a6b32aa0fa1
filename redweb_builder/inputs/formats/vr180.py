"""VR180 photographs: a half-sphere an eye, from which a flat view is cut.

A VR180 JPEG ("Google VR180 photo format", Photo Sphere XMP) shows the left eye; the XMP block says which part of the
sphere it covers (GPano:...) and holds the right eye as a JPEG in base64 (GImage:Data). As an APP1 segment ends at
64 KB, the larger part of the XMP lies in further segments (Adobe, XMP Specification Part 3, 1.1.3.1): a signature, the
GUID that the first block names, the whole length, the place of this part, its bytes.

The XMP is searched, never parsed: whatever an XML parser could be made to do, it cannot be made to do here.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from math import pi, radians, tan

import cv2
import numpy as np
from PIL import Image

from redweb_builder.errors import InputError
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.inputs.picture import Embedded
from redweb_builder.types import Picture

_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_GUID, _PLACE = 32, 8
# A flat photograph may say that it wants no panorama viewer, and nothing else of GPano.
_PANORAMA = re.compile(rb"GPano:(?!UsePanoramaViewer\b)")
# A half-sphere is about 180 degrees wide; lenses that see a little more are common.
WIDEST = 230.0
ASPECT = 4 / 3  # of the view that is cut out


@dataclass(frozen=True)
class Sphere:
    """Which part of an equirectangular sphere a picture covers; angles in degrees.

    width, height: what the picture spans. left, top: how far its corner lies from that of the whole sphere, which
    spans 360 x 180 and has the forward direction in its middle.
    """

    width: float = 180.0
    height: float = 180.0
    left: float = 90.0
    top: float = 0.0


def vr180_layout(image: Image.Image) -> Layout | NotPair | None:
    """Whether an opened picture is a VR180 photograph; a panorama is left with its reason; None for the rest.

    image: from open_picture. Programs keep other things than an eye in the extended XMP, too, so that it is searched.
    Raises InputError "corrupt" where parts of it are missing.
    """
    xmp = main_xmp(image)
    if _PANORAMA.search(xmp) is None:
        return None
    try:
        sphere = covered(xmp)
    except ValueError as error:
        return NotPair("panorama", f"a panorama whose description makes no sense ({error})")
    if sphere.width > WIDEST:
        return NotPair("panorama", f"a panorama {sphere.width:.0f} degrees wide: no flat pair can be cut from it")
    if b"GImage:" not in xmp and b"GImage:" not in _extended_xmp(image, str(getattr(image, "filename", ""))):
        return NotPair("panorama", "a panorama (GPano) that holds one eye only")
    return Layout("vr180", "VR180, right eye in the XMP")


def right_eye(image: Image.Image, name: str) -> Embedded:
    """The right eye of a VR180 photograph: an encoded picture.

    image: from open_picture, the left eye. name: of the file, for messages. Raises InputError "corrupt" where the XMP
    promises one but does not hold it whole.
    """
    for xmp in (main_xmp(image), _extended_xmp(image, name)):
        match = _first_value(xmp, b"GImage:Data", rb"([A-Za-z0-9+/=\s]*)")
        if match:
            try:
                return Embedded(base64.b64decode(match[1] + b"=="), f"{name} (right eye)")
            except binascii.Error as error:
                raise InputError("corrupt", f"{name}: the right eye in the XMP is broken ({error})") from error
    raise InputError("corrupt", f"{name}: a VR180 picture without its right eye; copy the original again")


def main_xmp(image: Image.Image) -> bytes:
    """The XMP block of an opened picture; empty where there is none. image: from open_picture."""
    xmp = image.info.get("xmp", b"")
    return xmp if isinstance(xmp, bytes) else str(xmp).encode()


def covered(xmp: bytes) -> Sphere:
    """The part of the sphere that GPano describes; a half-sphere where it gives no numbers.

    xmp: the block that states it, as bytes. Raises ValueError for numbers that no picture can have.
    """
    names = (
        *("FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels"),
        *("CroppedAreaImageHeightPixels", "CroppedAreaLeftPixels", "CroppedAreaTopPixels"),
    )
    values = [_number(xmp, name) for name in names]
    if any(value is None for value in values):
        return Sphere()
    full_width, full_height, width, height, left, top = (float(value or 0) for value in values)
    fits = 0 <= left <= left + width <= full_width and 0 <= top <= top + height <= full_height
    if min(width, height) <= 0 or not fits:
        raise ValueError(f"{width:.0f} x {height:.0f} px of {full_width:.0f} x {full_height:.0f}")
    across, down = 360 / full_width, 180 / full_height
    return Sphere(width * across, height * down, left * across, top * down)


def flat_view(picture: Picture, sphere: Sphere, fov: float) -> Picture:
    """The view straight ahead, as a camera without distortion sees it, from an equirectangular picture.

    picture: HxWx3 uint8 RGB, covering `sphere`. fov: horizontal field of view, degrees, over 0 and under 180. The view
    is 4 : 3 and as fine as the sphere is in its middle. Other directions are not cut: towards the sides the two lenses
    come to lie one behind the other, and what is seen is no stereo any more.
    """
    height, width = picture.shape[:2]
    across, down = width / sphere.width, height / sphere.height  # px a degree
    half = tan(radians(fov) / 2)
    columns = max(2, round(2 * half * across * 180 / pi))
    rows = max(2, round(columns / ASPECT))
    x, y = np.meshgrid(
        (np.arange(columns, dtype=np.float32) + 0.5) / columns * 2 * half - half,
        ((np.arange(rows, dtype=np.float32) + 0.5) / rows * 2 - 1) * half / ASPECT,
    )
    longitude, latitude = np.degrees(np.arctan(x)), np.degrees(np.arctan(y / np.sqrt(1 + x * x)))
    map_x = ((longitude + 180 - sphere.left) * across - 0.5).astype(np.float32)
    map_y = ((latitude + 90 - sphere.top) * down - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(picture, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _extended_xmp(image: Image.Image, name: str) -> bytes:
    """The parts of the extended XMP that the main block names, joined; empty where it names none."""
    named = _first_value(main_xmp(image), b"HasExtendedXMP", rb"\s*([0-9A-Fa-f]{32})")
    if not named:
        return b""
    parts: dict[int, bytes] = {}
    whole = 0
    for kind, content in getattr(image, "applist", []):
        head = len(_EXTENSION) + _GUID + _PLACE
        if kind != "APP1" or not content.startswith(_EXTENSION) or len(content) <= head:
            continue
        guid = content[len(_EXTENSION) : len(_EXTENSION) + _GUID]
        if guid.upper() == named[1].upper():
            whole = int.from_bytes(content[head - 8 : head - 4], "big")
            parts[int.from_bytes(content[head - 4 : head], "big")] = content[head:]
    joined = bytearray()
    for place in sorted(parts):
        if place != len(joined):
            break
        joined += parts[place]
    if len(joined) != whole:
        raise InputError(
            "corrupt", f"{name}: the extended XMP has {len(joined)} of {whole} bytes; copy the original again"
        )
    return bytes(joined)


def _first_value(xmp: bytes, name: bytes, value: bytes) -> re.Match[bytes] | None:
    """A match of a value, an attribute or an element, where its name comes first: of a block that is full of the name
    a search would look through what follows from each.
    """
    place = xmp.find(name)
    return re.compile(rb"(?:\s*=\s*[\"']|[^>]*>)" + value).match(xmp, place + len(name)) if place >= 0 else None


def _number(xmp: bytes, name: str) -> int | None:
    match = re.search(rb"GPano:" + name.encode() + rb"(?:\s*=\s*[\"']|\s*>)\s*(-?\d{1,9})\b", xmp)
    return int(match[1]) if match else None
