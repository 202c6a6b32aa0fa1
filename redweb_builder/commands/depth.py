"""`redweb depth`: the depth of one 3D photograph or film, in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from redweb_builder.commands import options
from redweb_builder.config import EYES, FRAME_FORMS, LAYOUT_CHOICES, BuildConfig, InputOptions


@click.command("depth")
@click.argument("source", type=options.PATH)
@options.out("depth", "Folder of the files; the data set that they are made from lies in its folder dataset.")
@click.option(
    "--form",
    "forms",
    multiple=True,
    type=click.Choice(FRAME_FORMS),
    help="png = 16 bits, 65535 = nearest; npy, pfm = px of disparity; ply = points; side = photograph and colours "
    "(repeatable).  [default: png colour side ply npy; of a film, colour and side as films]",
)
@options.flow()
@click.option("--flow-weights", type=options.PATH, help="Weight file of torchvision's RAFT.")
@options.device()
@options.choice("--eyes", EYES, BuildConfig.eyes, "auto = exchange eyes that the picture shows to be swapped.")
@options.choice("--layout", LAYOUT_CHOICES, InputOptions.layout, "How the file holds its two eyes.")
@click.option("--right-first", is_flag=True, help="The right eye comes first (cross-eyed).")
@click.option("--film-rate", type=float, help="Frames a second of a film.  [default: its own]")
@click.option("--max-side", default=BuildConfig.max_side, show_default=True, help="Longer side of the result, px.")
@options.overwrite("depth")
def depth(
    source: Path,
    out: Path,
    forms: tuple[str, ...],
    layout: str,
    right_first: bool,
    film_rate: float | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Write the depth of SOURCE, a 3D photograph or film in any form that build-redweb reads.

    A film comes out as a film. Interrupted, it goes on where it stopped when the same command is given again.
    """
    from redweb_builder.commands.errors import errors_for_people
    from redweb_builder.commands.terminal import echo

    with errors_for_people():
        config = BuildConfig(inputs=InputOptions(layout=layout, right_first=right_first), **settings)
        from redweb_builder.commands.console import BuildDisplay

        with BuildDisplay() as display:  # first: importing the networks' libraries takes seconds
            from redweb_builder.process import keep_freed_memory, uncollected_imports

            with uncollected_imports():
                from redweb_builder.builder.depth import doubts, make_depth
            keep_freed_memory()
            files = make_depth(source, out, config, forms, film_rate=film_rate, overwrite=overwrite, watch=display.show)
        for file in files[:20]:
            echo(file)
        if len(files) > 20:
            echo(f"and {len(files) - 20} more files in {out}")
        for sentence in doubts(out, source, config.inputs):
            echo(f"not to be trusted: {sentence}", err=True)
