"""`redweb check`: whether a data set is what its build wrote."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from shlex import quote

import click

from redweb_builder.commands import options

MOST_LINES = 40  # faults that are listed; all are counted


class Share(click.ParamType[float]):
    """A share in percent, such as 5%, as a number from 0 to 1."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raise click.BadParameter on everything that is no share above 0% and up to 100%.

        value: what was typed. param, ctx: of click, for its message.
        """
        if isinstance(value, float):
            return value
        text = re.fullmatch(r"(\d+(?:\.\d+)?)%", str(value))
        share = float(text[1]) / 100 if text else 0.0
        if not 0 < share <= 1:
            self.fail(f"{value!r} is no share above 0% and up to 100%, such as 5%", param, ctx)
        return share


@click.command("check")
@click.argument("dataset", type=options.PATH)
@click.option(
    "--read-data",
    type=Share(),
    default=0.0,
    metavar="SHARE",
    help="Compare the contents, too, of this share of the pairs, such as 5% or 100%; default: sizes only.",
)
def check(dataset: Path, read_data: float) -> None:
    """Check that every file of DATASET is there and as it was written; nothing is changed.

    Says what is wrong and which command mends it. The exit status is 1 where something is wrong.
    """
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        sys.exit(_print_check(dataset, read_data))


def _print_check(dataset: Path, share: float) -> int:
    """Print the faults and what mends them; return the exit status."""
    from redweb_builder.commands.terminal import counted, echo
    from redweb_builder.dataset.integrity import PASSED_OVER, check_dataset
    from redweb_builder.dataset.shard_integrity import check_shards
    from redweb_builder.dataset.shards import is_shard_set
    from redweb_builder.inputs.remote import shown

    checked = (check_shards if is_shard_set(dataset) else check_dataset)(dataset, share)
    read = f", the contents of {checked.read} were read" if checked.read else ""
    echo(f"{counted(checked.pairs, 'pair')} with a label in {shown(dataset)}: all files checked{read}")
    if not checked.recorded:
        echo("No journal.jsonl says what was written: only that the files are there could be checked, not their sizes.")
    if not checked.faults:
        echo("Nothing is wrong.")
        return 0
    for fault in checked.faults[:MOST_LINES]:
        echo(f"{fault.file}  {fault.what}")
    if len(checked.faults) > MOST_LINES:
        echo(f"... and {len(checked.faults) - MOST_LINES} more")
    mend = Counter(fault.mend for fault in checked.faults)
    echo(counted(len(checked.faults), "fault"))
    if mend["remove"]:
        echo("Remove the files whose content is wrong, then:")
    elif mend["build"]:
        echo("This makes these files again:")
    if mend["remove"] or mend["build"]:
        command, note = _mending_command(dataset)
        echo(f"  {command}")
        if note:
            echo(note)
    if mend["copy"]:
        echo("No command makes build.json again: take it from a copy of the data set.")
    if mend[PASSED_OVER]:
        echo("Damaged lines of decisions.jsonl are passed over, and the others count: leave the file where it is.")
    if mend[""]:
        echo(
            "Links, marks that cannot be read, and files that belong to no pair or lie in the place of a folder "
            "are left alone: move them away."
        )
    return 1


def _mending_command(dataset: Path) -> tuple[str, str]:
    """The command that makes missing files of a data set, or of shards, again; and what is to be done beside it."""
    from redweb_builder.commands.build_again import FOLDER, command_of, own_files
    from redweb_builder.dataset.paths import read_build
    from redweb_builder.dataset.shards import is_shard_set
    from redweb_builder.dataset.sources import NAME as SOURCES
    from redweb_builder.inputs.remote import shown

    if is_shard_set(dataset):
        return (
            f"python cli.py export DATASET --format webdataset --out {quote(shown(dataset))}",
            "DATASET is the folder that the shards were exported from; empty that of the shards before.",
        )
    if (dataset / SOURCES).is_file():
        return f"python cli.py restore {quote(str(dataset))} --from YOUR_COPIES", ""
    build = read_build(dataset)
    names = ", ".join(own_files(build))
    return command_of(build, dataset), f"Put the folder of {names} in the place of {FOLDER}." if names else ""
