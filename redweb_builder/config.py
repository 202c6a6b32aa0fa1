"""The settings of a build: frozen, checked on construction, written beside every output."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from math import inf, isfinite
from numbers import Integral, Real
from pathlib import Path

from redweb_builder.errors import SettingsError

FLOW_CHOICES = ("auto", "raft-large", "raft-small", "dis")
EXPORTED_FLOWS = ("onnx", "torchscript")  # "onnx:FILE": a network of the user's (matching/exported.py)
BUILTIN, NONE = "builtin", "none"  # depth networks that are no file
AUTO_PRECISION = "auto"
PRECISIONS = (AUTO_PRECISION, "float32", "bf16")  # of a flow network
EYES = ("auto", "as-is")
VALIDATION_SHARE = 0.1  # of the samples of a set, held out of training
ENGINES = ("local", "ray")
MAX_FILM_RATE = 60.0  # frames a second that are taken from a film
FILM_FORMS = ("colour", "grey", "side")  # of the depth of a film as a film (export/depth_forms.py)
FRAME_FORMS = ("png", *FILM_FORMS, "ply", "npy", "pfm")  # of the depth of a picture
DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")
PACKED = (
    "side-by-side",
    "over-under",
    "side-by-side-half",
    "over-under-half",
    "row-interleaved",
    "column-interleaved",
)
MOST_PARTS = 10_000
LAYOUT_CHOICES = ("auto", *PACKED)


def is_exported_flow(choice: str) -> bool:
    """True for "onnx:FILE" and "torchscript:FILE". choice: of a flow."""
    form, _, file = choice.partition(":")
    return form in EXPORTED_FLOWS and file != ""


# What a limit can be; one that is not here is 0 or more. A limit that every pair meets, or none, is off or a mistake.
_SHARE = 0.0, 1.0
RANGES = {
    "min_texture": _SHARE,
    "min_agreement": _SHARE,
    "max_vertical": _SHARE,
    "max_photometric": _SHARE,
    "min_sharpness": _SHARE,
    "max_sky_order": _SHARE,
    "max_far_order": _SHARE,
    "min_eye_order": (-10.0, 10.0),
    "min_mono_agreement": _SHARE,
    "duplicate_bits": (0.0, 64.0),
}


def _make_plain(settings: Thresholds | InputOptions | BuildConfig) -> None:
    """Put Python's numbers in the place of NumPy's, which build.json cannot hold, and paths in the place of text."""
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if isinstance(value, Real) and not isinstance(value, (int, float)):
            object.__setattr__(settings, entry.name, int(value) if isinstance(value, Integral) else float(value))
        elif isinstance(value, str) and entry.name in ("flow_weights", "segmenter_weights", "pairs"):
            object.__setattr__(settings, entry.name, Path(value))


@dataclass(frozen=True)
class Thresholds:
    """Limits of the filters, named after their measurements (criteria.py); None switches a check off."""

    min_texture: float | None = 0.04  # share of the pixels
    min_agreement: float | None = 0.5  # share of the pixels that can be matched; unrelated pictures have 0.1 at most
    max_vertical: float | None = 0.15  # share of the consistent pixels
    min_range_px: float | None = 2.5  # px of the label
    max_photometric: float | None = 0.06  # difference of grey, 0 to 1
    max_exposure: float | None = 1.0  # stops
    min_sharpness: float | None = 0.35  # ratio, 0 to 1
    max_sky_order: float | None = 0.7  # rank, 0 to 1
    # Posters of mountains pass for far field; exchanged eyes rank higher than they do.
    max_far_order: float | None = 0.95  # rank, 0 to 1
    max_outliers: float | None = 0.9  # share of the label's scale; a good pair of the benchmarks has 0.8 at most
    min_eye_order: float | None = -0.1  # score, about -1 to 1; below 0 the eyes look exchanged
    min_mono_agreement: float | None = 0.3  # share; no one of 176 right labels, but 171 of them inside out, is below
    duplicate_bits: float | None = 4  # the most of the 64 bits of their hashes in which duplicates differ

    def __post_init__(self) -> None:
        """Raise SettingsError on a limit that no measurement can meet or miss."""
        _make_plain(self)
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and not (isinstance(value, (int, float)) and isfinite(value)):
                raise SettingsError(
                    f"threshold {limit.name} = {value}: must be a finite number; None (off) switches it off"
                )
            low, high = RANGES.get(limit.name, (0.0, inf))
            if value is not None and not low <= value <= high:
                allowed = f"from {low:g} to {high:g}" if high < inf else f"{low:g} or more"
                raise SettingsError(f"threshold {limit.name} = {value}: must be {allowed}; None (off) switches it off")


_ALL_OFF: dict[str, None] = {limit.name: None for limit in fields(Thresholds)}
PRESETS = {
    "default": Thresholds(),
    # Ranftl et al. 2019, 3D Movies, at 1880 px width: more than 10 % of pixels with vertical flow above 2 px, a range
    # under 10 px, or under 70 % of pixels consistent within 2 px.
    "midas": Thresholds(**{**_ALL_OFF, "max_vertical": 0.10, "min_range_px": 10.0, "min_agreement": 0.7}),
    # Wang et al. 2023, VDW, at 1280 px width: the same with a range of 15 px.
    "vdw": Thresholds(**{**_ALL_OFF, "max_vertical": 0.10, "min_range_px": 15.0, "min_agreement": 0.7}),
    "none": Thresholds(**_ALL_OFF),
}


def check_device(name: str) -> None:
    """Raise SettingsError unless a name is one of a device that networks may run on: auto, cpu, cuda, cuda:N."""
    if not DEVICE.fullmatch(name):
        raise SettingsError(f"device {name!r}: must be auto, cpu, cuda or cuda:N")


@dataclass(frozen=True)
class InputOptions:
    """How files are read, and which of them belong together.

    layout: "auto", or how every file of the pile holds its two eyes, whatever its name and content say.
    film_rate: frames a second that are taken from a film.
    vr_fov: horizontal field of view, degrees, of the views that are cut from VR180 pictures.
    right_first: the first half, frame or file of every pair is the right eye's, whatever its name and content say.
    pair: patterns of the left and of the right eye's paths; only files that match are read (inputs/formats/stated.py).
    pairs: a CSV file left,right[,key]; only the pairs that it lists are read.
    time_tolerance: s; files of two eye folders, or of `pair` with a field "time", are paired by nearest time stamp.
    """

    layout: str = "auto"
    film_rate: float = 1.0
    vr_fov: float = 90.0
    right_first: bool = False
    pair: tuple[str, str] | None = None
    pairs: Path | None = None
    time_tolerance: float | None = None

    def __post_init__(self) -> None:
        """Raise SettingsError, with what is allowed, on a setting out of range."""
        _make_plain(self)
        if self.layout not in LAYOUT_CHOICES:
            raise SettingsError(f"layout {self.layout!r}: must be one of {', '.join(LAYOUT_CHOICES)}")
        if not 0 < self.film_rate <= MAX_FILM_RATE:
            raise SettingsError(f"film_rate {self.film_rate}: must be over 0 and at most 60 frames a second")
        if not 30 <= self.vr_fov <= 120:
            raise SettingsError(f"vr_fov {self.vr_fov}: must be from 30 to 120 degrees")
        if sum((self.layout != "auto", self.pair is not None, self.pairs is not None)) > 1:
            raise SettingsError("--layout, --pair and --pairs contradict each other; give one of them")
        if self.time_tolerance is not None and not 0 <= self.time_tolerance <= 60:
            raise SettingsError(f"time_tolerance {self.time_tolerance}: must be from 0 to 60 s")

    def method(self) -> dict[str, object]:
        """The part that decides what a label is, as plain data: which files make a pair is in the pair's key."""
        settings: dict[str, object] = {"layout": self.layout, "film_rate": self.film_rate, "vr_fov": self.vr_fov}
        return settings | ({"right_first": True} if self.right_first else {})

    def pairing(self) -> dict[str, object]:
        """The settings beside it that decide which files make a pair, as plain data: those that were given."""
        settings = {"pair": self.pair and list(self.pair), "time_tolerance": self.time_tolerance}
        return {name: value for name, value in settings.items() if value is not None}


@dataclass(frozen=True)
class BuildConfig:
    """What a build does. Everything but `engine`, `address`, `device`, `jobs`, `limit` and `part` shapes the data set.

    That must not change on resume.

    flow: one of FLOW_CHOICES, or "onnx:FILE" or "torchscript:FILE". segmenter: "auto", "builtin", "none" or the Hugging
    Face id of a network.
    flow_weights, segmenter_weights: files to load in place of the hub's. device: "auto", "cpu", "cuda" or
    "cuda:N". precision: of RAFT's convolutions, one of PRECISIONS; with "auto" a build goes on in the one that it began
    with. jobs: cores to use, for pairs and for networks; None = all that the process may use.
    eyes: "auto" exchanges eyes that the picture shows to be swapped; "as-is" takes the source's word.
    max_side: longer side of the stored picture in px; larger sources are reduced to it, smaller ones stay.
    mono: the monocular depth network: "builtin", "none", or the path of an ONNX or TorchScript file.
    limit: stop after this many pairs (None = all). thresholds: of the filters.
    part: (3, 16) = the third of sixteen parts; None = all.
    engine: one of ENGINES, where pairs are worked on. address: of a Ray cluster; None = that of RAY_ADDRESS, else a new
    one on this machine. With Ray `jobs` is the cores of a worker.
    inputs: how files are read: a layout for all, the rate of films, the field of view of VR180.
    """

    flow: str = "auto"
    flow_weights: Path | None = None
    segmenter: str = "auto"
    segmenter_weights: Path | None = None
    mono: str = BUILTIN
    device: str = "auto"
    precision: str = AUTO_PRECISION
    eyes: str = "auto"
    max_side: int = 768
    limit: int | None = None
    jobs: int | None = None
    part: tuple[int, int] | None = None
    engine: str = "local"
    address: str | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    inputs: InputOptions = field(default_factory=InputOptions)

    def __post_init__(self) -> None:
        """Raise SettingsError, with what is allowed, on a setting out of range."""
        _make_plain(self)
        for name in ("max_side", "limit", "jobs"):
            value = getattr(self, name)
            if not isinstance(value, int) and not (value is None and name != "max_side"):
                raise SettingsError(f"{name} {value!r}: must be a whole number")
        if self.flow not in FLOW_CHOICES and not is_exported_flow(self.flow):
            forms = " or ".join(f"{form}:FILE" for form in EXPORTED_FLOWS)
            raise SettingsError(f"flow {self.flow!r}: must be one of {', '.join(FLOW_CHOICES)}, or {forms}")
        if self.precision not in PRECISIONS:
            raise SettingsError(f"precision {self.precision!r}: must be one of {', '.join(PRECISIONS)}")
        if self.eyes not in EYES:
            raise SettingsError(f"eyes {self.eyes!r}: must be one of {', '.join(EYES)}")
        if self.engine not in ENGINES:
            raise SettingsError(f"engine {self.engine!r}: must be one of {', '.join(ENGINES)}")
        if self.address is not None and self.engine != "ray":
            raise SettingsError("--address is that of a Ray cluster: give --engine ray with it")
        check_device(self.device)
        if not 128 <= self.max_side <= 4096:
            raise SettingsError(f"max_side {self.max_side}: must be from 128 to 4096 px")
        if self.part is not None and not 1 <= self.part[0] <= self.part[1] <= MOST_PARTS:
            raise SettingsError(f"part {self.part[0]}/{self.part[1]}: must be from 1/N to N/N, N at most {MOST_PARTS}")
        for name in ("limit", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} {value}: must be at least 1")

    def method(self) -> dict[str, object]:
        """The part that decides what a label and a verdict are, as plain data, for build.json."""
        return {
            "eyes": self.eyes,
            "max_side": self.max_side,
            "inputs": self.inputs.method(),
            "thresholds": asdict(self.thresholds),
        }
