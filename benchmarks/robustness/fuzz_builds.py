"""Broken photographs, films and calibrations through whole builds: what the command makes of folders of them.

    python -m benchmarks.robustness.fuzz_builds [--inputs 100000] [--first 0] [--only BUILD]

Small good files are broken as `fuzz` breaks them, and lie in a folder, 250 inputs of every form side by side: one file,
or a pair of two files of which one is broken, or a pair whose calibration is. `build-redweb` makes a data set of the
folder, and `check --read-data` reads it. What must hold:

- The command ends with 0 or 3; no traceback, no hang, no pair that met an unforeseen error.
- Every file of a picture or film is in a row of the manifest: kept, rejected or left out with a reason.
- `check` finds nothing.
- The photographs do not change, to the byte and the time, nor what lies beside them.

Every tenth build is as a user's: films and HEIC files are decoded in processes of their own, the built-in networks
work, and the same command is given again, which must change nothing. The others cost a quarter: they decode in the
process of the build, with 4 GiB of memory, and work without these networks. Every build follows from its number, so
that `--only` repeats one; what is wrong stays in a folder that is named. Linux only.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import click
import cv2
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from benchmarks.robustness.broken_files import Change, broken, changes, drawn, encoded, seeds, with_right_checksums
from benchmarks.robustness.calibration_files import SIZE, calibrations
from benchmarks.robustness.fault_scenarios import load_once
from benchmarks.robustness.fuzz import MEMORY, UNFORESEEN
from benchmarks.robustness.tampered import OK, Tree, exit_status, outcome_of, run_forked, tree_of
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.inputs import isolation
from redweb_builder.inspect import report
from samples.scenes import render

INPUTS = 250  # a build
WHOLE = 10  # every so many builds are as a user's
BUILD_S = 240
BUILD = ("--flow", "dis", "--device", "cpu", "--max-side", "128", "--jobs", "1", "--quiet")
Case = dict[str, bytes]


@cache
def good_cases() -> dict[str, Case]:
    """The files of an input, by its name; those that are broken come first. One file, or a folder of several."""
    scene = render(0, *SIZE, max_disparity=8.0)
    eyes = {
        f"{side}.png": encoded(Image.fromarray(eye), "PNG") for side, eye in (("x_L", scene.left), ("x_R", scene.right))
    }
    files = calibrations()
    together = {"left.yaml": ("right.yaml",), "cameras.txt": ("images.txt",), "images.txt": ("cameras.txt",)}
    cases = {name: {name: content} for name, content in seeds().items()}
    for form in ("PNG", "JPEG", "TIFF", "WEBP"):
        left, right = (encoded(Image.fromarray(eye), form) for eye in (scene.left, scene.right))
        ending = {"JPEG": "jpg", "TIFF": "tif"}.get(form, form.lower())
        cases[f"left-{ending}"] = {f"x_L.{ending}": left, f"x_R.{ending}": right}
        cases[f"right-{ending}"] = {f"x_R.{ending}": right, f"x_L.{ending}": left}
    for name, content in files.items():
        others = {other: files[other] for other in together.get(name, ())}
        pair = eyes
        if "kitti" in name:
            pair = {f"image_{2 + place}/000000.png": eye for place, eye in enumerate(eyes.values())}
        cases[f"calibrated by {name}"] = {name.removeprefix("kitti-"): content, **others, **pair}
    return cases


def write_inputs(number: int, folder: Path) -> None:
    """The INPUTS broken inputs of a build, in an empty folder."""
    cases, numbers = good_cases(), iter(range(INPUTS))

    @drawn(INPUTS, number)
    @given(name=st.sampled_from(sorted(cases)), todo=changes(), mend=st.booleans())
    def write_one(name: str, todo: list[Change], mend: bool) -> None:
        (first, content), *others = cases[name].items()
        content = broken(content, todo)
        content = with_right_checksums(content) if mend and first.endswith(("png", "pns")) else content
        at = f"{next(numbers):03}"
        for file, inside in ((first, content), *others):
            place = folder / at / file if others else folder / f"{at}_{file}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(inside)

    write_one()


def problems_of(number: int, photographs: Path, out: Path) -> tuple[list[str], Counter[str]]:
    """Build and check: what does not hold, and how many rows have which reason. number: of the build."""
    before = tree_of(photographs)
    whole = not number % WHOLE
    command = ["build-redweb", str(photographs), "--out", str(out), *BUILD]
    networks = "builtin" if whole else "none"
    command += ["--segmenter", networks, "--mono", networks]
    problems = _problems_of_command(command)
    if whole and not problems:
        built = _finished(out)
        problems += _problems_of_command(command)
        problems += [f"{name} has changed" for name, content in _finished(out).items() if built.get(name) != content]
    if problems:
        return problems, Counter()
    if tree_of(photographs) != before:
        problems.append("the photographs have changed")
    problems += _problems_of_command(["check", str(out), "--read-data", "100%"])
    rows = read_manifest(out).rows
    problems += [f"an error of ours: {row['detail']}" for row in rows if row["reason"] == UNFORESEEN]
    listed = {row[side] for row in rows for side in ("left", "right") if row[side]}
    problems += [f"{file} is in no row" for file in _inputs_of(before) - listed]
    return problems, Counter(row["reason"] or row["status"] for row in rows)


def _problems_of_command(arguments: list[str]) -> list[str]:
    """What a command says where it ends otherwise than with 0 or 3."""
    outcome, said = outcome_of(lambda: exit_status(arguments), BUILD_S)
    return [] if outcome == OK else [f"{arguments[0]}: {outcome}: {said}"]


def _finished(out: Path) -> dict[str, bytes]:
    """The labels and pictures of a data set, by name."""
    return {name: content for name, (_, content) in tree_of(out).items() if name.endswith("g") and "/" in name}


def _inputs_of(tree: Tree) -> set[str]:
    """The files of a folder that are no calibration."""
    return {name for name in tree if not name.endswith(("txt", "yaml", "xml")) and "." in Path(name).name}


def run_build(number: int, workspace: Path) -> tuple[list[str], Counter[str]]:
    """`problems_of` the build of a number in a fork, in the empty folder `workspace`."""
    photographs, said = workspace / "photographs", workspace / "problems.json"
    photographs.mkdir()
    write_inputs(number, photographs)

    def work() -> None:
        if number % WHOLE:
            _stay_in_process()
        said.write_text(json.dumps(problems_of(number, photographs, workspace / "set")))

    run_forked(work, 3 * BUILD_S)
    if not said.exists():
        return ["the build hung or ended its process"], Counter()
    problems, counts = json.loads(said.read_text())
    return problems, Counter(counts)


def _stay_in_process() -> None:
    """Decode every file here, within MEMORY."""
    vars(isolation).update(_AVAILABLE=False)
    libraries = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (libraries + MEMORY, libraries + MEMORY))


def prepare() -> None:
    """Load what builds need, so that no fork need do it."""
    torch.set_num_threads(1)  # a fork keeps no other thread than its own
    cv2.setNumThreads(1)
    load_once()
    vars(report).update(_environment=cache(report._environment))
    vars(os).update(fsync=lambda _: None)  # no power fails here, and a busy disk would take most of the time
    available = isolation._AVAILABLE
    vars(isolation).update(_AVAILABLE=False)  # a fork keeps no process of the one that it was forked from
    with TemporaryDirectory() as name, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        folder = Path(name)
        for file, content in seeds().items():
            (folder / "photographs" / file).parent.mkdir(exist_ok=True)
            (folder / "photographs" / file).write_bytes(content)
        if problems := problems_of(0, folder / "photographs", folder / "set")[0]:
            raise RuntimeError(f"good files: {problems}")
    vars(isolation).update(_AVAILABLE=available)
    gc.collect()
    gc.freeze()  # a fork need not look through the libraries for garbage


@click.command()
@click.option("--inputs", default=100_000, show_default=True, help="How many broken inputs.")
@click.option("--first", default=0, show_default=True, help="Number of the first build.")
@click.option("--only", type=int, help="Only the build of this number.")
def main(inputs: int, first: int, only: int | None) -> None:
    """Print a table of what became of the inputs; ends with status 1 where something does not hold."""
    console, started = Console(width=110), time.perf_counter()
    reasons: Counter[str] = Counter()
    wrong = builds = 0
    prepare()
    with suppress(KeyboardInterrupt):
        numbers = [only] if only is not None else range(first, first + -(-inputs // INPUTS))
        for number in track(numbers, "builds", console=Console(stderr=True)):
            workspace = Path(mkdtemp(prefix=f"fuzz-builds-{number}-"))
            problems, counts = run_build(number, workspace)
            builds, reasons = builds + 1, reasons + counts
            if problems:
                wrong += 1
                console.print(
                    escape(f"build {number}, in {workspace}:"), *map(escape, problems), sep="\n", soft_wrap=True
                )
            else:
                shutil.rmtree(workspace)
    table = Table("what became of the pairs and files", "rows", box=None)
    for reason, count in reasons.most_common():
        table.add_row(reason, str(count))
    console.print(table)
    console.print(
        f"{builds * INPUTS} broken inputs in {builds} builds; {wrong} builds where something does not hold; "
        f"{time.perf_counter() - started:.0f} s"
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
