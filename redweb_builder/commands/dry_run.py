"""What a build would read, and how: a table of every pair found and of every file left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from rich.console import Console
from rich.progress import track
from rich.table import Table

from redweb_builder.commands.terminal import escape
from redweb_builder.config import InputOptions
from redweb_builder.dataset.paths import is_data_set, refuse_data_set
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.picture import read_header
from redweb_builder.inputs.read import read_pair
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.eye_order import are_eyes_swapped, eye_order
from redweb_builder.rectification.film_order import with_film_orders
from redweb_builder.rectification.quick_flow import SIDE, preview_flow
from redweb_builder.types import LeftOut, PairSource

COLUMNS = ("file", "form", "eyes", "size", "told", "how, or why not")
WIDE = 1000  # columns where the output is no terminal: nothing is folded
TABLE = 110  # columns; a narrower terminal gets two lines a file


def print_dry_run(stereo_dir: Path, options: InputOptions, ask_eyes: bool = True) -> None:
    """A row for every pair, film and file left out: file, form, eye order, size, known or guessed, and why.

    ask_eyes: where the order of the eyes is a guess, tell what the pictures say of it, as a build would find.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    refuse_data_set(stereo_dir)
    found = discover(stereo_dir, options, skip=is_data_set)
    sources = track(
        with_film_orders(found.sources),
        "looking at eyes",
        transient=True,
        disable=not (console.is_terminal and ask_eyes),
    )
    with one_opencv_thread():
        rows = list(_pairs(sources, stereo_dir, ask_eyes))
    rows += [_left_out_row(one, stereo_dir) for one in found.left_out]
    if console.width >= TABLE:
        table = Table(*COLUMNS, box=None, pad_edge=False)
        for column in table.columns:
            column.overflow = "fold"
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
    else:
        for file, *facts, how in rows:
            console.print(f"[bold]{escape(file)}[/]\n  {', '.join(filter(None, facts))}: {escape(how)}")
    layouts = Counter(source.layout for source in found.sources)
    text = ", ".join(f"{count} {layout}" for layout, count in layouts.most_common())
    console.print(f"\n{len(found.sources)} pairs ({text}), {len(found.left_out)} files in no pair", soft_wrap=True)


def _pairs(sources: Iterable[PairSource], folder: Path, ask_eyes: bool) -> Iterator[tuple[str, ...]]:
    """The rows of photographs as they come, then those of films: one a film, however many frames it gives."""
    films: dict[tuple[Path, Path], list[PairSource]] = {}
    for source in sources:
        if source.time is None:
            eyes = _eyes(source, _asked(source) if ask_eyes and source.guessed else None)
            yield _files(source, folder), source.layout, eyes, _size(source), _certainty(source), source.rule
        else:
            films.setdefault((source.left, source.right), []).append(source)
    for frames in films.values():
        first = frames[0]
        clips = len({frame.rule.split(" at ")[0] for frame in frames})
        how = f"{first.rule.split('; clip')[0]}; {len(frames)} frames of {clips} clips"
        eyes = _eyes(first, first.film_order if ask_eyes else None)
        yield _files(first, folder), first.layout, eyes, "film", _certainty(first), how


def _left_out_row(one: LeftOut, folder: Path) -> tuple[str, ...]:
    detail = one.detail.replace(f"{one.path}: ", "")
    return _below(one.path, folder), "left out", "", "", "", f"{one.reason}: {detail}" if detail else one.reason


def _asked(source: PairSource) -> float | None:
    """The eye order as the picture shows it; None for a pair that cannot be read."""
    try:
        pair = read_pair(source, SIDE)
        return eye_order(preview_flow(pair.left, pair.right))
    except Exception:  # the build records why; one file must not stop the list
        return None


def _eyes(source: PairSource, score: float | None) -> str:
    """Which eye comes first, and by how much the picture says so."""
    right_first = source.right_first ^ (score is not None and are_eyes_swapped(source, score))
    text = "right first" if right_first else "left first"
    return text if score is None else f"{text} (seen, {abs(score):.2f})"


def _certainty(source: PairSource) -> str:
    return "guessed" if source.guessed else "known"


def _files(source: PairSource, folder: Path) -> str:
    left, right = (PurePath(_below(path, folder)) for path in (source.left, source.right))
    if left == right:
        return str(left)
    return f"{left} + {right.name}" if left.parent == right.parent else f"{left} + {right}"


def _size(source: PairSource) -> str:
    """The sizes of the source's pictures as displayed, one where they are equal; empty where a file cannot be read."""
    try:
        sizes = {read_header(file).size: None for file in dict.fromkeys((source.left, source.right))}
    except Exception:  # as above
        return ""
    return " ".join(f"{width}x{height}" for width, height in sizes)


def _below(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) and path != folder else path.name
