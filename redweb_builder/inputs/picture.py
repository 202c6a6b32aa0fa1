"""The one door to a picture file: opened by an allow-list of formats, checked on its header, then decoded.

Nothing else in the project opens a picture; the lint rule TID251 keeps it so.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL
from functools import cache
from importlib.util import find_spec
from io import SEEK_END, BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from redweb_builder.errors import InputError
from redweb_builder.files import MOST_BYTES
from redweb_builder.inputs.pixels import bits_in_use, deep_values, in_8_bits, is_deep, stated_bits, to_rgb
from redweb_builder.types import Picture

EXTENSIONS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".insp", ".mpo", ".jps", ".png", ".pns", ".tif", ".tiff"),
        *(".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pnm", ".jp2", ".avif", ".heic", ".heif", ".hif"),
    )
)
MAX_PIXELS = 200_000_000
MIN_SIDE = 64
PIXELS_A_BYTE = 500  # no photograph is coded in less; a picture of one colour may be
MUCH = 1 << 20  # bytes

# The decoders that may see a file, by Pillow's names. Pillow has others that are no photographs and do more than
# decode: its EPS reader starts Ghostscript.
PHOTOGRAPHS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF", "HEIF")
STORED = ("PNG", "JPEG")  # what a data set of ours holds
_LOSSLESS = ("PNG", "TIFF", "BMP", "GIF", "PPM")
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
# What Pillow's decoders raise on broken files.
_BROKEN = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, IndexError, KeyError, OverflowError, AssertionError),
    *(struct.error, zlib.error),
)
_UNKNOWN_VALUES = "unknown pixel mode"  # what Pillow says of TIFF files of, for example, colours in floating point
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Header:
    """What a picture file says before it is decoded.

    size: (width, height) in px as displayed, EXIF rotation applied. orientation: the EXIF value, 1 to 8.
    lossless: the file stores its pixels without loss. deep: it stores 16 bits a value.
    """

    size: tuple[int, int]
    orientation: int
    lossless: bool
    deep: bool = False


class Embedded(BytesIO):
    """A picture that lies in another file; `name` makes error messages name that file."""

    def __init__(self, content: bytes, name: str) -> None:
        """content: the bytes of the picture; name: for people."""
        super().__init__(content)
        self.name = name


class _HonestFile(BufferedReader):
    """A regular file that is never asked for more bytes than it has.

    A chunk may claim gigabytes, and Python sets memory aside for as much as is asked for.
    """

    def __init__(self, path: Path) -> None:
        """Open without waiting: a FIFO without a writer would hang. Raises OSError for what is no regular file."""
        super().__init__(FileIO(path, opener=_open_without_waiting))
        status = os.fstat(self.fileno())
        self._length = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(EINVAL, "it is no regular file", str(path))

    def read(self, size: int | None = -1) -> bytes:
        """As of any file."""
        return super().read(size if size is None or size < MUCH else min(size, max(0, self._length - self.tell())))


def open_file(path: Path) -> BufferedReader:
    """A regular file, opened for reading; a folder, FIFO, socket or device is refused without waiting for it.

    path: of the file. Raises InputError "unreadable".
    """
    try:
        return _HonestFile(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        why = getattr(error, "strerror", None) or error
        raise InputError(
            "unreadable", f"{path}: cannot be opened ({why}); check that it is a file, exists and may be read"
        ) from error


@contextmanager
def open_picture(
    file: BinaryIO | Path | bytes, min_side: int = MIN_SIDE, formats: Sequence[str] = PHOTOGRAPHS
) -> Iterator[ImageFile.ImageFile]:
    """Open a picture without decoding it; the size is checked on the header.

    file: a path, the bytes of a file, or a binary file at its beginning (left open). min_side: px, the least that a
    side must have. formats: Pillow's names of the decoders that may see the file.
    Raises InputError: "unreadable" (also what is no regular file), "empty-file", "not-an-image", "corrupt",
    "too-large" (more than MAX_PIXELS, or MOST_BYTES), "too-small" (a side under `min_side`).
    """
    if isinstance(file, Path):
        with open_file(file) as handle:
            if (size := os.fstat(handle.fileno()).st_size) > MOST_BYTES:  # some decoders want the whole file
                raise InputError("too-large", f"{file}: has {size} bytes; at most {MOST_BYTES} are read")
            yield _recognise(handle, min_side, formats)
    else:
        yield _recognise(BytesIO(file) if isinstance(file, bytes) else file, min_side, formats)


def read_header(file: BinaryIO | Path | bytes, min_side: int = MIN_SIDE) -> Header:
    """Size, orientation and storage of a picture file, nothing decoded. Raises InputError like open_picture.

    file, min_side: as of open_picture.
    """
    with open_picture(file, min_side) as image:
        return header_of(image)


def header_of(image: ImageFile.ImageFile) -> Header:
    """The Header of a picture opened with open_picture. image: from open_picture, not decoded yet."""
    turned = orientation_of(image)
    width, height = image.size
    return Header((height, width) if turned >= 5 else (width, height), turned, _is_lossless(image), is_deep(image))


def read_picture(
    file: BinaryIO | Path | bytes,
    min_side: int = MIN_SIDE,
    shrink: int = 1,
    orientation: int | None = None,
    formats: Sequence[str] = PHOTOGRAPHS,
    bits: int | None = None,
) -> Picture:
    """Decode a picture to HxWx3 uint8 RGB, upright.

    file, min_side, formats: as of open_picture.
    shrink: 1, 2, 4 or 8; a JPEG is decoded at 1/shrink of its size (sides rounded up), which is many times faster
        (libjpeg scaled decoding); other formats ignore it.
    orientation: overrules the EXIF orientation (1 to 8; Exif 2.32, tag 0x0112) of the file.
    bits: how many of the bits of a 16-bit file count as its full range; None: as many as its values use, 10 at least.
    Grey is repeated in the three channels, 16-bit values are brought to the full range of eight bits, CMYK and palettes
    are converted, transparent pixels are laid over mid grey, of an animation the first frame counts. Colour profiles
    are ignored.
    Raises InputError: as open_picture, "corrupt" (broken or cut off), "unsupported" (floating-point or 32-bit
    values, which are depth maps rather than photographs; or a colour space Pillow cannot convert).
    """
    with open_picture(file, min_side, formats) as image:
        return as_rgb(image, shrink, orientation, bits)


def read_values(file: BinaryIO | Path | bytes, formats: Sequence[str] = ("PNG",)) -> NDArray[Any]:
    """The values of a map as they are stored: HxW, or HxWxC of a colour file; uint8, uint16, int32 or float32.

    file, formats: as of open_picture; PFM is of Pillow's format PPM, and its scale is ignored, as Middlebury does.
    For labels, masks and depth maps, which must not be turned or converted. Raises InputError as read_picture.
    """
    with open_picture(file, min_side=1, formats=formats) as image:
        return values_of(image)


def values_of(image: ImageFile.ImageFile) -> NDArray[Any]:
    """The values of an opened map as they are stored; see read_values. image: from open_picture, not decoded yet."""
    share = _share_of_whole(image)
    _decode(image)
    values = np.array(image)
    return values if share == 1 else np.rint(values * share).astype(values.dtype)


def _share_of_whole(image: ImageFile.ImageFile) -> float:
    """The largest value by the head of a PGM over what Pillow stretches it to, 255 or 65535; 1 of all other files.

    image: from open_picture, not decoded yet.
    """
    whole = {"L": 255, "I": 65535}.get(image.mode)
    args = image.tile[0].args if image.tile and image.tile[0].codec_name in ("ppm", "ppm_plain") else None
    return int(args[1]) / whole if whole and isinstance(args, tuple) else 1.0


def as_rgb(
    image: ImageFile.ImageFile, shrink: int = 1, orientation: int | None = None, bits: int | None = None
) -> Picture:
    """Decode a picture opened with open_picture: of several frames, the one that it stands at.

    image: not decoded yet. shrink, orientation, bits and the result: as of read_picture.
    """
    turned = orientation_of(image) if orientation is None else orientation
    file, deep = image.fp, is_deep(image)
    _decode(image, shrink)
    shown: Image.Image = image
    if deep:
        values = deep_values(image, file)
        shown = in_8_bits(image, values, bits or bits_in_use(values, stated_bits(image, file)))
    upright = shown.transpose(_TRANSPOSE[turned]) if turned in _TRANSPOSE else shown
    return to_rgb(upright, _name(image))


def is_animated(image: ImageFile.ImageFile) -> bool:
    """Whether an opened picture has several frames or pages, as its head or the head of its second one says.

    image: from open_picture. Raises InputError "corrupt".
    """
    try:
        return bool(getattr(image, "is_animated", False))
    except _BROKEN as error:
        raise InputError("corrupt", f"{_name(image)}: its second frame is broken ({error}); copy it again") from error


def to_frame(image: ImageFile.ImageFile, number: int) -> bool:
    """Move an opened picture to another of its frames; False where there is no such frame.

    image: from open_picture. number: of the frame, from 0. Raises InputError "corrupt", "too-large": a frame may be
    larger than the first one.
    """
    try:
        image.seek(number)
    except EOFError:
        return False
    except Image.DecompressionBombError as error:
        raise InputError("too-large", f"{_name(image)}: {error}") from error
    except _BROKEN as error:
        raise InputError("corrupt", f"{_name(image)}: frame {number + 1} is broken ({error}); copy it again") from error
    _check_size(image.size, _name(image), 1)
    return True


def sample_bits(file: BinaryIO | Path | bytes) -> int:
    """How many bits the values of a picture use: 8, or 10 to 16 of a file of 16 bits. Raises as read_picture."""
    with open_picture(file, min_side=1) as image:
        handle = image.fp
        if not is_deep(image):
            return 8
        _decode(image)
        return bits_in_use(deep_values(image, handle), stated_bits(image, handle))


def _decode(image: ImageFile.ImageFile, shrink: int = 1) -> None:
    """Load the pixels. Raises InputError "corrupt", "too-large", or "unreadable" where the disk is at fault."""
    width, height = image.size
    try:
        if shrink > 1:
            image.draft(None, (width // shrink, height // shrink))
        image.load()
    except Image.DecompressionBombError as error:  # a tile that is larger than its picture
        raise InputError("too-large", f"{_name(image)}: {error}") from error
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError("unreadable", f"{_name(image)}: cannot be read ({error.strerror})") from error
        raise InputError("corrupt", f"{_name(image)}: is broken or cut off ({error}); copy it again") from error


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation that is left to apply to an opened picture, 1 to 8; 1 when there is none or it is broken.

    image: from open_picture. A TIFF file has none: its decoders, Pillow's and OpenCV's, turn it themselves. Nothing is
    decoded: an EXIF block behind the pixels of a PNG file, where it seldom lies, is not seen.
    """
    if image.format == "TIFF":
        return 1
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _recognise(file: BinaryIO, min_side: int, formats: Sequence[str]) -> ImageFile.ImageFile:
    """Pillow's image for an open file, made by the first of the formats that its first bytes fit."""
    name = str(getattr(file, "name", "picture"))
    try:
        start = file.read(32)
    except OSError as error:
        raise InputError("unreadable", f"{name}: cannot be read ({error.strerror})") from error
    if not start:
        raise InputError("empty-file", f"{name}: is an empty file; copy it again")
    _load_formats()
    for format_name in formats:
        factory, accepts = Image.OPEN.get(format_name, (None, None))
        if factory is None or accepts is None or accepts(start) is not True:
            continue
        file.seek(0)
        try:
            with warnings.catch_warnings():
                # Odd metadata blocks do not matter here: the pixels are read, or an error says why not.
                warnings.simplefilter("ignore")
                image = factory(file, name)
        except Image.DecompressionBombError as error:
            raise InputError("too-large", f"{name}: {error}") from error
        except _BROKEN as error:
            if _UNKNOWN_VALUES in str(error):
                raise InputError(
                    "unsupported",
                    f"{name}: states values that cannot be read, or its head is damaged; give 8 or 16 bits",
                ) from error
            raise InputError(
                "corrupt", f"{name}: begins like a {format_name} file but is broken ({error}); copy it again"
            ) from error
        _check_size(image.size, name, min_side)
        _check_honesty(image.size, file, name)
        return image
    raise InputError("not-an-image", f"{name}: is not a picture in a known format ({', '.join(formats)})")


@cache
def _load_formats() -> None:
    """Make Pillow know every installed format of PHOTOGRAPHS, and raise its size limit, a global, to ours.

    Pillow's own limit is below a 200-megapixel phone's. It still holds for the tiles and frames inside a file. libtiff
    reads all TIFF files: Pillow's own reader (13.0) mixes up the rows of turned grey ones, and takes planes of 16 bits
    for planes of eight.
    """
    Image.init()
    TiffImagePlugin.READ_LIBTIFF = True
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS)
    if heif_is_readable():
        from pillow_heif import register_heif_opener

        register_heif_opener()


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def heif_is_readable() -> bool:
    """Whether the extra for HEIC files is installed."""
    return find_spec("pillow_heif") is not None


def _check_size(size: tuple[int, int], name: str, min_side: int) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise InputError(
            "too-large",
            f"{name}: {width} x {height} px is more than {MAX_PIXELS // 1_000_000} megapixels; make it smaller first",
        )
    if min(size) < min_side:
        raise InputError("too-small", f"{name}: {width} x {height} px; every side must be {min_side} px or more")


def _check_honesty(size: tuple[int, int], file: BinaryIO, name: str) -> None:
    """InputError "corrupt" where a few bytes claim many pixels: a decoder would fill them with grey, at length."""
    place = file.tell()
    length = file.seek(0, SEEK_END)
    file.seek(place)
    if size[0] * size[1] > max(MAX_PIXELS // 20, PIXELS_A_BYTE * length):
        raise InputError("corrupt", f"{name}: {size[0]} x {size[1]} px in only {length} bytes; copy it again")


def _is_lossless(image: ImageFile.ImageFile) -> bool:
    if image.format == "WEBP":
        return _is_lossless_webp(image)
    if image.format == "TIFF":
        return image.info.get("compression") not in _LOSSY_TIFF
    return image.format in _LOSSLESS


def _is_lossless_webp(image: ImageFile.ImageFile) -> bool:
    """Whether the first frame is a VP8L chunk (WebP container specification, RFC 9649)."""
    file = image.fp
    if file is None:
        return False
    place = file.tell()
    file.seek(0)
    start = file.read(4096)
    file.seek(place)
    lossless, lossy = start.find(b"VP8L"), start.find(b"VP8 ")
    return lossless >= 0 and (lossy < 0 or lossless < lossy)


def _name(image: Image.Image) -> str:
    return str(getattr(image, "filename", "") or "picture")
