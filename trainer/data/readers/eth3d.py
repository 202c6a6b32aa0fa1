"""ETH3D, high-resolution multi-view (Schoeps et al. 2017): SCENE/images/dslr_images/NAME.JPG.

Its depth is SCENE/ground_truth_depth/dslr_images/NAME.JPG, which is no JPEG: float32 metres of the picture's size, row
by row, without a header (eth3d.net/documentation); infinite = unknown. Marigold keeps the same files below rgb/ and
depth/SCENE_dslr_depth/.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.depth_scale import METRES
from trainer.data.readers.frames import Frame, FrameSet
from trainer.data.readers.protocols import ETH3D
from trainer.types import DataError

PICTURES, DEPTHS = "images/dslr_images", "ground_truth_depth/dslr_images"


def is_eth3d(folder: Path) -> bool:
    """Whether a folder has that layout."""
    return any(next(folder.glob(f"{home}{DEPTHS}"), None) for home in ("*/", "depth/*/*/"))


class Eth3d(FrameSet):
    """Frames with depth in metres; groups are the scenes."""

    def __init__(self, name: str, frames: list[Frame]) -> None:
        """Open. name: for tables. frames: see `eth3d_frames`, or of a list. Raises DataError where there are none."""
        super().__init__(name, frames, ETH3D)

    def files(self, index: int) -> tuple[Path, ...]:
        """The picture alone: the depth file has the ending of a picture and is none."""
        return (self._frames[index].rgb,)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In metres."""
        try:
            content = frame.depth.read_bytes() if frame.depth.stat().st_size == 4 * shape[0] * shape[1] else b""
        except OSError as error:
            raise DataError(f"{frame.depth}: cannot be opened ({error.strerror})") from error
        if not content:
            raise DataError(
                f"{frame.depth}: is not {shape[1]}x{shape[0]} float32, the size of its picture. Take the distorted "
                "pictures (dslr_images), which the depth maps belong to"
            )
        return METRES.metres(np.frombuffer(content, "<f4").reshape(shape))


def eth3d_frames(folder: Path) -> list[Frame]:
    """The frames of a folder with a scene a folder, or of Marigold's rgb/ and depth/."""
    frames = []
    for depths in sorted((*folder.glob(f"*/{DEPTHS}"), *folder.glob(f"depth/*/*/{DEPTHS}"))):
        scene = depths.parent.parent.name
        home = folder if depths.parent.parent.parent == folder else folder / "rgb"
        for depth in sorted(depths.glob("*.JPG")):
            frames.append(Frame(f"{scene}/{depth.stem}", home / scene / PICTURES / depth.name, depth, scene))
    return frames
