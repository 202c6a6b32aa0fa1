"""The .h5 copy of NYU Depth v2 of sparse-to-dense (Ma & Karaman 2018): train/SCENE/NNNNN.h5, val/official/NNNNN.h5.

A file holds `rgb`, 3xHxW uint8, and `depth`, HxW float metres with the holes painted in. The official validation part
is NYU's test part, and is never trained on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.data.depth_files import read_depth, read_hdf5
from trainer.data.depth_scale import METRES
from trainer.data.pictures import same_size
from trainer.data.readers.frames import inverse
from trainer.data.readers.nyu import Nyu
from trainer.types import DataError, DepthSample

PARTS = {"train": None, "val": "test"}
PICTURE = "rgb"


def is_sparse_to_dense(folder: Path) -> bool:
    """Whether a folder has that layout."""
    return any(next((folder / part).glob("*/*.h5"), None) for part in PARTS)


class SparseToDense(Nyu):
    """The frames of both parts; groups are the scenes."""

    def __init__(self, folder: Path) -> None:
        """Open. Nothing is read. folder: the one with train/ and val/."""
        self.name = folder.resolve().name
        self._files = [(file, part) for name, part in PARTS.items() for file in sorted((folder / name).glob("*/*.h5"))]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._files)

    def key(self, index: int) -> str:
        """Part, scene and number."""
        file = self._files[index][0]
        return "/".join((*file.parts[-3:-1], file.stem))

    def group(self, index: int) -> str:
        """The scene, such as kitchen_0028 for kitchen_0028a."""
        name = self._files[index][0].parent.name
        return name[:-1] if name[-1:].isalpha() and name[-2:-1].isdigit() else name

    def part(self, index: int) -> str | None:
        """The official validation part stays apart."""
        return self._files[index][1]

    def files(self, index: int) -> tuple[Path, ...]:
        """One."""
        return (self._files[index][0],)

    def __getitem__(self, index: int) -> DepthSample:
        """Read one frame. Raises DataError."""
        file = self._files[index][0]
        metres, stored = METRES.metres(read_depth(file)), read_hdf5(file, PICTURE)
        if stored.ndim != 3 or stored.shape[0] != 3 or stored.dtype != np.uint8:
            raise DataError(f"{file}: {PICTURE} must be 3xHxW of 8 bits, this is {stored.shape} {stored.dtype}")
        image = np.ascontiguousarray(stored.transpose(1, 2, 0))
        same_size(image, metres, file)
        disparity = inverse(metres, np.isfinite(metres))
        return DepthSample(self.key(index), image, disparity, np.zeros(metres.shape, bool), 0.0, true_zero=True)
