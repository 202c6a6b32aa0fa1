"""The commands on a data set that is built: look at it, decide, filter anew."""

from __future__ import annotations

from pathlib import Path

import click

from redweb_builder.commands import options


@click.command("grid")
@click.argument("dataset", type=options.PATH)
@click.option("--keys", multiple=True, help="Only these pairs (repeatable).")
@click.option("--rows", type=click.IntRange(1, 300), default=40, show_default=True, help="At most this many pairs.")
@click.option("--to", type=options.WRITTEN, help="Picture to write; default DATASET/grid.png.")
def grid(dataset: Path, keys: tuple[str, ...], rows: int, to: Path | None) -> None:
    """Draw DATASET's inspection grid anew: flow against refined depth, kept and rejected."""
    from redweb_builder.commands import console
    from redweb_builder.commands.errors import errors_for_people

    if to is not None and to.suffix.lower() != ".png":
        raise click.BadParameter(f"{to}: the grid is a PNG; give it that ending", param_hint="--to")
    with errors_for_people():
        console.grid(dataset, rows, keys, to)


@click.command("report")
@click.argument("dataset", type=options.PATH)
@click.option(
    "--single-file",
    "single",
    type=options.WRITTEN,
    metavar="FILE",
    help="Write FILE instead, with small pictures of the most telling pairs in it, to be sent alone.",
)
def report(dataset: Path, single: Path | None) -> None:
    """Draw DATASET's report.html anew, with what people have decided since."""
    from redweb_builder.commands import console
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        console.report(dataset, single)


@click.command("review")
@click.argument("dataset", type=options.PATH)
@click.option("--reviewer", metavar="NAME", help="Who decides; default: your user name.")
@click.option("--source", type=options.PATH, help="Folder of the stereo photographs, where it has moved.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any that is free.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option(
    "--host",
    metavar="ADDRESS",
    help="Address of this machine at which a tablet or phone reaches the page; a QR code is shown.  "
    "[default: this machine only]",
)
def review(
    dataset: Path, reviewer: str | None, source: Path | None, port: int, no_browser: bool, host: str | None
) -> None:
    """Look through DATASET's samples in the browser and decide: accept, reject, rescue, undo.

    The page is served to this machine, or with --host to who has the link. Decisions go to DATASET/decisions.jsonl as
    they are made; of a DATASET in remote storage to ./NAME-review/decisions.jsonl.
    """
    from redweb_builder.commands import console
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        console.review(dataset, reviewer, source, port, not no_browser, host)


@click.command("decisions")
@click.argument("dataset", type=options.PATH)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def decisions(dataset: Path, files: tuple[Path, ...]) -> None:
    """Tell what people decided about DATASET; merge other reviewers' decisions.jsonl FILES into it first."""
    from redweb_builder.commands import console
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        console.print_decisions(dataset, files)


@click.command("refilter")
@click.argument("dataset", type=options.PATH)
@click.option("--set", "settings", multiple=True, metavar="NAME=LIMIT", help="A limit, or off (repeatable).")
@click.option("--dry-run", is_flag=True, help="Show what would change, then stop.")
def refilter(dataset: Path, settings: tuple[str, ...], dry_run: bool) -> None:
    """Apply other thresholds to DATASET's stored measurements; no network runs, nothing is deleted."""
    from redweb_builder.commands import console
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        console.refilter(dataset, settings, dry_run)


@click.command("restore")
@click.argument("labels", type=options.PATH)
@click.option(
    "--from", "copies", type=options.PATH, required=True, help="Folder that has the photographs, under any names."
)
def restore(labels: Path, copies: Path) -> None:
    """Make the pictures of LABELS again, a set that `export --format labels-only` wrote, from your own photographs.

    They are found by their SHA-256, and each picture is checked. What is not found is named; the exit status is 1 then.
    """
    from redweb_builder.commands import console
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        console.restore(labels, copies)
