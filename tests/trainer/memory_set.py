"""A data set that is held in memory, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.data.depth_set import DepthSetBase
from trainer.types import DepthSample

RAMP = np.repeat(np.arange(1, 97, dtype=np.float32)[:, None], 80, axis=1)  # 96x80, nearer downwards


class Given(DepthSetBase):
    """Labels from memory."""

    def __init__(self, labels: list[Any]) -> None:
        self.name, self.labels = "given", labels

    def __len__(self) -> int:
        return len(self.labels)

    def key(self, index: int) -> str:
        return f"{index:03d}"

    def __getitem__(self, index: int) -> DepthSample:
        label = np.asarray(self.labels[index], np.float32)
        picture = np.repeat(np.nan_to_num(label)[..., None], 3, axis=2).astype(np.uint8)
        return DepthSample(self.key(index), picture, label, label == 0, 0.0)
