"""The commands of builds on several machines: how far they are, and what puts their parts together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redweb_builder.commands import options
from redweb_builder.commands.terminal import counted, echo

if TYPE_CHECKING:
    from redweb_builder.dataset.status import BuildStatus


@click.command("merge")
@click.argument("out", type=options.PATH)
@click.argument("parts", nargs=-1, type=options.PATH)
def merge(out: Path, parts: tuple[Path, ...]) -> None:
    """Put the PARTS of a build together in OUT; without PARTS, those that were built into OUT with --part.

    Duplicates are decided over the whole. The parts stay as they are; their files get a second name in OUT.
    """
    from redweb_builder.commands.errors import errors_for_people
    from redweb_builder.commands.status_line import StatusLine

    with errors_for_people():
        from redweb_builder.builder.merge import merge as put_together

        with StatusLine() as status:
            merged = put_together(out, parts, lambda folder: status.show("merging", folder))
        echo(f"{merged.parts} parts: {merged.kept} kept, {merged.rejected} rejected ({merged.duplicates} duplicates)")
        if merged.inputs_differ:
            echo("The parts found different files in their input: build them again to have what was added.")
        if merged.limits_differ:
            echo(f"The limits are those that {out} has, not those of the parts; `refilter` sets others.")
        if merged.limited:
            echo(f"Pairs are missing: --limit cut off {', '.join(merged.limited)}. Build without it, then merge again.")
        echo(f"data set: {out}   look at: {out}/report.html")


@click.command("status")
@click.argument("out", type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="The same for machines.")
@click.option("--prometheus", type=options.WRITTEN, metavar="FILE", help="Also write it as a Prometheus text file.")
def status(out: Path, as_json: bool, prometheus: Path | None) -> None:
    """Say how far the build of OUT is, and each of its parts: from any machine, while it runs, without a lock."""
    from redweb_builder.commands.errors import errors_for_people

    with errors_for_people():
        from redweb_builder.dataset.status import status_of
        from redweb_builder.files import remove_temporaries, write_atomic

        builds = status_of(out)
        if prometheus:
            remove_temporaries(prometheus.absolute().parent)
            write_atomic(prometheus, prometheus_text(builds).encode(errors="backslashreplace"))
        if as_json:
            click.echo(json.dumps({"builds": [asdict(build) for build in builds]}, indent=1))
        else:
            _print_status(builds)


def _print_status(builds: Sequence[BuildStatus]) -> None:
    reasons: Counter[str] = Counter()
    for build in builds:
        reasons.update(build.reasons)
        of_all = f" of {build.total}" if build.total is not None else ""
        failed = f", {build.failed} failed" if build.failed else ""
        rate = f", {60 * build.rate:.1f} a minute" if build.rate else ""
        left = f", {_duration(build.seconds_left)} left" if build.seconds_left is not None else ""
        silent = f" for {_duration(build.age)}, at {build.item or build.stage}" if build.state == "silent" else ""
        host = f" on {build.host}" if build.state in ("running", "silent") else ""
        state = "not finished; stopped, or just begun" if build.state == "stopped" else build.state
        workers = f", {build.workers} workers" if build.workers is not None else ""
        done = f"{build.done}{of_all} pairs" if of_all else counted(build.done, "pair")
        echo(f"{build.folder}: {state}{host}{workers}{silent}")
        echo(f"    {done}: {build.kept} kept, {build.rejected} rejected{failed}{rate}{left}")
    if len(builds) > 1:
        running = sum(build.state == "running" for build in builds)
        echo(
            f"{counted(sum(build.done for build in builds), 'pair')} done; {running} of {len(builds)} parts are running"
        )
    if reasons:
        echo("rejected: " + ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()))
    for word, pairs in (("slow", [build.slowest for build in builds]), ("late", [build.late for build in builds])):
        for seconds, key in sorted(chain.from_iterable(pairs), reverse=True)[:5]:
            echo(f"{word}: {seconds:.1f} s {key}")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def prometheus_text(builds: Sequence[BuildStatus]) -> str:
    """The metrics of some builds in Prometheus' text format (version 0.0.4), for its node exporter.

    builds: how far each is.
    """
    lines: list[str] = []

    def gauge(name: str, help_text: str, samples: Sequence[tuple[dict[str, str], float | None]]) -> None:
        lines.extend((f"# HELP redweb_{name} {help_text}", f"# TYPE redweb_{name} gauge"))
        for labels, value in samples:
            if value is not None:
                text = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
                lines.append(f"redweb_{name}{{{text}}} {float(value):.12g}")

    of = [({"part": build.folder}, build) for build in builds]
    gauge("pairs", "Pairs that a build has found.", [(labels, build.total) for labels, build in of])
    gauge(
        "pairs_done",
        "Pairs that are recorded, by status.",
        [
            (labels | {"status": status}, count)
            for labels, build in of
            for status, count in (("kept", build.kept), ("rejected", build.rejected), ("failed", build.failed))
        ],
    )
    gauge(
        "rejected",
        "Rejected pairs, by reason.",
        [(labels | {"reason": reason}, count) for labels, build in of for reason, count in build.reasons.items()],
    )
    gauge("pairs_per_second", "Pairs a second of the running build.", [(labels, build.rate) for labels, build in of])
    gauge("seconds_left", "Seconds to the end at this rate.", [(labels, build.seconds_left) for labels, build in of])
    gauge("heartbeat_age_seconds", "Seconds since the last heartbeat.", [(labels, build.age) for labels, build in of])
    gauge("workers", "Processes of the cluster that are at work.", [(labels, build.workers) for labels, build in of])
    slowest = [(labels | {"key": key}, seconds) for labels, build in of for seconds, key in build.slowest]
    gauge("slowest_pair_seconds", "Seconds of the slowest pairs that are done.", slowest)
    late = [(labels | {"key": key}, seconds) for labels, build in of for seconds, key in build.late]
    gauge("late_pair_seconds", "Seconds since those pairs began that are in work for long.", late)
    gauge("running", "1 while a build runs.", [(labels, build.state == "running") for labels, build in of])
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
