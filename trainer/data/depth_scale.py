"""What the numbers of a depth file mean: the scale that turns them into metres, and where it is stated.

A PNG of 16 bits has no unit. Millimetres (1000 a metre) are the custom of RGB-D cameras, TUM RGB-D has 5000 a metre,
KITTI 256. So a scale comes from the layout, from a file depth.json in the folder, or from --depth-scale; and what
nobody states must look like a room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import SettingsError
from redweb_builder.files import parse_json, read_text
from redweb_builder.types import FloatMap
from trainer.types import DataError

DEPTH_JSON = "depth.json"
NAMES = {1.0: "metres", 1000.0: "millimetres", 256.0: "KITTI", 5000.0: "TUM RGB-D"}
POSSIBLE = (0.1, 100.0)  # m: a set whose typical depth is outside is in another unit, whoever stated it
ROOM = (0.9, 6.0)  # m: the typical depth of NYU Depth v2's frames is 1.2 to 5.5
LEAST_KNOWN = 0.2  # share of known pixels; LiDAR projected into a picture has 0.05 (KITTI's merged maps 0.16)


@dataclass(frozen=True)
class DepthScale:
    """How stored numbers become metres.

    per_metre: stored units of a metre; of inverse depth, stored units of 1/m. inverse: the numbers are inverse depth.
    """

    per_metre: float
    inverse: bool = False

    def metres(self, stored: NDArray[np.generic]) -> FloatMap:
        """Depth in metres, float32. stored: HxW numbers; 0, negative and not finite ones become NaN, unknown."""
        values = stored.astype(np.float32)
        known = np.isfinite(values) & (values > 0)
        result = np.full(values.shape, np.nan, np.float32)
        factor = np.float32(self.per_metre)
        if self.inverse:
            return np.divide(factor, values, out=result, where=known)
        return np.divide(values, factor, out=result, where=known)

    def __str__(self) -> str:
        """As people give it."""
        number = f"{self.per_metre:g}"
        return (f"inverse:{number}" if self.per_metre != 1 else "inverse") if self.inverse else number


METRES, MILLIMETRES = DepthScale(1.0), DepthScale(1000.0)
KITTI, TUM = DepthScale(256.0), DepthScale(5000.0)
DENSEDEPTH = DepthScale(25.5)  # of its 8-bit training frames: 255 = 10 m


@dataclass(frozen=True)
class Stated:
    """What depth.json says. scale: of the numbers. protocol: "nyu" where the frames are NYU Depth v2's, else ""."""

    scale: DepthScale | None = None
    protocol: str = ""


def parse_scale(text: str) -> DepthScale:
    """A scale as people give it: "1000", "metres", "millimetres", "inverse", "inverse:N". Raises SettingsError.

    text: of --depth-scale.
    """
    words = {"metres": METRES, "meters": METRES, "millimetres": MILLIMETRES, "millimeters": MILLIMETRES}
    if text in words:
        return words[text]
    inverse, colon, number = text.rpartition("inverse")
    try:
        value = float((number.lstrip(":") or "1") if colon else text)
    except ValueError:
        value = math.nan
    if inverse or not 0 < value < math.inf:
        raise SettingsError(
            f"--depth-scale {text}: give the stored units of a metre (1000, 5000, 256), metres, or inverse[:N] for "
            "inverse depth"
        )
    return DepthScale(value, inverse=bool(colon))


def read_depth_json(folder: Path) -> Stated:
    """What depth.json of a folder says, such as {"scale": 5000} or {"scale": 1, "inverse": true}; nothing without one.

    Raises DataError where it is not of that form.
    """
    file = folder / DEPTH_JSON
    if not file.is_file():
        return Stated()
    try:
        content: Any = parse_json(read_text(file))
        scale, inverse, protocol = content["scale"], content.get("inverse", False), content.get("protocol", "")
        if type(scale) not in (int, float) or not 0 < scale < math.inf or type(inverse) is not bool:
            raise ValueError("scale is a number above 0, inverse is true or false")
        if protocol not in ("", "nyu"):
            raise ValueError('protocol is "nyu" or absent')
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(
            f'{file}: must be like {{"scale": 5000}}, the stored units of a metre, or {{"scale": 1, "inverse": true}} '
            f"({error})"
        ) from error
    return Stated(DepthScale(float(scale), inverse), protocol)


def one_scale(folder: Path, stated: DepthScale | None, option: DepthScale | None) -> DepthScale | None:
    """The scale of a set: the folder's own, or the one of the command line. None where nobody states any.

    stated: what its layout or depth.json says. option: --depth-scale. folder: for the message. Raises DataError where
    both are there and differ.
    """
    if stated and option and stated != option:
        raise DataError(f"{folder}: its layout or {DEPTH_JSON} says depth scale {stated}, --depth-scale says {option}")
    return stated or option


def check_typical(name: str, medians: list[float], known: float, assumed: DepthScale | None) -> None:
    """Raise DataError where the depths of a set cannot be metres.

    name: of the set. medians: median depth of some frames, m. known: the share of known pixels in them. assumed: the
    scale that nobody stated, or None where it is stated.
    """
    typical = float(np.median(medians))
    low, high = ROOM if assumed == MILLIMETRES else POSSIBLE
    sparse = assumed == MILLIMETRES and known < LEAST_KNOWN
    if low <= typical <= high and not sparse:
        return
    read_as = f"read as {NAMES.get(assumed.per_metre, assumed)}, " if assumed else ""
    why = f"only {100 * known:.0f} % of its pixels are known, as of LiDAR" if sparse else "is it in another unit?"
    stored = typical * (assumed or METRES).per_metre
    others = [
        f"{scale:g} ({label}: {stored / scale:.3g} m)"
        for scale, label in NAMES.items()
        if POSSIBLE[0] <= stored / scale <= POSSIBLE[1]
    ]
    hint = f" State what a metre is stored as: --depth-scale {', '.join(others)}; or in {DEPTH_JSON}" if assumed else ""
    raise DataError(f"{name}: {read_as}its typical depth would be {typical:.3g} m: {why}{hint}")
