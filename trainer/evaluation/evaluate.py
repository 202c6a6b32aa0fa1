"""The field's figures for networks and for the prior, on any data set, as table, JSON and picture sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from redweb_builder.store import write_atomic
from redweb_builder.types import FloatMap, Picture
from trainer.checkpoint import load_network, read_header, weights_file
from trainer.data.depth_set import DepthSet
from trainer.data.open import open_data
from trainer.data.pictures import read_rgb
from trainer.data.readers.diw import Judgement, read_diw
from trainer.data.readers.nyu_files import is_list
from trainer.data.splits import samples_of, thinned
from trainer.evaluation.metrics import (
    Ordinal,
    affine_depth,
    align,
    balanced_threshold,
    boundary_f1,
    lower_is_nearer,
    ordinal,
    whdr_wrong,
    wkdr_at,
    wkdr_unequal,
)
from trainer.evaluation.sheets import SHEET_ROWS, sheet, strip
from trainer.predict import predict_depth
from trainer.types import DataError, DepthSample

T = TypeVar("T")
Predict = Callable[[Picture], FloatMap]
PRIOR = "lower is nearer"


@dataclass(frozen=True)
class Row:
    """One predictor on one set. figures: rates in percent, lower better but for d1 and F1; NaN = no ground for it."""

    data: str
    predictor: str
    samples: int
    figures: dict[str, float]


def prior(image: Picture) -> FloatMap:
    """The prediction that looks at nothing: the lower of two points is nearer."""
    return lower_is_nearer(*image.shape[:2])


def predictor(path: Path, device: torch.device) -> Predict:
    """A checkpoint as a function of a photograph, larger = nearer. Raises CheckpointError."""
    network = load_network(path, device).to(memory_format=torch.channels_last)
    size = int(read_header(weights_file(path)).get("size", 384))
    return lambda image: predict_depth(network, image, size, device)


def evaluate(
    predictors: dict[str, Predict],
    path: Path,
    part: str,
    share: float,
    limit: int | None = None,
    watch: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Row], Picture]:
    """Every predictor, and the prior, on a data set or a DIW CSV. Returns the rows and a sheet of pictures.

    part, share: see data.splits.samples_of. limit: at most so many samples, evenly chosen.
    watch: (samples done, of all). Raises DataError.
    """
    everyone = {**predictors, PRIOR: prior}
    if path.suffix.lower() == ".csv" and not is_list(path):
        judgements = thinned(read_diw(path), limit)
        return _on_diw(everyone, path, judgements, watch)
    data = open_data(path)
    indices = thinned(samples_of(data, part, share), limit)
    collected: dict[str, list[SampleFigures]] = {name: [] for name in everyone}
    strips = []
    shown = set(thinned(indices, SHEET_ROWS))
    for done, index in enumerate(indices):
        sample = data[index]
        maps = {name: predict(sample.image) for name, predict in everyone.items()}
        for name, depth in maps.items():
            collected[name].append(sample_figures(depth, sample, data))
        if index in shown:
            strips.append(strip(sample, [maps[name] for name in predictors]))
        watch(done + 1, len(indices))
    rows = [Row(data.name, name, len(found), summed(found, data)) for name, found in collected.items()]
    return rows, sheet(strips)


# ---- one sample, many samples -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampleFigures:
    """What one prediction is worth: its ordinal pairs, and figures of its own."""

    pairs: Ordinal
    figures: dict[str, float]


def sample_figures(depth: FloatMap, sample: DepthSample, data: DepthSet) -> SampleFigures:
    """Figures of one prediction. Metric sets have AbsRel, d1 and F1; others, whose labels have no zero, do not."""
    valid = np.isfinite(sample.disparity) & data.judged(sample.disparity.shape)
    pairs = ordinal(depth, sample.disparity, valid, ratio=data.metric, noise=sample.noise, sky=sample.sky)
    scale, shift = align(depth, sample.disparity, valid)
    if not data.metric:
        error = (scale * depth + shift - sample.disparity)[valid]
        spread = float(sample.disparity[valid].std()) if valid.any() else np.nan
        relative = float(np.sqrt(np.mean(error**2))) / spread if spread > 0 else np.nan
        return SampleFigures(pairs, {"RMSE/std": relative, "inverted": 100.0 * (scale < 0)})
    affine, aligned = affine_depth(depth, sample.disparity, valid, data.farthest)
    figures = {
        "AbsRel": affine.abs_rel,
        "d1": 100 * affine.d1,
        f"RMSE {data.unit}": affine.rmse,
        "F1": 100 * boundary_f1(aligned, np.where(valid, sample.disparity, 1), valid),
        "inverted": 100.0 * affine.inverted,
    }
    return SampleFigures(pairs, figures)


def summed(found: Sequence[SampleFigures], data: DepthSet) -> dict[str, float]:
    """Means over samples. WKDR counts unequal pairs at threshold 0; "balanced" is Chen et al. 2016's with its parts."""
    pairs = [one.pairs for one in found]
    threshold = balanced_threshold(pairs)
    balanced = 100 * column_means([wkdr_at(one, threshold) for one in pairs])
    figures = {"WKDR": 100 * float(column_means([(wkdr_unequal(one),) for one in pairs])[0])}
    figures |= dict(zip(("balanced", "equal", "unequal"), balanced.tolist(), strict=True))
    names = found[0].figures
    means = column_means([tuple(one.figures.values()) for one in found])
    return figures | dict(zip(names, means.tolist(), strict=True))


def column_means(rows: Sequence[tuple[float, ...]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Column means without the NaN; NaN for a column of nothing else."""
    table = np.asarray(rows, np.float64)
    counted = ~np.isnan(table)
    totals = np.where(counted, table, 0).sum(axis=0)
    means = np.full(totals.shape, np.nan)
    np.divide(totals, counted.sum(axis=0), out=means, where=counted.any(axis=0))
    return means


def _on_diw(
    everyone: dict[str, Predict], path: Path, judgements: Sequence[Judgement], watch: Callable[[int, int], None]
) -> tuple[list[Row], Picture]:
    wrong = dict.fromkeys(everyone, 0)
    strips = []
    for done, judgement in enumerate(judgements):
        image = read_rgb(judgement.image)
        if max(judgement.first[0], judgement.second[0]) >= image.shape[0] or (
            max(judgement.first[1], judgement.second[1]) >= image.shape[1]
        ):
            raise DataError(f"{path}: a point of {judgement.image.name} lies outside it: is the order y, x?")
        maps = {name: predict(image) for name, predict in everyone.items()}
        for name, depth in maps.items():
            wrong[name] += whdr_wrong(depth, judgement.first, judgement.second, judgement.farther)
        if done < SHEET_ROWS:
            unlabelled = np.full(image.shape[:2], np.nan, np.float32)
            sample = DepthSample("", image, unlabelled, np.zeros(image.shape[:2], bool), 0.0)
            strips.append(strip(sample, [maps[name] for name in everyone if name != PRIOR]))
        watch(done + 1, len(judgements))
    count = len(judgements)
    return [Row(path.stem, name, count, {"WHDR": 100 * errors / count}) for name, errors in wrong.items()], sheet(
        strips
    )


def gathered(tables: Sequence[tuple[list[Row], Picture]]) -> tuple[list[Row], dict[str, Picture]]:
    """The rows of several sets, and their sheets by name; sets of one name are told apart."""
    names = apart([rows[0].data for rows, _ in tables])
    rows = [replace(row, data=name) for name, (found, _) in zip(names, tables, strict=True) for row in found]
    return rows, {name: picture for name, (_, picture) in zip(names, tables, strict=True)}


def apart(names: Sequence[str]) -> list[str]:
    """Names of sets, the second one of a name with -2 behind it, and so on: two folders may both be called redweb."""
    return [
        name if names[:at].count(name) == 0 else f"{name}-{names[: at + 1].count(name)}"
        for at, name in enumerate(names)
    ]


# ---- output -----------------------------------------------------------------------------------------------------


def write_report(rows: Sequence[Row], sheets: dict[str, Picture], out: Path) -> None:
    """evaluation.json, and a sheet_NAME.png a set, in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    content = [{"data": row.data, "predictor": row.predictor, "samples": row.samples, **row.figures} for row in rows]
    plain = json.loads(json.dumps(content), parse_constant=lambda _: None)  # NaN is no JSON: null
    write_atomic(out / "evaluation.json", (json.dumps(plain, indent=2) + "\n").encode())
    for name, picture in sheets.items():
        done, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        assert done
        write_atomic(out / f"sheet_{name}.png", png.tobytes())
