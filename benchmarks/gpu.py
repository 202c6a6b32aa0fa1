"""What a GPU gives: rates of a build and of training, the share of each stage, and whether labels equal the CPU's.

    python -m benchmarks.gpu STEREO_DIR GT_ROOT --flow-weights FILE [--flow raft-small] [--limit 32]

STEREO_DIR: pairs for the rates. GT_ROOT: scenes with ground truth (quality/ground_truth.py), on which labels made on
the GPU and on the CPU are judged side by side: WKDR, %, which may differ by 0.05. "networks busy" is the part of a
build's time that flow and regions take when they run alone. `--device cpu` tries the command where there is no GPU.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.models import load_models
from benchmarks.quality.ground_truth import MAX_SIDE, scenes
from benchmarks.quality.label_quality import figures, label_scene
from benchmarks.speed.stages import Cost, costs, print_costs
from benchmarks.speed.train_speed import main as train_speed
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.networks.device import choose_device
from redweb_builder.process import one_opencv_thread

ALLOWED = 0.05  # % of WKDR between the devices
ROWS = ("ours, measured", "ours, everything")


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.argument("truth", type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="raft-small", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--device", default="cuda", show_default=True)
@click.option("--limit", default=32, show_default=True, help="Only the first N pairs.")
@click.option("--every", default=1, show_default=True, help="Only every n-th scene with ground truth.")
def main(
    stereo_dir: Path, truth: Path, flow: str, flow_weights: Path | None, device: str, limit: int, every: int
) -> None:
    """Print rates, stages and the comparison of labels; status 1 where labels differ by more than is allowed."""
    chosen = choose_device(device)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "CPU"
    config = BuildConfig(flow=flow, flow_weights=flow_weights, segmenter=BUILTIN, device=device, limit=limit)
    stages = costs(stereo_dir, config)
    print_costs(stages, f"{flow}, {name}")
    print_rates(stages)
    alike = compare_labels(truth, config, every)
    train_speed.callback("resnet50", 384, 8, 6, 3, True)  # type: ignore[misc]
    raise SystemExit(not alike)


def print_rates(stages: dict[str, Cost]) -> None:
    """Print what the build reaches. stages: their costs, of `costs`."""
    busy = stages["flow"].wall
    print(f"build: {1 / stages['build'].wall:.2f} pairs/s; the flow alone {1 / busy:.2f} pairs/s")
    print(f"flow network busy: {100 * busy / stages['build'].wall:.0f} % of a build")


def compare_labels(root: Path, config: BuildConfig, every: int) -> bool:
    """Print WKDR of labels made on the configured device and on the CPU; whether they differ by ALLOWED at most.

    root: of the scenes. config: flow and device. every: only every n-th scene.
    """
    settings = BuildConfig(max_side=MAX_SIDE, eyes="as-is")
    wrong: dict[tuple[str, str], list[float]] = defaultdict(list)
    for device in dict.fromkeys((config.device, "cpu")):
        models = load_models(replace(config, device=device))
        with one_opencv_thread():
            for index, scene in enumerate(list(scenes(root))[::every]):
                labellings = label_scene(scene, models, settings)
                for row in ROWS:
                    wrong[row, device].append(figures(labellings[row], scene.disparity, index)["WKDR"])
    differences = []
    for row in ROWS:
        means = {device: float(np.nanmean(values)) for (name, device), values in wrong.items() if name == row}
        differences.append(max(means.values()) - min(means.values()))
        shown = ", ".join(f"{device} {mean:.3f} %" for device, mean in means.items())
        print(f"WKDR of {row}: {shown}; {differences[-1]:.3f} apart ({ALLOWED} allowed)")
    return max(differences) <= ALLOWED


if __name__ == "__main__":
    main()
