"""Rendered views with their exact disparity, in the layout that the trainer reads as stereo with ground truth.

python -m samples.depths OUT [--count 400]
python -m samples.depths OUT --of streets --pictures FOLDER [--count 400]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.inputs.picture import read_picture
from samples.ray_caster import Eye, cast, draw_view, pixel_grid
from samples.scenes import Kind, render
from samples.still_life import Pictures, still_life
from samples.street import street
from samples.world import World

MakeWorld: TypeAlias = Callable[[np.random.Generator, Pictures], World]

FIRST_SEED = 3000  # the tests, the sample folder and samples.skies render smaller ones
FARTHEST = 0.3  # px; of the sky, whose disparity of 0 would count as unknown: behind the hills, which have 1 to 3 px
SIZE = 320, 240  # px
TEXTURE_SIDE = 512  # px, at most, of pictures that are textures
AT_A_METRE = 100.0  # px; of worlds with such textures
WORLDS: dict[str, MakeWorld] = {"still-lifes": still_life, "streets": street}


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=400, show_default=True)
@click.option("--of", type=click.Choice(list(WORLDS)), help="In place of rooms and landscapes.")
@click.option("--pictures", type=click.Path(path_type=Path, exists=True), help="With --of: its left.* are textures.")
def main(out: Path, count: int, of: str | None, pictures: Path | None) -> None:
    """Half of the views are indoors; of those outdoors every fourth is closed by a slope."""
    if of is None:
        render_depths(out, count)
    else:
        render_worlds(out, WORLDS[of], count, sorted(pictures.rglob("left.*")) if pictures else [])


def render_depths(out: Path, count: int) -> None:
    """Write the views of rooms and landscapes that are not there yet. out: gets a folder a view. count: of views."""
    for seed, folder in _missing(out, count):
        kind: Kind = "indoor" if seed % 2 else "outdoor"
        scene = render(seed, *SIZE, sky=seed % 8 != 0, kind=kind)
        _write(folder, scene.left, np.maximum(scene.disparity, FARTHEST))


def render_worlds(out: Path, make: MakeWorld, count: int, files: Sequence[Path]) -> None:
    """Write the views of some worlds that are not there yet.

    out, count: as of render_depths. make: a world. files: pictures that are textures.
    """
    width, height = SIZE
    eye = Eye(0.0, 0.95 * width, (width - 1) / 2, height / 2)
    px, py = pixel_grid(width, height)
    pictures = _reduced(files)
    for seed, folder in _missing(out, count):
        world = make(np.random.default_rng([seed, 2006]), pictures)
        depth, _ = cast(world, eye, px, py)
        disparity = np.maximum(AT_A_METRE / depth, FARTHEST).astype(np.float32)
        _write(folder, draw_view(world, eye, width, height), disparity)


def _reduced(files: Sequence[Path]) -> Pictures:
    pictures = []
    for file in files:
        picture = Image.fromarray(read_picture(file))
        picture.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
        pictures.append(np.asarray(picture))
    return pictures


def _missing(out: Path, count: int) -> Iterator[tuple[int, Path]]:
    """Seed and folder of each view that is not there yet."""
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        if not (out / str(seed) / "meta.json").is_file():  # written last
            yield seed, out / str(seed)


def _write(folder: Path, left: NDArray[np.uint8], disparity: NDArray[np.float32]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(left).save(folder / "left.png")
    np.save(folder / "disp_left.npy", disparity)
    (folder / "meta.json").write_text(json.dumps({"scale": 1}))


if __name__ == "__main__":
    main()
