"""Rectified stereo pairs with their disparity, in the layouts that stereo networks are trained on.

Such networks know positive disparities only. Pairs of converged cameras have both signs, so that the right view begins
`shift` columns later and the left one ends as many earlier: every disparity grows by `shift`, and neither view gets a
void. pairs.csv has the shift of each pair. Sky has no disparity, and is unknown.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from redweb_builder.dataset.paths import photographs_of
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.source_views import aligned_views
from redweb_builder.errors import StoreError
from redweb_builder.export.stereo_layouts import LAYOUTS, RectifiedPair
from redweb_builder.files import create
from redweb_builder.inputs.picture import MIN_SIDE
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import FloatMap, Mask

LEAST_PX = 1.0  # px; the smallest disparity of a pair that is shifted
COLUMNS = ("name", "key", "shift_px", "width", "height", "fx_px", "baseline_m", "doffs_px")  # of pairs.csv


def write_rectified(
    dataset: Dataset, keys: Sequence[str], folder: Path, source: Path | None = None, layout: str = "middlebury"
) -> Iterator[str | StoreError]:
    """Write the pairs in a layout, and pairs.csv; yields each key when it is done, or why its pair is left out.

    dataset, keys: what is exported. folder: an empty folder. source: of the stereo photographs; default: the one that
    build.json names. layout: one of LAYOUTS. Raises OSError; StoreError where a folder that is given is not
    there.
    """
    source = photographs_of(dataset.folder, source)
    rows: list[list[Any]] = []
    for key in keys:
        try:
            with one_opencv_thread():  # a right view is aligned as the build did it
                pair = rectified_pair(dataset, key, source)
        except StoreError as error:
            yield StoreError(f"{key}: {error}")
            continue
        name = f"{len(rows):06}"
        for path, content in LAYOUTS[layout](name, pair).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with create(folder / path) as file:
                file.write(content)
        rows.append([name, key, *_facts(pair)])
        yield key
    with create(folder / "pairs.csv") as file:
        file.write(_csv(rows))


def rectified_pair(dataset: Dataset, key: str, source: Path | None) -> RectifiedPair:
    """Read the photographs of a sample again, and make its disparity positive.

    dataset: an open data set. key: of the sample. source: as of source_views. Raises StoreError.
    """
    sample, row = dataset[key], dataset.record(key)
    views = aligned_views(dataset.folder, row, source)
    if views.left.shape[:2] != sample.mask.shape:
        raise StoreError("its photographs have another size than its label")
    disparity = np.where(sample.mask == Mask.SKY, np.float32(np.nan), sample.disparity)
    if not np.isfinite(disparity).any():
        raise StoreError("nothing of its label is known")
    shift = positive_shift(disparity)
    width = disparity.shape[1] - shift
    if width < MIN_SIDE or not np.isfinite(disparity[:, :width]).any():
        raise StoreError(f"its disparity is made positive by {shift} px, which leaves nothing of it")
    offset = row.get("doffs_px")
    return RectifiedPair(
        views.left[:, :width],
        views.right[:, shift:],
        disparity[:, :width] + np.float32(shift),
        sample.mask[:, :width],
        sample.confidence[:, :width],
        shift,
        row.get("fx_px"),
        row.get("baseline_m"),
        None if offset is None else offset - shift,
    )


def positive_shift(disparity: FloatMap) -> int:
    """The whole px to be added so that every known disparity is positive; 0 where it is.

    disparity: HxW float32 px, NaN = unknown.
    """
    known = disparity[np.isfinite(disparity)]
    return 0 if not known.size or known.min() > 0 else ceil(LEAST_PX - float(known.min()))


def _facts(pair: RectifiedPair) -> list[float | int | None]:
    height, width = pair.mask.shape
    return [pair.shift, width, height, pair.fx_px, pair.baseline_m, pair.doffs_px]


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue().encode()
