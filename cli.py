"""The command line: every command a few lines; networks are imported only by the command that needs them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from redweb_builder import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="redweb-builder")
def main() -> None:
    """Stereo photographs in, a relative-depth data set out."""


@main.command("build-redweb")
@click.argument("stereo_dir", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("redweb"), show_default=True, help="Data set folder."
)
@click.option(
    "--flow",
    type=click.Choice(["auto", "raft-large", "raft-small", "dis"]),
    default="auto",
    show_default=True,
    help="Optical flow; auto = RAFT where its weights can be had, else DIS, which needs none.",
)
@click.option("--flow-weights", type=click.Path(path_type=Path), help="Weight file of torchvision's RAFT.")
@click.option(
    "--segmenter",
    default="auto",
    show_default=True,
    metavar="auto|builtin|none|HUB_ID",
    help="Sky and far field; auto = an ADE20K network from the hub where it can be had, else the built-in detector.",
)
@click.option("--segmenter-weights", type=click.Path(path_type=Path), help="Folder of a saved smp network (ADE20K).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--eyes",
    type=click.Choice(["auto", "as-is"]),
    default="auto",
    show_default=True,
    help="auto = exchange eyes that the picture shows to be swapped.",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "side-by-side", "over-under", "side-by-side-half", "over-under-half"]),
    default="auto",
    show_default=True,
    help="How every file holds its two eyes, whatever its name and content say.",
)
@click.option("--film-rate", type=float, default=1.0, show_default=True, help="Frames a second taken from films.")
@click.option("--vr-fov", type=float, default=90.0, show_default=True, help="Field of view cut from VR180, degrees.")
@click.option("--max-side", type=int, default=768, show_default=True, help="Longer side of the stored pictures, px.")
@click.option(
    "--preset",
    type=click.Choice(["default", "midas", "vdw", "none"]),
    default="default",
    show_default=True,
    help="Filter thresholds: ours, MiDaS 3D Movies', VDW's, or none.",
)
@click.option("--limit", type=int, help="Only the first N pairs.")
@click.option("--overwrite", is_flag=True, help="Replace the data set in --out.")
@click.option("--dry-run", is_flag=True, help="List what would be read and how, then stop.")
def build_redweb(
    stereo_dir: Path,
    out: Path,
    flow: str,
    flow_weights: Path | None,
    segmenter: str,
    segmenter_weights: Path | None,
    device: str,
    eyes: str,
    layout: str,
    film_rate: float,
    vr_fov: float,
    max_side: int,
    preset: str,
    limit: int | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Build a relative-depth data set from the stereo photographs in STEREO_DIR.

    Finds pairs in folders, side-by-side files, 3D containers and films; writes pictures, 16-bit relative depth, masks,
    a manifest and grid.png. Interrupted, it goes on where it stopped when the same command is given again.
    """
    from redweb_builder import console

    if dry_run:
        with console.errors_for_people():
            from redweb_builder.inputs.options import InputOptions

            console.print_dry_run(stereo_dir, InputOptions(layout, film_rate, vr_fov))
        return
    with console.errors_for_people():
        from redweb_builder.builder import build
        from redweb_builder.config import PRESETS, BuildConfig
        from redweb_builder.inputs.options import InputOptions

        config = BuildConfig(
            flow=flow,
            flow_weights=flow_weights,
            segmenter=segmenter,
            segmenter_weights=segmenter_weights,
            device=device,
            eyes=eyes,
            max_side=max_side,
            limit=limit,
            thresholds=PRESETS[preset],
            inputs=InputOptions(layout, film_rate, vr_fov),
        )
        with console.BuildDisplay() as display:
            summary = build(stereo_dir, out, config, overwrite=overwrite, watch=display.show)
        console.print_summary(summary)
    sys.exit(console.exit_code(summary))


@main.command("grid")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--keys", multiple=True, help="Only these pairs (repeatable).")
@click.option("--rows", type=click.IntRange(1, 300), default=40, show_default=True, help="At most this many pairs.")
@click.option("--to", type=click.Path(path_type=Path), help="Picture to write; default DATASET/grid.png.")
def grid(dataset: Path, keys: tuple[str, ...], rows: int, to: Path | None) -> None:
    """Draw DATASET's inspection grid anew: flow against refined depth, kept and rejected."""
    from redweb_builder import console

    with console.errors_for_people():
        from redweb_builder.inspect.show import write_grid

        click.echo(write_grid(dataset, rows, keys, to))


if __name__ == "__main__":
    main()
