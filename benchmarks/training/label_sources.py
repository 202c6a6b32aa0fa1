"""The same small network, for the same number of steps, on labels of different makers.

    python -m benchmarks.training.label_sources PICTURES --before SET --truth STEREO_GT --nyu NYU --out OUT

PICTURES: pairs of the development half, left named left (train_builtin.py sorts them so). SET: what an earlier version
built from them (`git worktree add W COMMIT`; there `build-redweb PICTURES --flow dis --eyes as-is --max-side 384`).
Labels: of the MiDaS 3D Movies rule (the flow's horizontal part where it is consistent), of SET, of this version, of the
same weighed by their confidence (`train --weigh-by-confidence`), and without those that `curate` contradicts (an
agreement below REJECTED, in the place of people's decisions), where there are any. All are of the pictures that this
version and SET keep. EfficientNet-Lite0 from ImageNet, the structure-guided loss. Judged on NYU's test frames and on
the held-out scenes of KITTI and Middlebury: WKDR, %, mean over the seeds, and the standard deviation between them.
Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.held_out import is_held_out
from benchmarks.quality.label_quality import midas_rule
from redweb_builder.builder.build import build
from redweb_builder.config import BUILTIN, BuildConfig, Thresholds
from redweb_builder.dataset.codec import pngs_of_label
from redweb_builder.dataset.decisions import append_decisions, decide, read_decisions
from redweb_builder.dataset.manifest import source_of
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.files import write_atomic
from redweb_builder.pipeline import Outcome, infer, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import Label, Mask
from trainer.checkpoint import load_network
from trainer.commands.console import TrainDisplay
from trainer.config import CURATE
from trainer.data.depth_set import DepthSet
from trainer.data.readers.built import LabelUse, RedwebSet
from trainer.data.readers.nyu import NyuFrames
from trainer.data.readers.stereo_truth import StereoTruth
from trainer.data.splits import evenly_spaced, samples_of
from trainer.evaluation.validation import make_validator
from trainer.training.curate import curate, train_part

MAX_SIDE = 384  # px of the labels; a network of small crops sees no more
NYU_FRAMES = 60
REJECTED = 0.5  # agreement: below it the unseen network orders most pairs the other way round
NETWORK = replace(CURATE, init=None, size=128, learning_rate=1e-3, workers=0)


@click.command()
@click.argument("pictures", type=click.Path(path_type=Path, exists=True))
@click.option("--before", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--truth", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--nyu", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--steps", default=100, show_default=True, help="Of every network.")
@click.option("--fold-steps", default=30, show_default=True, help="Of each network of `curate`.")
@click.option("--seeds", default=3, show_default=True, help="Networks for each kind of labels.")
def main(
    pictures: Path, before: Path, truth: Path, nyu: Path, out: Path, steps: int, fold_steps: int, seeds: int
) -> None:
    """Make the labels, train, judge."""
    config = BuildConfig(flow="dis", segmenter=BUILTIN, eyes="as-is", max_side=MAX_SIDE)
    build(pictures, out / "ours", replace(config, thresholds=Thresholds(min_eye_order=None)))
    keys = sorted(set(open_dataset(out / "ours").keys) & set(open_dataset(before).keys))
    make_midas(pictures, out / "ours", out / "midas", keys, config)
    sets = {
        "MiDaS rule": RedwebSet(out / "midas"),
        "before": RedwebSet(before),
        "ours": RedwebSet(out / "ours"),
        "ours, by confidence": RedwebSet(out / "ours", LabelUse(weighted=True)),
    }
    if make_curated(out / "ours", out / "curated", fold_steps):
        sets["after curate"] = RedwebSet(out / "curated")
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in sets}
    for seed, (name, data) in product(range(seeds), sets.items()):
        chosen = [index for index in range(len(data)) if data.key(index) in keys]
        run = out / f"run {name} {seed}"
        identity = {"labels": name, "steps": steps, "weighted": name.endswith("confidence")}
        with TrainDisplay() as display:
            train_part(data, chosen, replace(NETWORK, seed=seed), steps, run, identity, display.show)
        figures[name].append(judge(run, truth, nyu))
        write_atomic(out / "figures.json", (json.dumps(figures, indent=1) + "\n").encode())
    show(figures, len(keys))


def show(figures: dict[str, list[dict[str, float]]], count: int) -> None:
    """Print the table. figures: of each kind of labels, for every seed. count: of pictures that all have."""
    columns = list(next(iter(figures.values()))[0])
    table = Table(f"labels of {count} pictures", "seeds", *columns)
    for name, rows in figures.items():
        values = {column: [row[column] for row in rows] for column in columns}
        table.add_row(name, str(len(rows)), *(f"{np.mean(each):.1f} ± {np.std(each):.1f}" for each in values.values()))
    Console(width=140).print(table)


def make_midas(pictures: Path, ours: Path, out: Path, keys: Sequence[str], config: BuildConfig) -> None:
    """A copy of a set with the labels of the MiDaS rule. Labels that are there are not made again.

    pictures: that the set was built from. ours: the set. out: the copy. keys: of the labels. config: of the build.
    """
    if not (out / "manifest.parquet").is_file():
        shutil.copytree(ours, out, dirs_exist_ok=True)
    done = out / "midas.json"
    if done.is_file():
        return
    models, data = load_models(config), open_dataset(ours)
    with one_opencv_thread():
        for key in keys:
            prepared = prepare(source_of(data.record(key), pictures), config, models.depth)
            assert not isinstance(prepared, Outcome)
            labelling = midas_rule(infer([prepared], models)[0])
            mask = np.where(labelling.labelled, Mask.MEASURED, Mask.UNKNOWN).astype(np.uint8)
            disparity = np.where(labelling.labelled, labelling.disparity, np.float32(np.nan))
            contents = pngs_of_label(Label(disparity, mask, np.where(labelling.labelled, np.uint8(255), np.uint8(0))))
            for folder, content in zip(("RDs", "masks", "confidence"), contents, strict=True):
                write_atomic(out / folder / f"{key}.png", content)
    write_atomic(done, b"{}\n")


def make_curated(ours: Path, out: Path, steps: int) -> bool:
    """A copy of a set in which the labels are rejected that `curate` contradicts; whether there are any.

    ours: the set. out: the copy. steps: of each network of `curate`.
    """
    if not (out / "manifest.parquet").is_file():
        shutil.copytree(ours, out, dirs_exist_ok=True)
    if not (out / "decisions.jsonl").is_file():
        small = replace(CURATE, size=NETWORK.size, workers=NETWORK.workers)
        curation, _ = curate(out, 3, steps, small)
        wrong = [key for key, value in curation.agreement.items() if value is not None and value < REJECTED]
        print(f"rejected after curate: {len(wrong)} of {len(curation.agreement)}: {', '.join(wrong)}")
        append_decisions(out, [decide(key, "reject", "curate", "wrong-depth") for key in wrong])
    return bool(read_decisions(out / "decisions.jsonl")[0])


def judge(run: Path, truth: Path, nyu: Path) -> dict[str, float]:
    """WKDR, %, of a run's network on each set that judges. truth, nyu: of `main`."""
    frames, scenes = NyuFrames(nyu), StereoTruth(truth)
    test = evenly_spaced(samples_of(frames, "auto", 0.0), NYU_FRAMES)
    judged: dict[str, tuple[DepthSet, list[int]]] = {"NYU": (frames, test)}
    for name in ("kitti", "middlebury"):
        own = [index for index in range(len(scenes)) if scenes.key(index).lower().startswith(name)]
        judged[name] = (scenes, [index for index in own if is_held_out(truth / scenes.key(index))])
    network, figures = load_network(run), {}
    for name, held_out in judged.items():
        values = make_validator([held_out], NETWORK.size)(network, torch.device("cpu")).figures
        figures[f"{name}: {len(held_out[1])}"] = next(iter(values.values()))
        figures.setdefault(f"prior {name}", list(values.values())[-1])
    return figures


if __name__ == "__main__":
    main()
