"""ReDWeb_V1 (Xian et al. 2018): Imgs/*.jpg and RDs/*.png of the same stem.

**0 = nearest, the top value = background or sky.** Published with 8 bits (255); 16 bits (65535) are read the same way.
A label that `predict` wrote says in its text that 65535 is nearest, and is read so. Rounding keeps order, so the labels
have no noise that could turn a pair round. An export of a built set has masks/*.png besides: 0 = unknown, which the
label itself cannot tell from sky.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.dataset.depth_png import NEAREST_HIGHEST
from redweb_builder.dataset.sample_files import MAPS
from redweb_builder.types import Mask
from trainer.data.depth_set import DepthSetBase
from trainer.data.pictures import by_stem, matched, read_grey, read_instances, read_rgb, same_size, text_of
from trainer.types import DataError, DepthSample


class RedwebV1(DepthSetBase):
    """Disparity = top value - stored value; no pixel is unknown but where a mask says so."""

    def __init__(self, folder: Path) -> None:
        """Open. Raises DataError where stems do not match. folder: the one with Imgs/ and RDs/."""
        self.name = folder.resolve().name
        self._images, self._depths = by_stem(folder / "Imgs"), by_stem(folder / "RDs")
        self._masks = by_stem(folder / MAPS["mask"]) if (folder / MAPS["mask"]).is_dir() else {}
        self._keys = matched(self._images, self._depths, folder)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._keys)

    def key(self, index: int) -> str:
        """The stem."""
        return self._keys[index]

    def files(self, index: int) -> tuple[Path, ...]:
        """Picture and label, and a mask where there is one."""
        key = self._keys[index]
        return tuple(files[key] for files in (self._images, self._depths, self._masks) if key in files)

    def __getitem__(self, index: int) -> DepthSample:
        """Read one sample. Raises DataError."""
        key = self._keys[index]
        image, values = read_rgb(self._images[key]), read_grey(self._depths[key])
        same_size(image, values, self._depths[key])
        text = text_of(self._depths[key])
        if "unit" in text:
            raise DataError(
                f"{self._depths[key]}: holds {text['unit']}, not relative depth; put it into a folder depth/"
            )
        top = np.iinfo(values.dtype).max
        disparity, sky = np.float32(top) - values.astype(np.float32), values == top
        if text.get("polarity") == NEAREST_HIGHEST:
            disparity, sky = values.astype(np.float32), np.zeros(values.shape, bool)
        if key in self._masks:
            mask = read_grey(self._masks[key])
            same_size(image, mask, self._masks[key])
            unknown = mask == Mask.UNKNOWN
            disparity[unknown], sky = np.nan, sky & ~unknown
        instances = read_instances(self._images[key].parent.parent, key, image)
        return DepthSample(key, image, disparity, sky, 0.0, instances=instances)
