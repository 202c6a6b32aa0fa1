"""Depth maps in files: PNG, TIFF, npy, npz, PFM, HDF5 and OpenEXR; numbers as they are stored."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redweb_builder.dataset.depth_png import RELATIVE
from redweb_builder.inputs.picture import EXTENSIONS, MAX_PIXELS
from trainer.data.pictures import read_stored, text_of
from trainer.types import DataError

ARRAYS = frozenset((".npy", ".npz", ".h5", ".hdf5", ".exr"))
PICTURES = frozenset((".png", ".tif", ".tiff", ".pgm", ".pfm"))
DEPTH_ENDINGS = ARRAYS | PICTURES
KNOWN_OTHERS = (".mat", ".bin", ".dat", ".pkl")  # depth too, in a form that is not read
FORMS = "PNG or TIFF, .npy, .npz, .pfm, .exr or .h5"
DATASET = "depth"  # of an HDF5 file or npz of several arrays
EXR_CHANNELS = ("Z", "depth", "depth.Z", "Depth.Z", "View Layer.Depth.Z", "Y", "V", "R")  # the first that is there


def read_depth(file: Path) -> NDArray[np.generic]:
    """A depth map as stored: HxW of integers or floats. Nothing is scaled or masked here.

    An npz file holds one array, or one called "depth"; an HDF5 file has one called "depth"; an
    OpenEXR file has one channel, or one of EXR_CHANNELS. Raises DataError.
    """
    ending = file.suffix.lower()
    if ending not in DEPTH_ENDINGS:
        raise DataError(f"{file}: depth must be {FORMS}; {ending or 'a file without ending'} found")
    try:
        values = _READERS[ending](file) if ending in _READERS else read_stored(file)
    except DataError:
        raise
    except Exception as error:  # for a damaged file NumPy, zipfile and OpenEXR raise a dozen types
        raise DataError(f"{file}: cannot be read as a depth map ({error})") from error
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values  # a mask
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if values.ndim != 2 or not values.size or values.dtype.kind not in "iuf":
        raise DataError(f"{file}: a depth map is an HxW array of numbers, this is {values.shape} {values.dtype}")
    return values


def refuse_relative(file: Path) -> None:
    """Raise DataError where a PNG says of itself that it holds relative depth, and not a length. file: of any form."""
    if file.suffix.lower() != ".png":
        return
    polarity = text_of(file).get("polarity")
    if polarity in RELATIVE:
        raise DataError(f"{file}: says of itself that it is relative depth ({polarity}), and here a length is read")


def depth_by_stem(folder: Path) -> list[Path]:
    """The depth files of a folder in order of name. Raises DataError where it holds only files that are not read."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    read = [file for file in files if file.suffix.lower() in (EXTENSIONS | DEPTH_ENDINGS)]
    others = [file for file in files if file.suffix.lower() in KNOWN_OTHERS]
    if others and not read:
        raise DataError(f"{folder}: depth must be {FORMS}; {others[0].suffix} found. Convert these files")
    return read


def _npy(file: Path) -> NDArray[Any]:
    """Mapped into memory first, so that a header that claims more than the file holds is an error at once."""
    mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    _check_count(mapped.size)
    return np.array(mapped)


def _npz(file: Path) -> NDArray[Any]:
    with zipfile.ZipFile(file) as archive:
        names = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
    name = DATASET if DATASET in names else next(iter(names), "")
    if name != DATASET and len(names) != 1:
        raise ValueError(f"holds {', '.join(sorted(names)[:5]) or 'nothing'} and no array called {DATASET}")
    _check_count(names[name] // 8)
    with np.load(file, allow_pickle=False) as arrays:
        return np.asarray(arrays[name])


def read_hdf5(file: Path, name: str) -> NDArray[Any]:
    """An array of an HDF5 file by name. Links to other files are not followed. Raises DataError."""
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{file}: reading it needs h5py: pip install 'redweb-builder[nyu]'") from error
    try:
        with h5py.File(file, "r") as opened:
            array = own_array(opened, name)
            _check_count(array.size)
            return np.asarray(array[()])
    except (OSError, ValueError, KeyError, RuntimeError, MemoryError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error


def own_array(opened: Any, name: str) -> Any:
    """A dataset that lies in an open HDF5 file itself, not yet read; names that lead to other files are refused.

    opened: of h5py. name: of the dataset. Raises ValueError.
    """
    import h5py

    own = isinstance(opened.get(name, getlink=True), h5py.HardLink) and isinstance(opened[name], h5py.Dataset)
    if not own or opened[name].external or opened[name].is_virtual:
        raise ValueError(f"has no array called {name} of its own")
    return opened[name]


def _hdf5(file: Path) -> NDArray[Any]:
    return read_hdf5(file, DATASET)


def _exr(file: Path) -> NDArray[Any]:
    """The size is checked in the header, before any pixel is unpacked."""
    try:
        import OpenEXR
    except ImportError as error:
        raise DataError(f"{file}: reading it needs OpenEXR: pip install 'redweb-builder[exr]'") from error
    try:
        header = OpenEXR.File(str(file), separate_channels=True, header_only=True).header()
        low, high = (np.asarray(corner, np.int64) for corner in header["dataWindow"])
        _check_count(int(np.prod(high - low + 1)))
        names = [channel.name for channel in header["channels"]]
        name = next((name for name in EXR_CHANNELS if name in names), names[0] if len(names) == 1 else None)
        if name is None:
            raise ValueError(
                f"has the channels {', '.join(names[:8])}; depth is looked for as {', '.join(EXR_CHANNELS)}"
            )
        channels = OpenEXR.File(str(file), separate_channels=True).channels()
        return np.asarray(channels[name].pixels)
    except RuntimeError as error:  # what the library raises for a damaged file
        raise ValueError(str(error)) from error


def _check_count(numbers: int) -> None:
    if numbers > MAX_PIXELS:
        raise ValueError(f"{numbers} numbers are more than {MAX_PIXELS // 1_000_000} million")


_READERS = {".npy": _npy, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".exr": _exr}
