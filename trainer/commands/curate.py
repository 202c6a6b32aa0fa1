"""`redweb curate`: which labels of a built set its other labels contradict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from redweb_builder.commands import options
from redweb_builder.commands.terminal import counted, echo

if TYPE_CHECKING:
    from redweb_builder.dataset.curation import Curation

SHOWN = 10  # labels named on the screen


@click.command("curate")
@click.argument("dataset", type=options.PATH)
@click.option("--folds", type=click.IntRange(2, 20), default=3, show_default=True, help="Parts of the set.")
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True, help="Of training, for each part.")
def curate(dataset: Path, folds: int, steps: int) -> None:
    """Ask for each label of DATASET a network that was trained on the others, and show the worst labels first.

    For each part of the set a small network is trained on the other parts. How far it agrees with the labels of its
    part is written to DATASET/curation.json, and report and review show what it contradicts most first. No label is
    changed. When people have decided, the same command trains again on what remains. Interrupted, it goes on where it
    stopped.
    """
    from trainer.commands.console import TrainDisplay, counting, trainer_errors_for_people

    with trainer_errors_for_people():
        from redweb_builder.commands.console import exit_if_damaged, print_refusal
        from redweb_builder.dataset.curation import Curation, read_curation
        from redweb_builder.dataset.manifest_file import read_manifest
        from redweb_builder.inspect.report import write_report
        from trainer.progress import Watch
        from trainer.training.curate import curate as measure

        print_refusal(read_manifest(dataset).refusal())
        before = read_curation(dataset)

        @contextmanager
        def training(part: str) -> Iterator[Watch]:
            echo(part, err=True)
            with TrainDisplay() as display:
                yield display.show

        after, faults = measure(dataset, folds, steps, training=training, judging=counting)
        if after.identity == before.identity:
            echo("Nothing has changed since the last curation.")
            before = Curation()
        print_curation(before, after)
        drawn = write_report(dataset)
        echo(f"Look at the first in {drawn.file}, or decide: python cli.py review {quote(str(dataset))}")
        echo("Then the same command trains again on what remains.")
        one = "label cannot be used, or is not as it was written"
        several = "labels cannot be used, or are not as they were written"
        exit_if_damaged(dataset, [*faults, *drawn.damaged], one, several)


def print_curation(before: Curation, after: Curation) -> None:
    """Say what changed, and which labels are contradicted most. before, after: what was stored, and what is now."""
    values = {key: value for key, value in after.agreement.items() if value is not None}
    gone, new = before.agreement.keys() - after.agreement.keys(), after.agreement.keys() - before.agreement.keys()
    if before.agreement:
        echo(f"Since the last curation: labels gone {len(gone)}, new {len(new)}.")
    mean = sum(values.values()) / max(len(values), 1)
    unjudged = len(after.agreement) - len(values)
    echo(f"{counted(len(values), 'label')} judged, {100 * mean:.1f} % agreement on average" + _unjudged(unjudged))
    for key in sorted(values, key=values.__getitem__)[:SHOWN]:
        echo(f"  {100 * values[key]:5.1f} %  {key}{_was(before.agreement, key)}")


def _unjudged(count: int) -> str:
    return f"; {count} {'has' if count == 1 else 'have'} too little that is measured" if count else ""


def _was(before: Mapping[str, float | None], key: str) -> str:
    value = before.get(key)
    return "" if value is None else f" (before: {100 * value:.1f} %)"
