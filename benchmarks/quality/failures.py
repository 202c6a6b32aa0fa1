"""Draws where labels fail, with rendered scenes whose depth is known: docs/failures.jpg.

    python -m benchmarks.quality.failures [OUT]

A row a fault: the left view, the true disparity, the label in the same colours (grey = sky or unknown), its confidence
(bright = certain). Printed: the share of the picture that the label has more than 3 px beside the truth, sky apart, of
all and of what is measured, the mean confidence there, and the reason for which the pair is rejected, if it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import cv2
import numpy as np

from benchmarks.models import load_models
from benchmarks.quality.faults import outcome_of
from benchmarks.quality.label_faults import mirrored_part, moved_part, part_of, poster
from benchmarks.quality.rendered_sky import OFF_PX
from benchmarks.quality.strips import cut_apart
from redweb_builder.colour import confidence_picture, disparity_picture
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.files import write_atomic
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import Evidence, Mask, Picture, StereoPair
from samples.generate import jpeg
from samples.scenes import Kind, Scene, render

WIDTH, HEIGHT = 480, 360  # px, of a rendered view
CELL = (172, 129)  # px, of a panel
SEED = 104
SNOW_PX = 12.0  # disparity from which the ground is under snow
NIGHT, NOISE = 0.05, 2.0  # share of the light that is left; grey levels of the sensor's noise


def snow(scene: Scene, _: Scene) -> Scene:
    """Blank white over what is near."""
    left, right = scene.left.copy(), scene.right.copy()
    left[scene.disparity > SNOW_PX], right[scene.right_disparity > SNOW_PX] = 252, 252
    return replace(scene, left=left, right=right)


def night(scene: Scene, _: Scene) -> Scene:
    """Hardly any light, and noise."""
    noise = np.random.default_rng(0).normal(0, NOISE, (2, *scene.left.shape))
    dark = [np.clip(NIGHT * view + noise[eye], 0, 255) for eye, view in enumerate((scene.left, scene.right))]
    return replace(scene, left=dark[0].astype(np.uint8), right=dark[1].astype(np.uint8))


def strip(scene: Scene, _: Scene) -> Scene:
    """A fifth of the left view is outside the right one."""
    left, right, disparity = cut_apart(scene.left, scene.right, scene.disparity, 0.2)
    return replace(scene, left=left, right=right, disparity=disparity, sky=scene.sky[:, : left.shape[1]])


def poster_on_a_wall(scene: Scene, other: Scene) -> Scene:
    """A flat photograph as far as infinity: its label is right, whatever it shows."""
    left, right = poster(_pair(scene), _pair(other))
    disparity, sky = scene.disparity.copy(), scene.sky.copy()
    disparity[part_of(left)], sky[part_of(left)] = 0, False
    return replace(scene, left=left, right=right, disparity=disparity, sky=sky)


def mirror(scene: Scene, _: Scene) -> Scene:
    """A part is its mirror image in both views: there near is far."""
    left, right = mirrored_part(_pair(scene), _pair(scene))
    return replace(scene, left=left, right=right)


def moving_thing(scene: Scene, _: Scene) -> Scene:
    """A part moved between the two exposures."""
    left, right = moved_part(_pair(scene), _pair(scene))
    return replace(scene, left=left, right=right)


FAULTS: tuple[tuple[Callable[[Scene, Scene], Scene], Kind], ...] = (
    (snow, "outdoor"),
    (night, "outdoor"),
    (strip, "outdoor"),
    (poster_on_a_wall, "indoor"),
    (mirror, "indoor"),
    (moving_thing, "indoor"),
)


@click.command()
@click.argument("out", default="docs/failures.jpg", type=click.Path(path_type=Path))
def main(out: Path) -> None:
    """Write the figure to OUT and print a line a fault."""
    config = BuildConfig(flow="dis", segmenter=BUILTIN, eyes="as-is")
    models = load_models(config)
    rows: list[Picture] = []
    with one_opencv_thread(), tempfile.TemporaryDirectory() as folder:
        for fault, kind in FAULTS:
            scene = fault(render(SEED, WIDTH, HEIGHT, kind=kind), render(SEED, WIDTH, HEIGHT))
            outcome = outcome_of((scene.left, scene.right), models, config, Path(folder))
            assert outcome.evidence is not None
            rows.append(np.hstack([_cell(panel) for panel in panels(scene, outcome.evidence)]))
            reason = outcome.rejection.reason if outcome.rejection else "kept"
            print(f"{fault.__name__}: {reason}, {wrong(scene, outcome.evidence)}")
    write_atomic(out, jpeg(np.vstack(rows)))


def panels(scene: Scene, evidence: Evidence) -> tuple[Picture, ...]:
    """The four pictures of a row."""
    known = scene.disparity[~scene.sky]
    low, high = (float(value) for value in np.percentile(known, (1, 99)))
    label = evidence.label
    disparity = np.where(label.mask == Mask.SKY, np.nan, label.disparity).astype(np.float32)
    truth = np.where(scene.sky, np.nan, scene.disparity).astype(np.float32)
    coloured = (disparity_picture(each, low, high) for each in (truth, disparity))
    return evidence.pair.left, *coloured, confidence_picture(label.confidence)


def wrong(scene: Scene, evidence: Evidence) -> str:
    """How much of a label is wrong, in words."""
    label = evidence.label
    off = (np.abs(label.disparity - scene.disparity) > OFF_PX) & ~scene.sky
    measured = label.mask == Mask.MEASURED
    shares = f"{100 * off.mean():.1f} % wrong, {100 * (off & measured).mean():.1f} % wrong and measured"
    return f"{shares}, confidence there {label.confidence[off].mean():.0f} of 255"


def _pair(scene: Scene) -> StereoPair:
    return StereoPair("rendered", scene.left, scene.right, True, (WIDTH, HEIGHT), "")


def _cell(panel: Picture) -> Picture:
    """A panel in its place, with a border."""
    width, height = CELL
    scale = min(width / panel.shape[1], height / panel.shape[0])
    small = cv2.resize(np.ascontiguousarray(panel), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rest = height + 4 - small.shape[0], width + 4 - small.shape[1]
    return np.pad(small, ((0, rest[0]), (0, rest[1]), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
