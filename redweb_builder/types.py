"""The nouns of the builder.

Conventions, kept everywhere (see ARCHITECTURE.md):

* pictures are HxWx3 uint8 RGB arrays;
* disparity is HxW float32 in pixels of the left view, **larger = nearer**, NaN = unknown, both signs
  occur (converged cameras): the left pixel (x, y) is seen in the right view at (x - disparity, y);
* every map of a pair lies in the left-image frame unless its name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
FloatMap = NDArray[np.float32]
BoolMap = NDArray[np.bool_]

Corners = tuple[int, int, int, int]  # left, top, right, bottom, px; right and bottom are excluded
Window = tuple[int, int, int, int]  # left, top, width, height, px


@dataclass(frozen=True)
class PairSource:
    """Where a stereo pair lies and how it is read: plain data, picklable, nothing opened yet.

    key: unique, file-name safe, made from the path below the input folder; names every output file.
    left, right: the files of the two eyes; the same file for a packed picture or a container.
    layout: one of inputs.layout.LAYOUTS ("files" = one file an eye; the rest hold both eyes in one file).
    rule: in words, what recognised it ("folders left/ + right/", "JPS header", ...).
    right_first: the first half or frame belongs to the right eye (cross-eyed).
    guessed: the layout or the eye order was inferred from the content or a default, not stated.
    order_stated: a word of the name, or the convention of such files, states which eye comes first, though the layout
    is guessed.
    time: seconds; the two files are films, and the pair is their frame at this time. None for photographs.
    crops: of a film, the box without black bars of the first and of the second eye, px of the frame. None for
    photographs.
    film_order: of a film, the mean eye_order of frames from all over it (rectification/film_order.py), the same for
    every frame. None for photographs.
    offset: s; of two films, how much later the second one shows what the first one shows.
    clip, clip_frame: of a film, a name for what lies between two cuts, unique in the input folder; and the place of the
    frame among those taken of it, from 0. None for photographs.
    alignment: of a film, the numbers of the alignment of its clip (clip_alignment.py). None for photographs.
    order_prior: log odds that the eyes are as stated, from the other pairs of the group (rectification/group_order.py).
    None where no group was asked.
    fov: degrees; the horizontal field of view of the flat view to cut from a VR180 picture.
    calibration: the files beside the pictures that state the rig (inputs/formats/calibration.py); empty = none.
    """

    key: str
    left: Path
    right: Path
    layout: str
    rule: str
    right_first: bool = False
    guessed: bool = False
    order_stated: bool = False
    time: float | None = None
    crops: tuple[Corners, Corners] | None = None
    film_order: float | None = None
    offset: float = 0.0
    clip: str | None = None
    clip_frame: int | None = None
    alignment: tuple[float, ...] | None = None
    order_prior: float | None = None
    fov: float = 90.0
    calibration: tuple[Path, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A file of the input folder that is not part of any pair, and why.

    path: below the input folder or absolute. reason: a short code. detail: a sentence for people.
    trace: the traceback of an unforeseen error, reason "failed"; empty for every other reason.
    """

    path: Path
    reason: str
    detail: str = ""
    trace: str = ""


@dataclass(frozen=True)
class StereoPair:
    """Two views of one scene, equal in size.

    key: of its PairSource. left, right: HxWx3 uint8 RGB.
    lossless: the source stores pixels without loss (its left view is then stored as PNG).
    source_size: (width, height) of one eye in the source, before any crop or resize.
    digest: hexadecimal SHA-256 of the source bytes; for a frame of a film, of its pixels.
    crop: the box of each eye without its mount, border or bars: "left WxH+X+Y, right WxH+X+Y", px of the source;
    empty where nothing was cropped.
    windows: what the left and the right view show of their eye in the source, px of the source; None where the two were
    cropped or scaled apart.
    far_apart: the views may be matched better from their global shift than from zero flow; False where the preview says
    that they are not.
    """

    key: str
    left: Picture
    right: Picture
    lossless: bool
    source_size: tuple[int, int]
    digest: str
    crop: str = ""
    windows: tuple[Window, Window] | None = None
    far_apart: bool = True


@dataclass(frozen=True)
class Flow:
    """Dense flow between the views, HxWx2 float32, px, (x, y) order.

    forward: in the left frame, left -> right. backward: in the right frame, right -> left.
    """

    forward: FloatMap
    backward: FloatMap


PRESENT = 0.5  # probability from which a pixel counts as sky, or as far field


@dataclass(frozen=True)
class Regions:
    """Semantic probabilities of the left view. sky, far: HxW float32 in [0, 1]."""

    sky: FloatMap
    far: FloatMap


class Mask(IntEnum):
    """The origin of a label pixel's value, as in masks/<key>.png.

    UNKNOWN: no value. MEASURED: a match with a small predicted error. SKY: segmented as sky, at the smallest
    disparity. FILLED: the plane of a superpixel, its own or one propagated from its neighbours.
    """

    UNKNOWN = 0
    MEASURED = 1
    SKY = 2
    FILLED = 3

    @property
    def word(self) -> str:
        """For people."""
        return "filled in" if self is Mask.FILLED else self.name.lower()


@dataclass(frozen=True)
class Label:
    """The refined relative depth of a left view.

    disparity: HxW float32, px, larger = nearer, NaN exactly where mask is UNKNOWN; sky pixels hold
    the image's smallest value.
    mask: HxW uint8 of Mask values.
    confidence: HxW uint8, 0 where mask is UNKNOWN. Of sky: 255 x its probability. Elsewhere: 255 / (1 + predicted
    error in px), so 255 = no error expected (labels/confidence.py).
    """

    disparity: FloatMap
    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


@dataclass(frozen=True)
class Rejection:
    """Why a pair was not kept: data, not an exception.

    stage: "read", "refine", "filter", "duplicate", "failed". reason: a short code ("vertical", ...).
    value, threshold: the measurement that decided and its limit; None where the reason has no measurement.
    detail: free text for people and logs.
    """

    stage: str
    reason: str
    value: float | None = None
    threshold: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Evidence:
    """The label of a pair and all that it was made from; the inspection strip is drawn from it.

    pair: aligned. flow: of it, px. regions, label: of the left view. raw_disparity: HxW float32 px, of the fused match,
    no NaN. valid: HxW bool, the flow is consistent forward and backward and its match lies on a valid part of the right
    view. measurements: by the names and in the units of criteria.MEASUREMENTS.
    """

    pair: StereoPair
    flow: Flow
    raw_disparity: FloatMap
    valid: BoolMap
    regions: Regions
    label: Label
    measurements: dict[str, float] = field(default_factory=dict)
