"""The commands that `benchmarks.robustness.write_faults` runs: what lies there before, and the command line.

All but `check`, which writes nothing. Of `review` it is what a visitor of its page makes it do.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.builder import engines, models
from redweb_builder.builder.build import build
from redweb_builder.commands.errors import errors_for_people
from redweb_builder.commands.main import main as redweb
from redweb_builder.config import PRESETS, BuildConfig
from redweb_builder.dataset.decisions import FILE, Decision, append_decisions
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.inputs import isolation
from redweb_builder.inspect import report
from redweb_builder.monocular import network
from redweb_builder.monocular.encoders import build_encoder
from redweb_builder.monocular.estimator import DepthEstimator, load_depth
from redweb_builder.pipeline import Inferred, Models, Prepared, infer, label_pair, prepare
from redweb_builder.review import session as review_session
from redweb_builder.segmentation.segmenters import load_segmenter
from redweb_builder.types import PairSource
from samples.scenes import render
from trainer.config import CURATE, NETWORK_FORMATS
from trainer.training import curate as curation

Array = NDArray[np.uint8]
CONFIG = BuildConfig(
    flow="dis", segmenter="builtin", mono="none", device="cpu", eyes="as-is", thresholds=PRESETS["none"]
)
NETWORKS = ("--flow", "dis", "--segmenter", "builtin", "--mono", "none", "--device", "cpu", "--eyes", "as-is")
BUILD = (*NETWORKS, "--preset", "none")
DEPTH = ("--flow", "dis", "--device", "cpu")
GRID = 1000  # px; wider than any other PNG file here
OTHER_SIDE = 128  # px; of the data set that --overwrite makes in place of the first
TRAIN = (
    *("--encoder", "tu-test_efficientnet", "--encoder-weights", "none", "--size", "64", "--batch", "2"),
    *("--epochs", "2", "--validation", "0.4", "--workers", "0", "--device", "cpu"),
    *("--precision", "float32"),  # auto measures, so that a busy machine would take another
)
SMALL = replace(
    CURATE, encoder="tu-test_efficientnet", encoder_weights="none", init=None, size=64, batch=2, workers=0, threads=1
)
TRAIN_SEGMENTER = (
    *("--encoder-weights", "none", "--size", "64", "--batch", "2", "--epochs", "1", "--workers", "0"),
    *("--fold", "0", "--device", "cpu"),
)
EXPORTS = ("redweb-v1", "webdataset", "huggingface", "ply", "rectified", "labels-only", "fiftyone", "rerun")
NAMES = (
    *("build", "build --part", "build --overwrite", "refilter", "refilter shards", "grid", "report", "decisions"),
    *(f"export {form}" for form in EXPORTS),
    *("review", "merge", "restore", "status", "depth"),
    *("train", "train --overwrite", "curate", "predict", "predict film", "evaluate", "convert-nyu", "train-segmenter"),
    *(f"export {form}" for form in NETWORK_FORMATS),
)
SHOWN = ("preview", "depth", "parallax")  # what a reviewer looks at


@dataclass(frozen=True)
class Scenario:
    """A command. arguments: of `run_command`. before: names in the workspace whose copies lie in its folder before.

    readable: the data set that was finished before, and can be read at every moment.
    """

    arguments: tuple[str, ...]
    before: tuple[str, ...] = ()
    readable: Path | None = None


def prepare_workspace(workspace: Path) -> None:
    """Make what the commands need: stereo/ (photographs), set/ (built of them), others/ (decisions about it), frames/
    (with depth in metres), skies/ (with masks of the sky), film.avi.

    Pairs are labelled here for all runs that are forked from this process.
    """
    torch.set_num_threads(1)  # a fork keeps no other thread than its own
    cv2.setNumThreads(1)
    vars(isolation).update(_AVAILABLE=False)  # no process for the film: it writes nothing, and takes long to start
    _label_once()
    _draw_in_haste()
    _write_stereo(workspace / "stereo")
    if failed := build(workspace / "stereo", workspace / "set", CONFIG).failed:
        raise RuntimeError(f"the pairs {', '.join(failed)} cannot be labelled: read {workspace}/set/errors.log")
    keys = open_dataset(workspace / "set").keys
    decisions = [
        Decision(f"{number:032}", key, "reject", "eve", f"2026-01-01T00:00:0{number}.000000+00:00", "blurred")
        for number, key in enumerate(keys[:2])
    ]
    append_decisions(workspace / "set", decisions[:1])
    (workspace / "others").mkdir()
    append_decisions(workspace / "others", decisions)
    _write_frames(workspace / "frames")
    _write_skies(workspace / "skies")
    _write_film(workspace / "film.avi")
    vars(curation).update(curate=partial(curation.curate, config=SMALL))
    for module in (
        "trainer.train",
        "trainer.commands.train",
        "trainer.commands.evaluate",
        "trainer.commands.console",
        "torch.utils.tensorboard",
    ):
        import_module(module)  # here, so that no fork need do it
    gc.collect()
    gc.freeze()  # no fork need look through the libraries for garbage


def run_command(arguments: Sequence[str]) -> None:
    """Run a command line of cli.py; `review FOLDER` looks through a data set as a visitor of the page does, and ends.

    Ends with SystemExit, as the command does.
    """
    if arguments[0] != "review":
        redweb(list(arguments))
    _review(list(arguments[1:]))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def _review(folder: Path) -> None:
    """Look at every pair, and reject each that nobody has decided about, under an id and a time of its own."""
    vars(review_session).update(decide=_decide)
    with errors_for_people():
        session = review_session.Session(folder, "eve")
        for key in [row["key"] for row in read_manifest(folder).rows if row["width"]]:
            for kind in SHOWN:
                session.picture(kind, key)
            if key not in session.decisions():
                session.decide(key, "reject", "blurred", session.reviewer)


def _decide(key: str, decision: str, reviewer: str, reason: str | None = None) -> Decision:
    return Decision(key, key, decision, reviewer, "2026-01-01T00:00:00.000000+00:00", reason)


def scenario(name: str, workspace: Path, here: Path) -> Scenario:
    """One of NAMES. here: the folder that the command changes."""
    built, out, stereo = here / "set", here / "out", workspace / "stereo"
    if name == "build":
        return Scenario(("build", str(stereo), "--out", str(out), *BUILD))
    if name == "build --part":
        return Scenario(("build", str(stereo), "--out", str(out), *BUILD, "--part", "1/2"))
    if name == "build --overwrite":
        build(stereo, workspace / "other", replace(CONFIG, max_side=OTHER_SIDE))
        return Scenario(
            ("build", str(stereo), "--out", str(built), *BUILD, "--max-side", str(OTHER_SIDE), "--overwrite"), ("set",)
        )
    if name == "merge":
        for number in (1, 2):
            build(stereo, workspace / "parts", replace(CONFIG, part=(number, 2)))
        return Scenario((name, str(here / "parts")), ("parts",))
    if name == "restore":
        redweb([*export_of_set(workspace, "labels-only"), "--out", str(workspace / "labels")], standalone_mode=False)
        return Scenario((name, str(here / "labels"), "--from", str(stereo)), ("labels",))
    if name == "status":
        return Scenario((name, str(built), "--prometheus", str(here / "build.prom")), ("set",), built)
    if name == "depth":
        photograph = (name, str(stereo / "hut-sbs.jpg"), *DEPTH, "--out")
        redweb([*photograph, str(workspace / "depth")], standalone_mode=False)  # here, so that no fork need match
        return Scenario((*photograph, str(out)))
    if name == "refilter":
        return Scenario((name, str(built), "--set", f"min_texture={_middle(workspace / 'set')}"), ("set",), built)
    if name == "refilter shards":
        redweb([*export_of_set(workspace, "webdataset"), "--out", str(workspace / "shards")], standalone_mode=False)
        limit = f"min_texture={_middle(workspace / 'set')}"
        return Scenario(("refilter", str(here / "shards"), "--set", limit), ("shards",), here / "shards")
    if name in ("grid", "report", "review"):
        return Scenario((name, str(built)), ("set",), built)
    if name == "decisions":
        return Scenario((name, str(built), str(workspace / "others" / FILE)), ("set",), built)
    if name.removeprefix("export ") in EXPORTS:
        form = name.removeprefix("export ")
        return Scenario(("export", str(built), "--format", form, "--out", str(out)), ("set",), built)
    return _network_scenario(name, workspace, here)


def export_of_set(workspace: Path, form: str) -> tuple[str, ...]:
    """The command line that exports the data set of the workspace in a format, but for --out."""
    return ("export", str(workspace / "set"), "--format", form)


def training(workspace: Path, out: Path) -> tuple[str, ...]:
    """The command line that trains a small network on the data set of the workspace, into the folder `out`."""
    return ("train", "--data", str(workspace / "set"), "--out", str(out), *TRAIN)


def _network_scenario(name: str, workspace: Path, here: Path) -> Scenario:
    """The commands on a network; the run that they start from is `run/` in the workspace."""
    data, run, out = workspace / "set", here / "run", here / "out"
    photograph = next((data / "Imgs").iterdir())
    predict = ("predict", "--out", str(out), "--device", "cpu", str(run))
    return {
        "train": Scenario(training(workspace, out)),
        "curate": Scenario(("curate", str(here / "set"), "--folds", "2", "--steps", "2"), ("set",), here / "set"),
        "train --overwrite": Scenario((*training(workspace, run), "--seed", "1", "--overwrite"), ("run",)),
        "predict": Scenario((*predict, str(photograph), "--stereo", "parallax", "--raw", "npy"), ("run",)),
        "predict film": Scenario((*predict, str(workspace / "film.avi"), "--film", "--stereo", "sbs"), ("run",)),
        "evaluate": Scenario(("evaluate", str(run), "--on", str(data), "--out", str(out), "--device", "cpu"), ("run",)),
        "convert-nyu": Scenario(("convert-nyu", str(workspace / "frames"), str(out))),
        "train-segmenter": Scenario(
            ("train-segmenter", "--data", f"masks:{workspace / 'skies'}", "--out", str(out), *TRAIN_SEGMENTER)
        ),
        **{
            f"export {form}": Scenario(("export", str(run), "--format", form, "--out", str(out / "network")), ("run",))
            for form in NETWORK_FORMATS
        },
    }[name]


def _middle(data: Path) -> float:
    """A limit on texture that some pairs of a data set pass and some do not."""
    return float(np.median([row["texture"] for row in read_manifest(data).rows if row["width"]]))


def _write_stereo(folder: Path) -> None:
    """Two pairs that are kept, one in another form, a duplicate that is not as good, one that is broken."""
    folder.mkdir()
    meadow, hut = (render(seed, 160, 120, max_disparity=12.0) for seed in (0, 4))
    spoilt = meadow.right.copy()
    spoilt[60:90, 40:100] = np.random.default_rng(0).integers(0, 256, (30, 60, 3), dtype=np.uint8)
    for name, left, right in (("meadow", meadow.left, meadow.right), ("a-copy", meadow.left, spoilt)):
        Image.fromarray(left).save(folder / f"{name}_L.png")
        Image.fromarray(right).save(folder / f"{name}_R.png")
    Image.fromarray(np.hstack([hut.left, hut.right])).save(folder / "hut-sbs.jpg", quality=92)
    (folder / "broken_L.jpg").write_bytes((folder / "hut-sbs.jpg").read_bytes()[:2000])
    shutil.copy(folder / "hut-sbs.jpg", folder / "broken_R.jpg")


def _write_frames(folder: Path) -> None:
    """Two frames with depth in metres, as another camera's program stores them."""
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for seed in range(2):
        scene = render(seed, 160, 120, max_disparity=12.0)
        millimetres = np.linspace(1000, 4000, 160 * 120).reshape(120, 160).astype(np.uint16)
        Image.fromarray(scene.left).save(folder / "rgb" / f"{seed}.png")
        Image.fromarray(millimetres).save(folder / "depth" / f"{seed}.png")
    (folder / "depth.json").write_text('{"scale": 1000}')


def _write_skies(folder: Path) -> None:
    """Three pictures whose upper half is sky."""
    folder.mkdir()
    sky = np.zeros((120, 160), np.uint8)
    sky[:60] = 255
    for seed in range(3):
        Image.fromarray(render(seed, 160, 120, max_disparity=12.0).left).save(folder / f"{seed}.png")
        Image.fromarray(sky).save(folder / f"{seed}_sky.png")


def _write_film(file: Path) -> None:
    """Two frames."""
    film = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 64))
    for level in (60, 200):
        film.write(np.full((64, 96, 3), level, np.uint8))
    film.release()


def load_once() -> None:
    """Let builds and trainings share the networks that were loaded first, in this process and in its forks.

    Not the flow: DIS has threads, which no fork has.
    """
    vars(models).update(load_segmenter=cache(load_segmenter), load_depth=cache(load_depth))
    encoder_of = cache(build_encoder)
    vars(network).update(build_encoder=lambda name: deepcopy(encoder_of(name)))  # its weights are random anyhow


def _label_once() -> None:
    """Let the pipeline remember what it made of a pair, for this process and all that are forked from it."""
    made: dict[object, Any] = {}
    configs: dict[int, BuildConfig] = {}

    def remembered(step: str, source: PairSource, config: BuildConfig, make: Callable[[], Any]) -> Any:
        name = step, source.key, repr(replace(config, part=None))
        if name not in made:
            made[name] = make()
        return made[name]

    def prepare_once(source: PairSource, config: BuildConfig, depth: DepthEstimator | None) -> Any:
        prepared = remembered("prepare", source, config, lambda: prepare(source, config, depth))
        configs[id(prepared)] = config
        return prepared

    def infer_once(batch: Sequence[Prepared], networks: Models) -> list[Any]:
        return [
            remembered("infer", prepared.source, configs[id(prepared)], partial(_infer, prepared, networks))
            for prepared in batch
        ]

    def label_once(inferred: Inferred, networks: Models, config: BuildConfig) -> Any:
        return remembered("label", inferred.prepared.source, config, lambda: label_pair(inferred, networks, config))

    vars(engines).update(prepare=prepare_once, infer=infer_once, label_pair=label_once)
    load_once()


def _draw_in_haste() -> None:
    """Compile the template of the report once for all forks, keep grids small, and hardly compress pictures: nobody
    looks at them.
    """
    vars(report).update(_environment=cache(report._environment))
    save = Image.Image.save

    def save_fast(image: Image.Image, file: Any, format: str | None = None, **options: Any) -> None:
        if format == "PNG":
            is_grid = image.width > GRID and image.mode == "RGB"
            image, options = image.reduce(8) if is_grid else image, options | {"compress_level": 0}
        save(image, file, format, **options)

    Image.Image.save = save_fast  # type: ignore[method-assign, assignment]


def _infer(prepared: Prepared, networks: Models) -> Inferred:
    return infer([prepared], networks)[0]
