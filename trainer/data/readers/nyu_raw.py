"""NYU Depth v2 as recorded: folders SCENE/ with r-TIME-N.ppm, d-TIME-N.pgm and a-TIME-N.dump, which is not read.

The steps and figures are those of the data set's toolbox (Silberman; a copy is toolbox/ of
github.com/caomw/Depth2SurfaceNormal): get_synched_frames.m, swapbytes, undistort.m, depth_rel2depth_abs.m,
depth_plane2depth_world.m, depth_world2rgb_world.m, project_depth_map.m, camera_params.m, get_projection_mask.m.

Different here: each file is used once, and no pair is more than GAP_S apart; only 2047 is no measurement, not every
frame's largest number; a number comes from the nearest pixel, as one between near and far would be made up.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import FloatMap, Picture
from trainer.data.pictures import read_rgb, read_stored
from trainer.data.readers.file_lists import scene_of
from trainer.data.readers.frames import Frame, FrameSet
from trainer.data.readers.nyu import official_part
from trainer.data.readers.protocols import FULL, NYU, subsampled
from trainer.data.readers.tum import associated
from trainer.types import DataError

NAME = re.compile(r"[dr]-(\d+\.\d+)-\d+\.p[gp]m")  # its first group is the time, s
GAP_S = 0.1
NEAREST, NO_VALUE = 600, 2047  # smaller numbers are faults; the largest of 11 bits is no measurement
FARTHEST_M = 10.0  # what is farther is taken as this
PROJECTED = np.s_[44:471, 40:601]  # where every depth camera's frame reaches, after projection


class Lens(NamedTuple):
    """A camera. focal, centre: x and y, px of 640x480. distortion: k1, k2, p1, p2, k3 of Brown's model."""

    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, ...]


COLOUR = Lens(
    (518.85790117450188, 519.46961112127485),
    (325.58244941119034, 253.73616633400465),
    (0.20796615318809061, -0.58613825163911781, 0.00072231363135888329, 0.0010479627195765181, 0.49856986684705107),
)
DEPTH = Lens(
    (582.62448167737955, 582.69103270988637),
    (313.04475870804731, 238.44389626620386),
    (-0.099897236553084481, 0.39065324602765344, 0.0019290592870229277, -0.0019422022475975055, -0.51031725053400578),
)
# A row of coordinates in the depth camera's frame times ROTATION, less SHIFT (m), is one in the colour camera's.
ROTATION = np.array(
    [
        [0.99997798940829263, 0.0050518419386157446, 0.0043011152014118693],
        [-0.0050359919480810989, 0.99998051861143999, -0.0036879781309514218],
        [-0.0043196624923060242, 0.0036662365748484798, 0.99998394948385538],
    ]
)
SHIFT = np.array([0.025031875059141302, -0.00029342312935846411, 0.00066238747008330102])


def raw_scenes(folder: Path) -> list[Path]:
    """The recordings in a folder, all on one level: itself, or folders one or two levels below."""
    levels = ([folder], folder.glob("*/"), folder.glob("*/*/"))
    scenes = (sorted(path for path in level if next(path.glob("d-*.pgm"), None)) for level in levels)
    return next(filter(None, scenes), [])


class NyuRaw(FrameSet):
    """The pairs of frames: inverse depth, 1/m, in the view of the colour camera; groups are the scenes."""

    def __init__(self, folder: Path) -> None:
        """Open. folder: what `raw_scenes` finds recordings in. Raises DataError where nothing was taken together."""
        frames, recorded = [], 0
        for scene in raw_scenes(folder):
            pictures, depths, name = _timed(scene, "r-*.ppm"), _timed(scene, "d-*.pgm"), scene.resolve().name
            group, part = scene_of((scene.resolve() / "r.ppm").as_posix(), name), official_part(name)
            for at, to in associated(sorted(pictures), sorted(depths), GAP_S):
                frames.append(Frame(f"{name}/{pictures[at].stem}", pictures[at], depths[to], group, part))
            recorded += len(depths)
        left = recorded - len(frames)
        note = f"{folder}: {left} of {recorded} depth frames have no picture of their own within {GAP_S} s"
        if not frames:
            raise DataError(f"{note}; the r-*.ppm of a recording lie beside its d-*.pgm")
        super().__init__(folder.resolve().name, frames, NYU)
        self.notes = (f"{note}, and are left out",) if left else ()

    def picture(self, frame: Frame) -> Picture:
        """Without the distortion of the lens."""
        image = read_rgb(frame.rgb)
        if image.shape[:2] != FULL:
            raise DataError(f"{frame.rgb}: is {image.shape[1]}x{image.shape[0]}; frames of NYU Depth v2 are 640x480")
        return np.asarray(cv2.remap(image, *_undistortion(COLOUR), cv2.INTER_LINEAR), np.uint8)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In metres, in the view of the picture; known inside PROJECTED alone."""
        raw = cv2.remap(_read_raw(frame.depth), *_undistortion(DEPTH), cv2.INTER_NEAREST, borderValue=NO_VALUE)
        return np.where(
            subsampled(PROJECTED, FULL), registered_to_colour(raw_metres(np.asarray(raw, np.uint16))), np.nan
        )


def raw_metres(raw: NDArray[np.uint16]) -> FloatMap:
    """Depth of the Kinect's numbers, HxW float32: m, to FARTHEST_M, NaN where unknown. raw: HxW, 0 to 2047."""
    known = (raw >= NEAREST) & (raw <= 1092)
    metres = np.full(raw.shape, np.nan, np.float32)
    np.divide(351.3, 1092.5 - raw, out=metres, where=known, casting="same_kind")
    return np.minimum(metres, np.float32(FARTHEST_M))


def registered_to_colour(depth: FloatMap) -> FloatMap:
    """A depth map of the depth camera in the view of the colour camera, HxW float32, NaN where unknown.

    depth: 480x640, m, NaN where unknown, straight. Of several depths in a pixel the nearest counts. As in the toolbox
    depth stays the distance from the depth camera's plane, pixels count from 1, the last row and column stay empty.
    """
    rows, columns = np.nonzero(np.isfinite(depth))
    metres = depth[rows, columns].astype(np.float64)
    plane = (np.stack((columns, rows), 1) + 1 - DEPTH.centre) / DEPTH.focal
    points = np.column_stack((plane * metres[:, None], metres)) @ ROTATION - SHIFT
    at = np.rint(points[:, :2] / points[:, 2:] * COLOUR.focal + COLOUR.centre).astype(np.int64) - 1
    inside = ((at >= 0) & (at < (FULL[1] - 1, FULL[0] - 1))).all(1)
    nearest = np.full(depth.size, np.inf, np.float32)
    np.minimum.at(nearest, at[inside, 1] * FULL[1] + at[inside, 0], metres[inside].astype(np.float32))
    return np.where(np.isfinite(nearest), nearest, np.nan).reshape(FULL)


def _timed(scene: Path, pattern: str) -> dict[float, Path]:
    """The files of one kind by their time, s; names of another form are none of the recording."""
    return {float(match[1]): file for file in scene.glob(pattern) if (match := NAME.fullmatch(file.name))}


def _read_raw(file: Path) -> NDArray[np.uint16]:
    """The Kinect's numbers, which a PGM would have high byte first: 480x640, 0 to 2047. Raises DataError."""
    stored = read_stored(file)
    raw = stored.astype(np.uint16).byteswap()
    if raw.shape != FULL or stored.dtype == np.uint8 or raw.max() > NO_VALUE:
        raise DataError(f"{file}: is no raw depth frame of NYU Depth v2: 640x480, numbers to 2047, the low byte first")
    return raw


@functools.cache
def _undistortion(lens: Lens) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel of the straight picture lies in the recorded one: columns and rows, each 480x640, px."""
    matrix = np.array([[lens.focal[0], 0, lens.centre[0]], [0, lens.focal[1], lens.centre[1]], [0, 0, 1]])
    maps = cv2.initUndistortRectifyMap(matrix, np.array(lens.distortion), None, matrix, FULL[::-1], cv2.CV_32FC1)
    return np.asarray(maps[0], np.float32), np.asarray(maps[1], np.float32)
