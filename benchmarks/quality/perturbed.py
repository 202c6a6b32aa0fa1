"""Does alignment undo what hand-held cameras do?

    python -m benchmarks.quality.perturbed GT_ROOT [--flow dis] [--every 1] [--rectify-first]

The right view of pairs with ground truth is shifted, rolled, zoomed and turned in and out. Printed is, for every set
and for all pairs: WKDR of measured and of all labelled pixels, its ratio to that of the unperturbed pair, and the
vertical error after alignment. Rectified pairs have vertical errors of their own: every frame of KITTI 2012 has one of
the form x y, nearly half as large as that of the turns. It adds to a perturbation or cancels part of it. With
--rectify-first it is removed before, so that the perturbation alone is to be undone; "as it is" is then the pair
without it.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.ground_truth import scenes, truth_config, truth_options
from benchmarks.quality.label_quality import wkdr
from redweb_builder.config import NONE
from redweb_builder.inputs.picture import read_picture
from redweb_builder.matching.quick_flow import preview_flow
from redweb_builder.pipeline import Outcome, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.alignment import WITH_KEYSTONE, consistent_points, fit_vertical
from redweb_builder.types import Mask, Picture

Rows = dict[str, list[tuple[float, float, float]]]  # by perturbation: WKDR measured, everything, vertical px left


def perturbations(width: int, height: int) -> dict[str, NDArray[np.float64]]:
    """Homographies of the right view by name."""
    middle = (width / 2, height / 2)
    affine = {
        "shift 5 px": np.array([[1.0, 0, 0], [0, 1, 5]]),
        "shift 20 px": np.array([[1.0, 0, 0], [0, 1, 20]]),
        "roll 2 deg": cv2.getRotationMatrix2D(middle, 2, 1),
        "zoom 3 %": cv2.getRotationMatrix2D(middle, 0, 1.03),
        "shift, roll, zoom": cv2.getRotationMatrix2D(middle, -1, 0.98) + np.array([[0, 0, 0], [0, 0, 8.0]]),
    }
    matrices = {name: np.vstack([matrix, [0, 0, 1]]) for name, matrix in affine.items()}
    turned = {
        f"toed {way} 2.5 deg (keystone)": _toed_in(width, height, turn) for way, turn in (("in", 2.5), ("out", -2.5))
    }
    return {"as it is": np.eye(3), **matrices, **turned}


def _toed_in(width: int, height: int, degrees: float) -> NDArray[np.float64]:
    """What turning a camera about its vertical axis does to the picture, at a focal length of 1.2 widths."""
    camera = np.array([[1.2 * width, 0, width / 2], [0, 1.2 * width, height / 2], [0, 0, 1]])
    turn, _ = cv2.Rodrigues(np.array([0, np.radians(degrees), 0]))
    return np.asarray(camera @ turn @ np.linalg.inv(camera))


def _moved(right: Picture, matrix: NDArray[np.float64]) -> Picture:
    size = (right.shape[1], right.shape[0])
    return np.asarray(
        cv2.warpPerspective(right, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def without_vertical_error(left: Picture, right: Picture) -> Picture:
    """The right view without the vertical error of its rig. Pixels move up and down only, so the truth stays valid."""
    points, vertical, _ = consistent_points(preview_flow(left, right))
    b, c, t, p, q = fit_vertical(points, points[:, 1] + vertical, WITH_KEYSTONE)
    height, width = right.shape[:2]
    half = max(height, width) / 2
    y, x = np.indices((height, width), np.float32)
    u, v = (x - (width - 1) / 2) / half, (y - (height - 1) / 2) / half
    source_v = (v * (p * u + 1) - b * u - t) / (1 + c - q * v)
    rows = (source_v * half + (height - 1) / 2).astype(np.float32)
    moved = cv2.remap(right, x, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


@click.command()
@truth_options
@click.option("--rectify-first", is_flag=True, help="Remove the rig's own vertical error first.")
def main(root: Path, flow: str, flow_weights: Path | None, mono: str, every: int, rectify_first: bool) -> None:
    """Print WKDR with and without perturbation over the scenes below ROOT."""
    config = truth_config(flow, flow_weights, mono, NONE)
    models = load_models(config)
    tables: dict[str, Rows] = defaultdict(lambda: defaultdict(list))
    with one_opencv_thread(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "right.png"
        for index, scene in enumerate(list(scenes(root))[::every]):
            right = read_picture(scene.source.right)
            if rectify_first:
                right = without_vertical_error(read_picture(scene.source.left), right)
            for name, matrix in perturbations(right.shape[1], right.shape[0]).items():
                Image.fromarray(_moved(right, matrix)).save(file, compress_level=1)
                prepared = prepare(replace(scene.source, right=file), config, models.depth)
                if isinstance(prepared, Outcome):
                    raise SystemExit(f"{scene.source.key}: {prepared.rejection}")
                outcome = label_pair(infer([prepared], models)[0], models, config)
                assert outcome.evidence is not None
                label, truth = outcome.evidence.label, scene.disparity
                values = [
                    wkdr(
                        label.disparity,
                        truth,
                        np.isfinite(truth) & np.isin(label.mask, kinds),
                        np.random.default_rng(index),
                    )
                    for kinds in ((Mask.MEASURED,), (Mask.MEASURED, Mask.FILLED))
                ]
                for group in (scene.group, "all"):
                    tables[group][name].append((values[0], values[1], prepared.alignment.after_px))
    for group, rows in tables.items():
        show(group, rows)


def show(group: str, rows: Rows) -> None:
    """One table: means over a group's scenes, by perturbation."""
    plain = np.nanmean(rows["as it is"], 0)
    table = Table(f"{group}: right view", "WKDR measured", "ratio", "WKDR everything", "ratio", "vertical left, px")
    for name, values in rows.items():
        mean = np.nanmean(values, 0)
        cells = (mean[0], mean[0] / plain[0], mean[1], mean[1] / plain[1], mean[2])
        table.add_row(name, *(f"{cell:.2f}" for cell in cells))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
