"""Which half of the real pictures judges a limit, and which it may be chosen on.

    python -m benchmarks.quality.held_out DATA_DIR [DATA_DIR ...] [--copy OUT]

Limits, weights and networks are chosen on the development half alone; every table is printed for both halves. The
halves are cut by place: all that shows one place, in any form and any set, lies in one half. `--copy` writes the
pictures of the development half, without their ground truth, to a folder that a build can be started on.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import click

# words of file names that say how a picture is stored or where it is from, not what it shows
FORM = re.compile(
    r"_?(sbs|cross|half|anaglyph|over|under|mpo|jps|pns|no|data|ifd|offset|panasonic|\d+[a-z]?)(?=[_.]|$)", re.I
)
FRAME = re.compile(r"\d{6}")
BYTE = 3  # of the hash: the one that halves each of the known sets most evenly, chosen by these counts alone
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".ppm", ".mpo", ".jps", ".pns")


def place(item: Path) -> str:
    """The name of the place that an item shows.

    item: a folder of a pair, with or without meta.json, or a file of one. A folder's `group` is its place where that is
    more than the name of its set; else the name without digits and words of the form, or the number of a frame.
    """
    meta = item / "meta.json"
    group = json.loads(meta.read_text()).get("group") if meta.is_file() else None
    if group and group != item.parent.name:
        return str(group).lower()
    frame = FRAME.search(item.name)
    if frame:
        return frame[0]
    name = item.stem.lower() if item.is_file() else item.name.lower()
    return FORM.sub("", name).strip("_.").rstrip("0123456789") or name


def is_held_out(item: Path) -> bool:
    """Whether an item (a pair's folder or file) belongs to the half that only judges."""
    return hashlib.sha256(place(item).encode()).digest()[BYTE] % 2 == 1


def items(root: Path) -> list[Path]:
    """Every folder with meta.json below `root`, and every picture that lies in none, sorted."""
    folders = {file.parent for file in root.rglob("meta.json")}
    files = (file for file in root.rglob("*") if file.suffix.lower() in PICTURES)
    return sorted(folders | {file for file in files if not folders.intersection(file.parents)})


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--copy", "out", type=click.Path(path_type=Path), help="Write the development half's pictures there.")
def main(roots: tuple[Path, ...], out: Path | None) -> None:
    """Print how many items of each set lie in each half."""
    for root in roots:
        counts: Counter[tuple[str, bool]] = Counter()
        for item in items(root):
            counts[item.parent.name, is_held_out(item)] += 1
            if out is not None and not is_held_out(item):
                _copy(item, out / root.resolve().name / item.relative_to(root))
        for name in sorted({name for name, _ in counts}):
            click.echo(f"{root.name}/{name}: {counts[name, False]} development, {counts[name, True]} held out")


def _copy(item: Path, target: Path) -> None:
    for file in [item] if item.is_file() else sorted(item.iterdir()):
        goal = target if item.is_file() else target / file.name
        if file.suffix.lower() in PICTURES and file.stem not in ("disp_left", "disp_right", "depth"):
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, goal)


if __name__ == "__main__":
    main()
