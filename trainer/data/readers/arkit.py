"""What iPhones and iPads with LiDAR record: ARKitScenes (Baruch et al. 2021) and the app Stray Scanner.

16-bit millimetres; `confidence` says 0 (low), 1 or 2 of each pixel, and low ones are unknown.

ARKitScenes: VIDEO/lowres_wide/NAME.png and VIDEO/lowres_depth/NAME.png; of its upsampling part VIDEO/wide/ and
VIDEO/highres_depth/, which a laser measured, so no confidence applies. Folders Training/ and Validation/ around them.
Stray Scanner: depth/NNNNNN.png, camera_matrix.csv and rgb.mp4, whose frames are wanted as rgb/NNNNNN.jpg or .png.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.depth_files import read_depth
from trainer.data.depth_scale import MILLIMETRES
from trainer.data.pictures import by_stem, read_grey
from trainer.data.readers.frames import Frame, FrameSet
from trainer.types import DataError

LOWEST = 1  # of confidence that is taken
FORMS = (("wide", "highres_depth"), ("lowres_wide", "lowres_depth"))  # pictures and depth, the better first
HOMES = ("", "*/", "*/*/")
CALIBRATION = "camera_matrix.csv"


def is_arkit(folder: Path) -> bool:
    """Whether a folder is one of either, or holds some."""
    return bool(_videos(folder) or _scans(folder))


class Arkit(FrameSet):
    """Frames with depth in metres; groups are the recordings."""

    def __init__(self, folder: Path) -> None:
        """Open. folder: what `is_arkit` recognises. Raises DataError where the frames of a film are not there yet."""
        frames = [frame for video, form in _videos(folder) for frame in _frames(video, *form)]
        for scan in _scans(folder):
            if not (scan / "rgb").is_dir():
                raise DataError(
                    f"{scan}: the frames of its rgb.mp4 are wanted as pictures: mkdir {scan}/rgb && "
                    f"ffmpeg -i {scan}/rgb.mp4 -start_number 0 -q:v 2 {scan}/rgb/%06d.jpg"
                )
            frames += _frames(scan, "rgb", "depth")
        super().__init__(folder.resolve().name, frames)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In metres, where the confidence is not low."""
        metres = MILLIMETRES.metres(read_depth(frame.depth))
        for file in frame.masks:
            confidence = read_grey(file)
            if confidence.shape != metres.shape:
                raise DataError(f"{file}: the confidence is {confidence.shape}, its depth map {metres.shape}")
            metres[confidence < LOWEST] = np.nan
        return metres


def _videos(folder: Path) -> list[tuple[Path, tuple[str, str]]]:
    """The recordings of ARKitScenes in a folder, each with the names of its folders of pictures and depth."""
    videos = []
    for home in HOMES:
        for form in FORMS:
            have = [depth.parent for depth in sorted(folder.glob(f"{home}{form[1]}"))]
            videos += [(video, form) for video in have if (video / form[0]).is_dir()]
    better = {video for video, form in videos if form == FORMS[0]}
    return [(video, form) for video, form in videos if form == FORMS[0] or video not in better]


def _scans(folder: Path) -> list[Path]:
    """The recordings of Stray Scanner in a folder."""
    files = (file for home in HOMES[:2] for file in sorted(folder.glob(f"{home}{CALIBRATION}")))
    return [file.parent for file in files if (file.parent / "depth").is_dir()]


def _frames(home: Path, rgb: str, depth: str) -> list[Frame]:
    """The frames of a recording that have both files."""
    pictures, depths = by_stem(home / rgb), by_stem(home / depth)
    sure = by_stem(home / "confidence") if depth != FORMS[0][1] and (home / "confidence").is_dir() else {}
    part = "val" if home.resolve().parent.name == "Validation" else None
    scene = home.resolve().name
    return [
        Frame(f"{scene}/{stem}", pictures[stem], depths[stem], scene, part, (sure[stem],) if stem in sure else ())
        for stem in depths
        if stem in pictures
    ]
