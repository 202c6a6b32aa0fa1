"""Pairs of points that people judged: WHDR on Depth in the Wild and OASIS, accuracy on DA-2K."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap, Picture
from trainer.data.pictures import read_rgb
from trainer.data.readers.diw import Judgement, on_picture
from trainer.data.readers.point_pairs import read_point_pairs
from trainer.data.splits import evenly_spaced
from trainer.evaluation.competitors import Predict, Watch, map_of, prior, unwatched
from trainer.evaluation.metrics import PRIOR, whdr_wrong
from trainer.evaluation.results import ResultRow, Table
from trainer.evaluation.sheets import SHEET_ROWS, sheet, strip
from trainer.types import DataError, DepthSample


def evaluate_pairs(predictors: Mapping[str, Predict], path: Path, limit: int | None, watch: Watch = unwatched) -> Table:
    """WHDR of every predictor, and of the prior, on judged pairs of points; of DA-2K accuracy, of each scenario too.

    predictors, watch: as in `evaluate`. path: what `read_point_pairs` reads. limit: at most so many point pairs, evenly
    chosen. A photograph that is missing, broken or of other proportions than the list says is left out and named; a
    point outside its photograph is moved to the edge and counted. Raises DataError where no photograph is left, or most
    points are outside.
    """
    everyone = {**predictors, PRIOR: prior}
    judgements = evenly_spaced(read_point_pairs(path), limit)
    judged: Counter[str] = Counter()
    wrong: dict[str, Counter[str]] = {name: Counter() for name in everyone}
    strips: list[Picture] = []
    unread: dict[str, None] = {}  # a sentence each, once for all pairs of a picture
    outside = 0
    shown: Path | None = None  # whose maps are at hand: the pairs of a picture follow each other
    maps: dict[str, FloatMap] = {}
    for done, listed in enumerate(judgements, 1):
        watch(done, len(judgements))
        try:
            if listed.image != shown:
                image = read_rgb(listed.image)
            judgement, moved = on_picture(listed, image.shape)
        except DataError as error:
            unread[str(error)] = None
            shown = None  # the picture at hand may be another one than that of the maps
            continue
        if listed.image != shown:
            shown, maps = listed.image, _maps(everyone, listed, image)
            if len(strips) < SHEET_ROWS:
                strips.append(strip(_unlabelled(image), [maps[name] for name in predictors]))
        outside += moved
        judged[judgement.scenario] += 1
        for name, depth in maps.items():
            wrong[name][judgement.scenario] += whdr_wrong(depth, judgement.first, judgement.second, judgement.farther)
    count = judged.total()
    if not count:
        raise DataError(f"{path}: none of its {len(unread)} photographs can be read. The first: {next(iter(unread))}")
    if 2 * outside > count:
        raise DataError(f"{path}: {outside} of {count} point pairs lie outside their photographs: is the order y, x?")
    counts = {"outside": outside} if outside else {}
    title = path.stem if path.is_file() and path.suffix == ".csv" else path.resolve().name
    rows = [
        ResultRow(title, name, count, _figures(own, judged), counts, list(unread), "pairs of points")
        for name, own in wrong.items()
    ]
    return rows, sheet(strips, ["photograph", "label", *predictors])


def _figures(wrong: Counter[str], judged: Counter[str]) -> dict[str, float]:
    """WHDR where no scenario is known, else accuracy over all pairs and of each scenario; percent."""
    if set(judged) == {""}:
        return {"WHDR": 100 * wrong.total() / judged.total()}
    accuracy = {name: 100 - 100 * wrong[name] / number for name, number in sorted(judged.items())}
    return {"accuracy": 100 - 100 * wrong.total() / judged.total()} | accuracy


def _maps(everyone: Mapping[str, Predict], judgement: Judgement, image: Picture) -> dict[str, FloatMap]:
    key = judgement.image.with_suffix("").as_posix()  # pictures of two folders may have one name
    return {name: map_of(predict, key, image) for name, predict in everyone.items()}


def _unlabelled(image: Picture) -> DepthSample:
    """A sample for the sheet, which has no label to show."""
    unlabelled = np.full(image.shape[:2], np.nan, np.float32)
    return DepthSample("", image, unlabelled, np.zeros(image.shape[:2], bool), 0.0)
