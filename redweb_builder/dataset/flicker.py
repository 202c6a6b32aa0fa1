"""How steady labels are from one frame of a film to the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.clips import neighbours_of
from redweb_builder.dataset.label_reader import read_label, read_stored
from redweb_builder.dataset.manifest import SCHEMA, nine_digits, with_values
from redweb_builder.dataset.paths import image_of
from redweb_builder.errors import StoreError
from redweb_builder.matching.consistency import PREVIEW_PX, forward_backward_error
from redweb_builder.matching.dis import quick_flow, reduced
from redweb_builder.matching.texture import grey_levels
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import Label, Mask, Picture

SIDE = 448  # px; longer side of the views between which points are followed
MIN_SHARE = 0.05  # of the picture; fewer points that are followed and measured in both frames tell nothing


def with_flicker(table: pa.Table, out: Path, watch: Callable[[str], None] = lambda key: None) -> pa.Table:
    """The rows with flicker_px of every labelled frame that follows another in a sequence (clips.py).

    table: the whole manifest; the column is null in all other rows. out: the data set, with the frames' files in their
    place. watch: called with the key of each such frame.
    """
    measured: dict[str, float | None] = {}
    with one_opencv_thread():
        for earlier, later in neighbours_of(table):
            watch(later["key"])
            try:
                pictures = [read_stored(image_of(out, row["key"])) for row in (earlier, later)]
                labels = [read_label(out, row["key"]) for row in (earlier, later)]
            except StoreError:
                continue  # a frame without a label
            measured[later["key"]] = nine_digits(flicker(pictures[0], pictures[1], labels[0], labels[1]))
    table = table.drop_columns("flicker_px").append_column("flicker_px", pa.nulls(len(table), pa.float64()))
    places = np.flatnonzero(np.asarray(pc.is_valid(table["clip"])))
    columns = {"flicker_px": [measured.get(key) for key in table["key"].take(pa.array(places)).to_pylist()]}
    return with_values(table.select(SCHEMA.names), places, columns)


def flicker(earlier: Picture, later: Picture, before: Label, after: Label) -> float:
    """Median change of the disparity of points that are followed from one frame to the next, px of the stored picture.

    earlier, later: HxWx3 uint8 left views of one size. before, after: their labels. Points count where the flow between
    the frames is confirmed in both directions and both labels are measured. True motion in depth counts too; between
    close frames it is small. NaN where there is too little to go by.
    """
    if later.shape != earlier.shape:
        return float("nan")
    (small, small_later), _ = reduced((earlier, later), SIDE)
    flow = quick_flow(grey_levels(small), grey_levels(small_later))
    height, width = small.shape[:2]
    measured = [np.where(label.mask == Mask.MEASURED, label.disparity, np.nan) for label in (before, after)]
    first, second = (cv2.resize(disparity, (width, height), interpolation=cv2.INTER_NEAREST) for disparity in measured)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    followed = cv2.remap(
        second,
        x + flow.forward[..., 0],
        y + flow.forward[..., 1],
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=float("nan"),
    )
    change = np.abs(followed - first)[forward_backward_error(flow) <= PREVIEW_PX]
    change = change[np.isfinite(change)]
    return float(np.median(change)) if change.size >= MIN_SHARE * first.size else float("nan")
