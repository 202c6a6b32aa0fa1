"""What a two-view network of the user's takes and gives, as the .toml file beside it says."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.files import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

INPUTS = ("left", "right", "half-left", "half-right")
OUTPUTS = ("flow", "disparity")
CHANNELS = ("rgb", "bgr", "grey")
DTYPES = ("float32", "uint8")
MAX_BYTES = 65536  # of a .toml file
MAX_SIDE = 8192  # px


@dataclass(frozen=True)
class NetworkFile:
    """The fields are the keys of the .toml file; docs/matchers.md lists them.

    output: "flow" (two channels, x and y, of any pair) or "disparity" (one channel; rectified stereo).
    sign: of disparity, 1 = nearer is larger; of flow, 1 = the left pixel p is seen at p + flow in the right view.
    -1 = the opposite.
    inputs: what each input takes, in order; a network that starts from halved views takes those first.
    channels: "rgb", "bgr" or "grey".
    white: value of a white pixel, before `mean` is subtracted and the result divided by `std`; these hold one value, or
    one a channel.
    dtype: of the inputs; an ONNX file says its own.
    width, height: px, the only size that the network takes; 0 = any; an ONNX file says its own.
    multiple: px; both sides are padded to a multiple of it.
    result: which output, from 0; -1 = the last.
    refine: the network computes on a coarser grid than the picture, so that `refine_flow` gains.
    """

    output: str
    sign: int = 1
    inputs: tuple[str, ...] = ("left", "right")
    channels: str = "rgb"
    white: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    dtype: str = "float32"
    width: int = 0
    height: int = 0
    multiple: int = 32
    result: int = -1
    refine: bool = False


# As their own code exports them. RAFT: torchvision's, pictures in [-1, 1]. RAFT-Stereo, Lipson et al. 2021, gives the x
# of a flow. CREStereo, Li et al. 2022; "-init" starts from views of half size. FoundationStereo, Wen et al. 2025. S2M2,
# Min et al. 2025, gives disparity, occlusion and confidence.
PRESETS: dict[str, dict[str, Any]] = {
    "raft": {"output": "flow", "white": 1.0, "mean": [0.5], "std": [0.5], "multiple": 8, "refine": True},
    "raft-stereo": {"output": "disparity", "sign": -1},
    "crestereo": {"output": "disparity", "result": 0},
    "crestereo-init": {"output": "disparity", "result": 0, "inputs": ["half-left", "half-right", "left", "right"]},
    "foundation-stereo": {"output": "disparity"},
    "s2m2": {"output": "disparity", "result": 0, "dtype": "uint8"},
}
_ALLOWED: dict[str, tuple[object, ...]] = {
    "output": OUTPUTS,
    "channels": CHANNELS,
    "dtype": DTYPES,
    "sign": (1, -1),
    "inputs": (("left", "right"), ("right", "left"), ("half-left", "half-right", "left", "right")),
}


def read_network_file(file: Path) -> NetworkFile:
    """Read and check a .toml file. Raises WeightsUnavailable, which names the file, the key and what is allowed.

    file: one table; `preset`, a name of PRESETS, gives the values of keys that are not there.
    """
    if not file.is_file():
        raise WeightsUnavailable(
            f"{file} is missing: it says what the network takes and gives. One line is enough for a known network: "
            f"preset = one of {', '.join(PRESETS)}; docs/matchers.md has the keys"
        )
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        stated = tomllib.loads(read_text(file, "utf-8"))
        preset = stated.pop("preset", None)
        if preset is not None and preset not in list(PRESETS):  # it may be a list, which no dict looks up
            raise ValueError(f"preset {preset!r}: must be one of {', '.join(PRESETS)}")
        return _checked(PRESETS.get(preset or "", {}) | stated)
    except (ValueError, RecursionError) as error:  # tomllib's and Unicode's errors are ValueErrors
        raise WeightsUnavailable(f"{file}: {error}") from error


def _checked(values: dict[str, Any]) -> NetworkFile:
    """Raise ValueError on an unknown key, and on a value of another type or out of range."""
    defaults = {field.name: field.default for field in fields(NetworkFile)}
    if unknown := values.keys() - defaults.keys():
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}: known are preset, {', '.join(defaults)}")
    if "output" not in values:
        raise ValueError('output is missing: "flow" or "disparity"')
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name, value in values.items():
        if name in _ALLOWED and value not in _ALLOWED[name]:
            words = " or ".join(repr(list(word) if isinstance(word, tuple) else word) for word in _ALLOWED[name])
            raise ValueError(f"{name} = {value!r}: must be {words}")
        if name in ("mean", "std") and not (
            isinstance(value, tuple) and len(value) in (1, 3) and all(map(_is_number, value))
        ):
            raise ValueError(f"{name} = {value!r}: must be a list of 1 or 3 numbers")
        if name in ("width", "height", "multiple", "result") and (type(value) is not int or abs(value) > MAX_SIDE):
            raise ValueError(f"{name} = {value!r}: must be a whole number up to {MAX_SIDE}")
        if name == "refine" and type(value) is not bool:
            raise ValueError(f"refine = {value!r}: must be true or false")
    if not _is_number(values.get("white", 1.0)) or not values.get("white", 1.0) > 0:
        raise ValueError(f"white = {values['white']!r}: must be a positive number")
    if not all(values.get("std", (1.0,))):
        raise ValueError("std holds a zero")
    network = NetworkFile(**values)
    if network.multiple < 1 or min(network.width, network.height) < 0 or (network.width > 0) != (network.height > 0):
        raise ValueError("multiple must be at least 1, width and height both positive or both left out")
    return network


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
