"""Virtual KITTI 2 (Cabon et al. 2020): .../SceneNN/VARIANT/frames/rgb/Camera_N/rgb_NNNNN.jpg, and its depth/.

16-bit depth in centimetres; 65535 is the sky, which is left unknown. The archives unpack to one folder, to
vkitti_*_rgb and vkitti_*_depth, or to rgb/ and depth/. Variants of a scene (fog, 15-deg-left) are one group.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.depth_files import read_depth
from trainer.data.depth_scale import DepthScale
from trainer.data.readers.frames import Frame, FrameSet
from trainer.data.readers.protocols import VIRTUAL_KITTI

SCALE = DepthScale(100.0)
SKY = 65535
PICTURES = "Scene*/*/frames/rgb/Camera_*"


def is_virtual_kitti(folder: Path) -> bool:
    """Whether a folder has one of those layouts."""
    return any(next(rgb.glob(PICTURES), None) for rgb, _ in _homes(folder))


class VirtualKitti(FrameSet):
    """Frames with depth in metres; judged up to 80 m."""

    def __init__(self, name: str, frames: list[Frame]) -> None:
        """Open. name: for tables. frames: see `virtual_kitti_frames`, or of a list. Raises DataError for none."""
        super().__init__(name, frames, VIRTUAL_KITTI)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In metres."""
        stored = read_depth(frame.depth)
        return np.where(stored == SKY, np.float32(np.nan), SCALE.metres(stored))


def virtual_kitti_frames(folder: Path) -> list[Frame]:
    """The frames of a folder that `is_virtual_kitti` recognises, whose depth is there too."""
    frames = []
    for rgb, depth in _homes(folder):
        for camera in sorted(rgb.glob(PICTURES)):
            scene, variant = camera.relative_to(rgb).parts[:2]
            depths = depth / scene / variant / "frames" / "depth" / camera.name
            for picture in sorted(camera.glob("rgb_*.jpg")) if depths.is_dir() else ():
                key = f"{scene}/{variant}/{camera.name}/{picture.stem}"
                file = depths / f"depth_{picture.stem.removeprefix('rgb_')}.png"
                frames.append(Frame(key, picture, file, scene))
    return frames


def _homes(folder: Path) -> list[tuple[Path, Path]]:
    """Where scenes of pictures and of depth may lie."""
    versions = [(home, home.with_name(f"{home.name[:-3]}depth")) for home in sorted(folder.glob("vkitti_*_rgb"))]
    return [(folder, folder), (folder / "rgb", folder / "depth"), *versions]
