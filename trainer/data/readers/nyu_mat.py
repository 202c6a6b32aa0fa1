"""NYU Depth v2 as published: nyu_depth_v2_labeled.mat (2.8 GB, 1449 frames of 640x480), and splits.mat beside it.

`depths` are metres with holes painted in. Where `rawDepths` measured nothing the label is unknown here, as is the white
border: a painted pixel is neither trained on nor judged.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from redweb_builder.files import read_regular
from trainer.data.depth_files import own_array
from trainer.data.readers.frames import inverse
from trainer.data.readers.nyu import INSIDE, Nyu
from trainer.data.readers.protocols import FULL, subsampled
from trainer.types import DataError, DepthSample

MAT = "nyu_depth_v2_labeled.mat"
SPLITS = "splits.mat"
WHOLE = "2.8 GB"
LONGEST_NAME = 1000  # characters, of a scene
MOST_SPLITS_BYTES = 65_536  # of splits.mat, which unpacks to a thousand times as much at most; the published has 3,000
KINDS = {"images": "u", "depths": "f", "rawDepths": "f"}  # as NumPy names them


class NyuMat(Nyu):
    """The labelled set with its official 795 / 654 split; groups are its scenes."""

    def __init__(self, file: Path) -> None:
        """Open. Raises DataError: no such file, cut off, not that file, without its splits, h5py missing."""
        self.name, self._file = file.stem, file
        self._open_in: tuple[int, Any] | None = None
        try:
            self._count, self._scenes = self._contents()
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError, OverflowError) as error:
            raise DataError(f"{file}: is not {MAT} of NYU Depth v2 ({error})") from error
        self._parts = _splits(file.with_name(SPLITS), self._count)

    def _contents(self) -> tuple[int, list[str]]:
        """How many frames there are, and the scene of each. Raises ValueError for arrays that are not as published."""
        mat = self._mat()
        if lacking := [name for name in ("images", "depths", "scenes") if name not in mat]:
            raise ValueError(f"has no {', '.join(lacking)}")
        count = int(own_array(mat, "depths").shape[0])
        shapes = {"images": (3, FULL[1], FULL[0]), "depths": FULL[::-1]}
        shapes |= {"rawDepths": FULL[::-1]} if "rawDepths" in mat else {}
        for name, shape in shapes.items():
            array = own_array(mat, name)
            if array.shape != (count, *shape) or array.dtype.kind != KINDS[name]:
                raise ValueError(f"{name} is {array.dtype}, {array.shape}, not as published, {(count, *shape)}")
        references = own_array(mat, "scenes")
        if references.size != count:
            raise ValueError(f"scenes has {references.size} names for {count} frames")
        return count, [_text(mat[reference]) for reference in references[...].ravel()]

    def __len__(self) -> int:
        """Number of frames, test frames included."""
        return self._count

    def key(self, index: int) -> str:
        """Five digits, from 0."""
        return f"{index:05d}"

    def group(self, index: int) -> str:
        """The scene, such as kitchen_0004."""
        return self._scenes[index]

    def part(self, index: int) -> str | None:
        """The official test part stays apart; validation is left to us."""
        return "test" if index in self._parts["testNdxs"] else None

    def __getitem__(self, index: int) -> DepthSample:
        """Read one frame. Raises DataError."""
        mat = self._mat()
        try:
            image = np.ascontiguousarray(mat["images"][index].transpose(2, 1, 0))
            metres = np.ascontiguousarray(mat["depths"][index].T, np.float32)
            measured = mat["rawDepths"][index].T > 0 if "rawDepths" in mat else np.ones(FULL, bool)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{self._file}: frame {index} cannot be read ({error}). {_again()}") from error
        known = measured & (metres > 0) & subsampled(INSIDE, FULL)
        return DepthSample(self.key(index), image, inverse(metres, known), np.zeros(FULL, bool), 0.0, true_zero=True)

    def _mat(self) -> Any:
        """The open file; each process opens its own, since HDF5 cannot be shared after a fork."""
        if self._open_in is None or self._open_in[0] != os.getpid():
            self._open_in = os.getpid(), _opened(self._file)
        return self._open_in[1]

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes that are not forked: an open file cannot travel."""
        return {**self.__dict__, "_open_in": None}


def _opened(file: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{file}: reading it needs h5py: pip install 'redweb-builder[nyu]'") from error
    if not file.is_file():
        raise DataError(f"there is no file {file}")
    try:
        return h5py.File(file, "r")
    except OSError as error:
        size = file.stat().st_size / 1e9
        if "truncated" in str(error):
            raise DataError(f"{file}: is cut off at {size:.2f} GB. {_again()}") from error
        if _is_old_mat(file):
            raise DataError(f"{file}: is an old MATLAB file; in MATLAB save it with save -v7.3") from error
        raise DataError(f"{file}: is no MATLAB 7.3 file ({size:.2f} GB; {error}). {_again()}") from error


def _is_old_mat(file: Path) -> bool:
    """Whether a file begins as MATLAB 5 to 7.2 and scipy.io.savemat write it."""
    with file.open("rb") as opened:
        return opened.read(19) == b"MATLAB 5.0 MAT-file"


def _splits(file: Path, count: int) -> dict[str, set[int]]:
    """Frames from 0 of the two parts. Raises DataError."""
    if not file.is_file():
        raise DataError(
            f"{file} is missing: without the official split, test frames would be trained on. It is published beside "
            f"{MAT} (also in train_test_inputs of many projects)"
        )
    from scipy.io import loadmat

    try:
        content = loadmat(io.BytesIO(read_regular(file, MOST_SPLITS_BYTES)))
        parts = {name: {int(number) - 1 for number in content[name].ravel()} for name in ("trainNdxs", "testNdxs")}
    except Exception as error:  # loadmat raises a dozen types for a damaged file
        raise DataError(f"{file}: cannot be read as NYU's splits.mat ({error})") from error
    beyond = max(set.union(*parts.values()), default=0)
    if beyond >= count or parts["trainNdxs"] & parts["testNdxs"]:
        raise DataError(f"{file}: does not belong to a set of {count} frames (it names frame {beyond + 1})")
    return parts


def _text(codes: Any) -> str:
    """A name, as MATLAB stores it: codes of UTF-16. Raises ValueError where they are none, or more than any has."""
    if codes.size > LONGEST_NAME or codes.external or codes.is_virtual:
        raise ValueError(f"a scene's name is {codes.size} characters, or lies in another file")
    return np.asarray(codes).ravel().astype("<u2").tobytes().decode("utf-16-le")


def _again() -> str:
    return f"Download it again; whole it has {WHOLE}"
