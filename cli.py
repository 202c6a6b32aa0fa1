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
    max_side: int,
    preset: str,
    limit: int | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Build a relative-depth data set from the stereo photographs in STEREO_DIR.

    Finds pairs in folders, side-by-side files, MPO and JPS; writes pictures, 16-bit relative depth, masks, a manifest
    and grid.png. Interrupted, it goes on where it stopped when the same command is given again.
    """
    from redweb_builder import console

    if dry_run:
        with console.errors_for_people():
            console.print_dry_run(stereo_dir)
        return
    with console.errors_for_people():
        from redweb_builder.builder import build
        from redweb_builder.config import PRESETS, BuildConfig

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


@main.command("report")
@click.argument("dataset", type=click.Path(path_type=Path))
def report(dataset: Path) -> None:
    """Draw DATASET's report.html anew, with what people have decided since."""
    from redweb_builder import console

    with console.errors_for_people():
        from redweb_builder.inspect.report import write_report

        click.echo(write_report(dataset))


@main.command("review")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--reviewer", metavar="NAME", help="Who decides; default: your user name.")
@click.option("--source", type=click.Path(path_type=Path), help="Folder of the stereo photographs, where it has moved.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any that is free.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def review(dataset: Path, reviewer: str | None, source: Path | None, port: int, no_browser: bool) -> None:
    """Look through DATASET's samples in the browser and decide: accept, reject, rescue, undo.

    The page is served to this machine only. Decisions go to DATASET/decisions.jsonl as they are made.
    """
    from redweb_builder import console

    with console.errors_for_people():
        console.review(dataset, reviewer, source, port, not no_browser)


@main.command("decisions")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def decisions(dataset: Path, files: tuple[Path, ...]) -> None:
    """Tell what people decided about DATASET; merge other reviewers' decisions.jsonl FILES into it first."""
    from redweb_builder import console

    with console.errors_for_people():
        console.print_decisions(dataset, files)


@main.command("refilter")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="NAME=LIMIT", help="A limit, or off (repeatable).")
@click.option("--dry-run", is_flag=True, help="Show what would change, then stop.")
def refilter(dataset: Path, settings: tuple[str, ...], dry_run: bool) -> None:
    """Apply other thresholds to DATASET's stored measurements; no network runs, nothing is deleted."""
    from redweb_builder import console

    with console.errors_for_people():
        console.refilter(dataset, settings, dry_run)


@main.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "form", required=True, type=click.Choice(["redweb-v1", "webdataset", "huggingface", "ply"]))
@click.option("--out", type=click.Path(path_type=Path), help="New folder; default PATH-FORMAT.")
@click.option("--keys", multiple=True, help="Only these samples (repeatable).")
def export(path: Path, form: str, out: Path | None, keys: tuple[str, ...]) -> None:
    """Write the data set in the folder PATH, as people left it, in a form that others read."""
    from redweb_builder import console

    with console.errors_for_people():
        console.export(path, form, out or path.with_name(f"{path.resolve().name}-{form}"), keys)


if __name__ == "__main__":
    main()
