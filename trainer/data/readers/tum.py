"""TUM RGB-D as downloaded: rgb.txt and depth.txt list files by time stamp; 16-bit PNG, 5000 a metre.

The cameras do not fire together. A picture gets the depth map of the nearest time, at most LARGEST_GAP_S away. Each is
used once, nearest pairs first, as in associate.py. A folder of several sequences is one set, a scene each.
"""

from __future__ import annotations

import bisect
import math
from pathlib import Path

from redweb_builder.files import read_text
from trainer.data.depth_scale import TUM, DepthScale, one_scale
from trainer.data.readers.frames import Frame
from trainer.data.readers.protocols import TUM as PROTOCOL
from trainer.data.readers.rgb_depth import FrameFiles
from trainer.types import DataError

RGB_LIST, DEPTH_LIST = "rgb.txt", "depth.txt"
LARGEST_GAP_S = 0.02


def is_tum(folder: Path) -> bool:
    """Whether a folder is a sequence of TUM RGB-D."""
    return (folder / RGB_LIST).is_file() and (folder / DEPTH_LIST).is_file()


def sequences_of(folder: Path) -> list[Path]:
    """The sequences in a folder: itself, or the folders in it."""
    if is_tum(folder):
        return [folder]
    return [inner for inner in sorted(folder.iterdir()) if inner.is_dir() and is_tum(inner)]


class TumRgbd(FrameFiles):
    """The frames of one sequence or several: inverse depth, 1/m."""

    def __init__(self, folder: Path, scale: DepthScale | None = None) -> None:
        """Open. scale: of the command line. Raises DataError where a list is damaged, or nothing was taken together.

        folder: a sequence, or a folder of several.
        """
        frames = []
        for sequence in sequences_of(folder):
            pictures, depths = _listed(sequence / RGB_LIST), _listed(sequence / DEPTH_LIST)
            for at, to in associated(sorted(pictures), sorted(depths)):
                key = f"{sequence.resolve().name}/{at:.6f}"
                frames.append(Frame(key, sequence / pictures[at], sequence / depths[to], sequence.resolve().name, None))
        super().__init__(folder.resolve().name, frames, one_scale(folder, TUM, scale), PROTOCOL)


def associated(first: list[float], second: list[float], largest: float = LARGEST_GAP_S) -> list[tuple[float, float]]:
    """Pairs of times that belong together, in order. first, second: in order, s. largest: gap, s."""
    near = []
    for time in first:
        begin, end = bisect.bisect_left(second, time - largest), bisect.bisect_right(second, time + largest)
        near += [(abs(time - other), time, other) for other in second[begin:end]]
    taken: set[tuple[str, float]] = set()
    pairs = []
    for _, time, other in sorted(near):
        if ("first", time) not in taken and ("second", other) not in taken:
            taken |= {("first", time), ("second", other)}
            pairs.append((time, other))
    return sorted(pairs)


def _listed(file: Path) -> dict[float, str]:
    """Time stamp -> name of the lines "1305031102.175304 rgb/1305031102.175304.png"; "#" begins a comment."""
    try:
        lines = [line.split(maxsplit=1) for line in read_text(file).splitlines() if line.strip()]
        named = {float(parts[0]): parts[1].strip() for parts in lines if not parts[0].startswith("#")}
        if not all(map(math.isfinite, named)):
            raise ValueError("a time stamp is not finite")
        return named
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{file}: is no list of time stamps and files ({error})") from error
