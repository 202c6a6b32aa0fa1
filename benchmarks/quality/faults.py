"""Do the filters separate bad pairs from good ones?

    python -m benchmarks.quality.faults STEREO_DIR [STEREO_DIR ...] [--flow dis] [--every 1]

Every pair found is taken as good. From it faulty ones are made: another pair's right view (unrelated), the left view
twice, the right view's lower half shifted (torn), one eye blurred, one eye mirrored, the red and the cyan of one
picture (anaglyph split), two halves of one picture (panorama halves), a right view whose middle has moved (moved
scene), both views blurred to nothing (textureless), one eye overexposed. A plain vertical shift of 5 to 40 px is no
fault here: alignment undoes it, and it is reported as repaired. Printed: the share of each fault that is rejected, the
reasons named, the share of good pairs lost, and the AUROC of the combined decision (the smallest slack of all checks).
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.errors import InputError
from redweb_builder.filters.checks import checks
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.pipeline import Models, Outcome, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import PairSource, Picture, StereoPair

Views = tuple[Picture, Picture]
MAX_SIDE = 512


def twice(pair: StereoPair, _: StereoPair) -> Views:
    """The same picture twice."""
    return pair.left, pair.left


def unrelated(pair: StereoPair, other: StereoPair) -> Views:
    """The right view of another pair, brought to size."""
    height, width = pair.left.shape[:2]
    return pair.left, np.asarray(cv2.resize(other.right, (width, height)), np.uint8)


def torn(pair: StereoPair, _: StereoPair) -> Views:
    """The right half of the right view 20 px lower."""
    right = pair.right.copy()
    half = right.shape[1] // 2
    right[:, half:] = np.roll(right[:, half:], 20, 0)
    return pair.left, right


def shifted(pair: StereoPair, _: StereoPair) -> Views:
    """The right view 15 px lower: repaired by alignment."""
    return pair.left, np.roll(pair.right, 15, 0)


def blurred_eye(pair: StereoPair, _: StereoPair) -> Views:
    """One eye out of focus."""
    return pair.left, np.asarray(cv2.GaussianBlur(pair.right, (0, 0), 4), np.uint8)


def mirrored_eye(pair: StereoPair, _: StereoPair) -> Views:
    """One eye seen in a mirror."""
    return pair.left, np.ascontiguousarray(pair.right[:, ::-1])


def anaglyph_split(pair: StereoPair, _: StereoPair) -> Views:
    """The red and the cyan of an ordinary photograph."""
    red, green = (cv2.cvtColor(pair.left[..., channel], cv2.COLOR_GRAY2RGB) for channel in (0, 1))
    return np.asarray(red, np.uint8), np.asarray(green, np.uint8)


def panorama_halves(pair: StereoPair, _: StereoPair) -> Views:
    """The left and the right half of one picture."""
    half = pair.left.shape[1] // 2
    return np.ascontiguousarray(pair.left[:, :half]), np.ascontiguousarray(pair.left[:, half : 2 * half])


def moved_scene(pair: StereoPair, _: StereoPair) -> Views:
    """A right view taken later: its middle has moved down and grown."""
    right = pair.right.copy()
    height, width = right.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 8, 1.1)
    turn[1, 2] += height / 12
    moved = cv2.warpAffine(right, turn, (width, height))
    window = np.s_[height // 5 : -height // 5, width // 5 : -width // 5]
    right[window] = moved[window]
    return pair.left, right


def textureless(pair: StereoPair, _: StereoPair) -> Views:
    """Nothing but smooth shades."""
    smooth = [
        np.asarray(cv2.GaussianBlur(view, (0, 0), view.shape[1] / 12), np.uint8) for view in (pair.left, pair.right)
    ]
    return smooth[0], smooth[1]


def overexposed(pair: StereoPair, _: StereoPair) -> Views:
    """One eye two stops brighter."""
    return pair.left, np.clip(pair.right.astype(np.float32) * 4, 0, 255).astype(np.uint8)


FAULTS: tuple[Callable[[StereoPair, StereoPair], Views], ...] = (
    twice,
    unrelated,
    torn,
    blurred_eye,
    mirrored_eye,
    anaglyph_split,
    panorama_halves,
    moved_scene,
    textureless,
    overexposed,
)


def outcome_of(views: Views, models: Models, config: BuildConfig, folder: Path) -> Outcome:
    """What a build says of two views, which are written to a folder as it would read them."""
    files = [folder / "a_L.png", folder / "a_R.png"]
    for file, view in zip(files, views, strict=True):
        Image.fromarray(view).save(file, compress_level=1)
    prepared = prepare(PairSource("a", files[0], files[1], "files", "planted"), config, models.depth)
    return prepared if isinstance(prepared, Outcome) else label_pair(infer([prepared], models)[0], models, config)


def verdict(views: Views, models: Models, config: BuildConfig, folder: Path) -> tuple[float, str]:
    """The smallest slack of all checks (negative = rejected) and the reason, "" = kept."""
    outcome = outcome_of(views, models, config, folder)
    reason = outcome.rejection.reason if outcome.rejection else ""
    if outcome.evidence is None:
        return -1.0, reason
    measured = outcome.evidence.measurements
    slacks = [check.slack(measured[check.measurement]) for check in checks(config.thresholds)]
    return float(np.nanmin(slacks)), reason


def auroc(good: list[float], bad: list[float]) -> float:
    """Chance that a good pair's slack exceeds a bad one's, ties counting half."""
    good_slack, bad_slack = np.array(good)[:, None], np.array(bad)[None]
    return float((good_slack > bad_slack).mean() + 0.5 * (good_slack == bad_slack).mean())


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--every", default=1, show_default=True, help="Only every n-th pair.")
def main(roots: tuple[Path, ...], flow: str, flow_weights: Path | None, every: int) -> None:
    """Print the table of faults for the pairs below ROOTS."""
    config = BuildConfig(flow=flow, flow_weights=flow_weights, segmenter=BUILTIN, max_side=MAX_SIDE)
    models = load_models(config)
    pairs = []
    for source in [source for root in roots for source in discover(root).sources][::every]:
        try:
            pairs.append(replace(read_pair(source, MAX_SIDE), key=source.key))
        except InputError as error:
            print(f"{source.key}: {error}")
    results: dict[str, list[tuple[float, str]]] = defaultdict(list)
    with one_opencv_thread(), tempfile.TemporaryDirectory() as folder:
        for index, pair in enumerate(pairs):
            other = pairs[(index + len(pairs) // 2) % len(pairs)]
            results["good"].append(verdict((pair.left, pair.right), models, config, Path(folder)))
            if results["good"][-1][1]:
                print(f"lost: {pair.key} {results['good'][-1][1]} {results['good'][-1][0]:.2f}")
            results["shifted (to be repaired)"].append(verdict(shifted(pair, other), models, config, Path(folder)))
            for fault in FAULTS:
                results[fault.__name__].append(verdict(fault(pair, other), models, config, Path(folder)))
    table = Table("pairs", "number", "rejected %", "reasons")
    for name, outcomes in results.items():
        reasons = Counter(reason for _, reason in outcomes if reason)
        share = 100 * sum(reasons.values()) / len(outcomes)
        table.add_row(name, str(len(outcomes)), f"{share:.1f}", ", ".join(f"{n} {r}" for r, n in reasons.most_common()))
    Console(width=140).print(table)
    faulty = {fault.__name__ for fault in FAULTS}
    bad = [slack for name, outcomes in results.items() if name in faulty for slack, _ in outcomes]
    good = [slack for slack, _ in results["good"]]
    rejected = np.mean([slack < 0 for slack in bad])
    print(f"faults rejected {100 * rejected:.1f} %, good pairs lost {100 * np.mean([s < 0 for s in good]):.1f} %")
    print(f"AUROC of the combined decision {auroc(good, bad):.4f}")


if __name__ == "__main__":
    main()
