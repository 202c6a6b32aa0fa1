"""From pictures to the depth network that the package ships: sets, training, file.

    python -m benchmarks.quality.held_out DATA_DIR ... --copy DEV
    python -m benchmarks.training.train_builtin DEV --nyu NYU --out OUT [--init builtin]

DEV: the development half, without truth, of which `stereo_gt` is a folder. Files that eye_order_truth.txt calls
exchanged are exchanged, unclear ones are left out, and the build takes the source's word: labels that are inside out
teach so. Pairs in one file are built apart, in the eye order that the builder finds. Scenes of samples/ are rendered,
some of them with DEV's pictures as textures.
Writes OUT/depth.safetensors and its checksum. Interrupted, it goes on where it stopped. docs/depth-network.md is the
model card.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import click

from benchmarks.quality.eye_order import TRUTH
from redweb_builder.builder.build import build
from redweb_builder.config import NONE, BuildConfig, Thresholds
from redweb_builder.monocular import SHIPPED
from redweb_builder.monocular.estimator import MODEL, SIDE
from redweb_builder.networks.weights import write_shipped
from redweb_builder.process import keep_freed_memory
from samples.depths import WORLDS, render_depths, render_worlds
from trainer.checkpoint import load_network, read_header, save_network
from trainer.commands.console import TrainDisplay
from trainer.config import TrainConfig
from trainer.train import train_relative_depth

MAX_SIDE = 512  # px; a network of 224 px crops sees no more
ROOMS_AND_LANDSCAPES = 400  # rendered views
SCENES = {"still-lifes": 700, "streets": 400}
# How often an epoch each set is drawn, in both parts of the training and in the second.
BUILT = {"pairs": 3.0, "truth": 8.0, "files": 2.0}
NYU, ROOMS_FIRST, ROOMS_SECOND = 1.0, 0.5, 0.25
DRAWN_SECOND = {"still-lifes": 0.4, "streets": 0.5}
FIRST = TrainConfig(
    loss="structure-guided",
    encoder=MODEL.encoder,
    channels=MODEL.channels,
    size=224,
    epochs=8,
    learning_rate=1e-3,
    freeze_batchnorm=True,
    ema=0.998,
    validations=4,
    precision="float32",
)
SECOND = replace(FIRST, epochs=2, learning_rate=3e-4, ema=0.99)


@click.command()
@click.argument("pictures", type=click.Path(path_type=Path, exists=True))
@click.option("--nyu", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--init", help="A network in place of the first part of the training, or builtin.")
def main(pictures: Path, nyu: Path, out: Path, init: str | None) -> None:
    """Build, render, train without and then with still lifes and streets, write."""
    keep_freed_memory()
    sort_pictures(pictures, out)
    photographs = [*build_sets(out), (nyu, NYU)]
    rooms, textures = out / "rooms and landscapes", sorted((out / "pairs").rglob("left.*"))
    render_depths(rooms, ROOMS_AND_LANDSCAPES)
    for name, count in SCENES.items():
        render_worlds(out / name, WORLDS[name], count, textures)
    with TrainDisplay() as display:
        if init is None:
            train_relative_depth([*photographs, (rooms, ROOMS_FIRST)], FIRST, out / "first", watch=display.show)
            init = str(out / "first" / "last.safetensors")
        drawn = [(rooms, ROOMS_SECOND), *((out / name, times) for name, times in DRAWN_SECOND.items())]
        train_relative_depth([*photographs, *drawn], replace(SECOND, init=init), out / "run", watch=display.show)
    ship(Path(init), out / "run" / "last.safetensors", out / SHIPPED.name)


def build_sets(out: Path) -> list[tuple[Path, float]]:
    """Build the folders of sort_pictures; the sets, and how often an epoch each is drawn. out: of the folders."""
    for name in BUILT:
        settings = BuildConfig(
            flow="dis",
            segmenter="builtin",
            mono=NONE,
            max_side=MAX_SIDE,
            eyes="auto" if name == "files" else "as-is",
            thresholds=Thresholds(min_eye_order=None),
        )
        summary = build(out / name, out / f"set_{name}", settings)
        click.echo(f"{name}: {summary.kept} kept, rejected: {summary.reasons}")
    return [(out / f"set_{name}", times) for name, times in BUILT.items()]


def sort_pictures(pictures: Path, out: Path) -> None:
    """Copy folders of two files to OUT/truth and OUT/pairs, left named left, and pairs in one file to OUT/files.

    pictures: the development half; what lies in its folder `stereo_gt` goes to `truth`. out: of the three folders.
    """
    known = [line.split(maxsplit=1) for line in TRUTH.read_text().splitlines() if line and line[0] != "#"]
    for file in sorted(file for file in pictures.rglob("*") if file.is_file()):
        place = file.relative_to(pictures)
        if file.stem not in ("left", "right"):
            if "containers" in str(place.parent):
                _copy(file, out / "files" / place)
            continue
        order = [order for order, pattern in known if fnmatch(str(file.parent), pattern)]
        if order and order[-1] == "unclear":
            continue
        eye = {"left": "right", "right": "left"}[file.stem] if order and order[-1] == "exchanged" else file.stem
        is_truth = place.parts[0] == "stereo_gt"  # a name by which the builder would take its files for maps
        target = out / "truth" / Path(*place.parts[1:]) if is_truth else out / "pairs" / place
        _copy(file, target.with_stem(eye))


def ship(first: Path, second: Path, file: Path) -> None:
    """Write the mean of two networks in fp16 with the header of the second, and its SHA-256 beside it.

    first, second: checkpoints, the second trained on from the first. Their mean keeps what the first is better at
    (Wortsman et al. CVPR 2022, "Robust fine-tuning of zero-shot models"). file: what the package ships.
    """
    # The size is better by 0.3 % on NYU's validation frames than that of the crops.
    header = read_header(second) | {"size": SIDE}
    del header["figures"]  # of the second alone
    network, others = load_network(second), load_network(first).state_dict()
    network.load_state_dict(
        {
            name: (value + others[name]) / 2 if value.is_floating_point() else value
            for name, value in network.state_dict().items()
        }
    )
    save_network(file, network.half(), header.pop("model"), header)
    write_shipped(file, file.read_bytes())


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)


if __name__ == "__main__":
    main()
