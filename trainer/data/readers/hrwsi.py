"""HRWSI (Xian et al. 2020): {train,val}/{imgs,gts,valid_masks}, files of the same stem.

8-bit labels, **larger = nearer** (the opposite of ReDWeb_V1), sky at the smallest value; masks: above 127 = valid,
from the forward-backward check and, in the sky, from the segmentation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.data.depth_set import DepthSetBase
from trainer.data.pictures import by_stem, matched, read_grey, read_instances, read_rgb, same_size
from trainer.types import DataError, DepthSample


class Hrwsi(DepthSetBase):
    """Both parts in one set, kept apart by `part`."""

    def __init__(self, folder: Path) -> None:
        """Open. Raises DataError where stems do not match. folder: the one with train/, val/ or both."""
        self.name = folder.resolve().name
        self._files: list[tuple[str, str, Path, Path, Path]] = []
        for part in ("train", "val"):
            home = folder / part
            if not home.is_dir():
                continue
            missing = [name for name in ("imgs", "gts", "valid_masks") if not (home / name).is_dir()]
            if missing:
                raise DataError(f"{home}: {', '.join(missing)} is missing; HRWSI has imgs, gts and valid_masks")
            images, depths, masks = (by_stem(home / name) for name in ("imgs", "gts", "valid_masks"))
            matched(depths, masks, home)
            for key in matched(images, depths, home):
                self._files.append((part, key, images[key], depths[key], masks[key]))

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._files)

    def key(self, index: int) -> str:
        """Part and stem."""
        return "/".join(self._files[index][:2])

    def part(self, index: int) -> str | None:
        """As published."""
        return self._files[index][0]

    def files(self, index: int) -> tuple[Path, ...]:
        """Picture, label and mask."""
        return self._files[index][2:]

    def __getitem__(self, index: int) -> DepthSample:
        """Read one sample. Raises DataError."""
        _, _, image_file, depth_file, mask_file = self._files[index]
        image, values, mask = read_rgb(image_file), read_grey(depth_file), read_grey(mask_file)
        same_size(image, values, depth_file)
        same_size(image, mask, mask_file)
        disparity = np.where(mask > 127, values, np.nan).astype(np.float32)
        instances = read_instances(image_file.parent.parent, image_file.stem, image)
        return DepthSample(self.key(index), image, disparity, np.zeros(values.shape, bool), 0.0, instances=instances)
