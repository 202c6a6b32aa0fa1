"""What a build would read, and how: every pair and every file left out, in words for people or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import track

from redweb_builder.commands.terminal import counted, printable
from redweb_builder.config import NONE, BuildConfig, InputOptions
from redweb_builder.dataset.paths import is_data_set, refuse_data_set
from redweb_builder.errors import InputError, StoreError
from redweb_builder.inputs.copies import copied, head, side_by_side
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats.calibration import read_rig
from redweb_builder.inputs.formats.rig import NotUsable
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.picture import read_header
from redweb_builder.inputs.portable import path_below, portable_text
from redweb_builder.inputs.read import read_pair
from redweb_builder.inputs.remote import address_of
from redweb_builder.matching.quick_flow import SIDE, preview_flow
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.eye_order import are_eyes_swapped, asked_order, find_order
from redweb_builder.rectification.film_order import with_film_orders
from redweb_builder.rectification.group_order import with_group_orders
from redweb_builder.rectification.upright import turned_eye
from redweb_builder.types import LeftOut, PairSource, StereoPair

if TYPE_CHECKING:
    from redweb_builder.monocular.estimator import DepthEstimator

STATED, PICTURE, ASSUMED = "stated", "picture", "assumed"  # what the order of the eyes rests on
NARROW = 20  # columns; a terminal that says fewer, such as COLUMNS=0, gets as many
MOST_OPENED = 100  # pairs whose form and order are stated; they are spread evenly over the list
# Of a build at MEASURED_SIDE px, see docs/performance.md.
MEASURED_SIDE, SECONDS_A_PAIR, MEGABYTES_A_PAIR = 768, 3.0, 0.86
SURE, FAIRLY_SURE = 0.6, 0.2  # eye order from which the picture is sure of itself; about 1 is certain
FORMS = {
    "files": "two files",
    "side-by-side": "side by side",
    "side-by-side-half": "side by side, half width",
    "over-under": "one over the other",
    "over-under-half": "one over the other, half height",
    "mpo": "two frames of an MPO",
    "spatial": "Apple spatial photograph",
    "vr180": "VR180 photograph",
    "vr180-side-by-side": "VR180, side by side",
    "vr180-over-under": "VR180, one over the other",
    "two-streams": "two streams of a film",
    "frame-sequential": "frames of a film in turn",
    "row-interleaved": "rows in turn",
    "column-interleaved": "columns in turn",
    "two-frames": "two frames of one file",
}


@dataclass(frozen=True)
class Listed:
    """A pair, or the pairs of a film, as a build would read it.

    key, layout: as of PairSource; of a film, the key begins that of each frame. left, right: below the input folder,
    equal where one file holds both eyes. rule: what recognised them. guessed: the
    form or the order is not stated. right_first: the right eye comes first. order: what says so, of STATED, PICTURE,
    ASSUMED. eye_order: how sure the picture is of it, 0 to about 1. width, height: of the file, px, where it is a
    picture that can be read. frames, clips: of a film. calibration: the files, below the input folder, that state the
    rig; calibration_note: why they are of no use. rejection: why a build would reject the pair, where it was opened.
    """

    key: str
    left: str
    right: str
    layout: str
    rule: str
    guessed: bool
    right_first: bool
    order: str
    eye_order: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    clips: int | None = None
    calibration: tuple[str, ...] = ()
    calibration_note: str = ""
    rejection: str = ""


@dataclass(frozen=True)
class _Opened:
    """What a pair that was opened shows. order: its eye order, None where it is unreadable. rejection: as of Listed."""

    order: float | None = None
    rejection: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a build would cost, about. minutes: with RAFT-small on two CPU cores. megabytes: of the data set."""

    minutes: float
    megabytes: float


def estimate(pairs: int, max_side: int) -> Estimate:
    """The cost of a build by that of others; both grow with the pixels. pairs: how many. max_side: px."""
    pixels = pairs * (max_side / MEASURED_SIDE) ** 2
    return Estimate(round(pixels * SECONDS_A_PAIR / 60, 1), round(pixels * MEGABYTES_A_PAIR, 1))


def print_dry_run(
    stereo_dir: Path,
    options: InputOptions,
    ask_eyes: bool = True,
    mono: str = NONE,
    as_json: bool = False,
    max_side: int = BuildConfig.max_side,
) -> None:
    """List every pair, film and file left out: its form, which eye comes first and how sure that is, and why.

    stereo_dir: the folder of stereo photographs, or a path made of an address. options: how to read it, as a build is
    given them. ask_eyes: where the order of the eyes is a guess, say what the pictures show, as a build would; about
    MOST_OPENED of the other pairs are opened too, to say what a build would reject. mono: see BuildConfig. as_json: one
    object {"pairs": [Listed], "left_out": [{"file", "reason", "detail"}], "estimate": Estimate} for machines. max_side:
    px, of the pictures that the build would store. Raises StoreError where the folder is a data set, InputNotFound
    where it is not there, SettingsError and StoreError as discover, WeightsUnavailable as load_depth.
    """
    console = Console(highlight=False, stderr=as_json)
    refuse_data_set(stereo_dir)
    discovery = discover(stereo_dir, options, skip=is_data_set)
    network = _network(mono) if ask_eyes else None
    ask = partial(asked_order, network=network)
    ordered = with_film_orders(discovery.sources, ask)
    grouped = with_group_orders(ordered, stereo_dir, ask) if ask_eyes else ordered
    sources = track(
        grouped,
        "looking at eyes",
        console=console,
        transient=True,
        disable=not (console.is_terminal and ask_eyes),
    )
    with one_opencv_thread():
        sizes = side_by_side(_size, grouped, address_of(stereo_dir) is not None)
        sized = zip(sources, sizes, strict=True)
        every = -(-len(ordered) // MOST_OPENED)
        pairs = list(_pairs(sized, stereo_dir, ask_eyes, network, every, max_side))
    cost = estimate(len(discovery.sources), max_side)
    if as_json:
        left_out = [
            {"file": path_below(file.path, stereo_dir), "reason": file.reason, "detail": _detail(file, stereo_dir)}
            for file in discovery.left_out
        ]
        content = {"pairs": [asdict(pair) for pair in pairs], "left_out": left_out, "estimate": asdict(cost)}
        click.echo(json.dumps(content, indent=1))
        return
    for pair in pairs:
        _print_entry(_file_lines(pair, console.width), _words(pair), console.width)
    for file in discovery.left_out:
        detail = ": ".join(filter(None, (f"left out, {file.reason}", _detail(file, stereo_dir))))
        _print_entry([path_below(file.path, stereo_dir)], detail, console.width)
    layouts = Counter(FORMS.get(source.layout, source.layout) for source in discovery.sources)
    text = "; ".join(f"{count} {layout}" for layout, count in layouts.most_common())
    click.echo(
        f"\n{counted(len(discovery.sources), 'pair')}{f' ({text})' if text else ''}, "
        f"{counted(len(discovery.left_out), 'file')} in no pair"
    )
    if discovery.sources:
        duration = f"{cost.minutes:g} min with RAFT-small on two cores"
        click.echo(f"A build takes about {duration}, and {cost.megabytes:g} MB on the disk.")


def _network(mono: str) -> DepthEstimator | None:
    """The monocular depth network, on the CPU; None for "none"."""
    if mono == NONE:
        return None
    import torch  # takes seconds

    from redweb_builder.monocular.estimator import load_depth

    return load_depth(mono, torch.device("cpu"))


def _pairs(
    sized: Iterable[tuple[PairSource, tuple[int, int] | None]],
    folder: Path,
    ask_eyes: bool,
    network: DepthEstimator | None,
    every: int,
    max_side: int,
) -> Iterator[Listed]:
    """Photographs as they come, then films: one entry a film, however many frames it gives.

    sized: the sources, each with what _size says. ask_eyes: as of print_dry_run. network: of monocular depth, None =
    none. every: of so many pairs one is opened whatever is known of it. max_side: px, of the build.
    """
    films: dict[tuple[Path, Path], list[PairSource]] = {}
    for number, (source, size) in enumerate(sized):
        if source.time is None:
            doubtful = source.guessed or (source.order_prior is not None and source.order_prior < 0)
            opened = _open(source, network, max_side) if ask_eyes and (doubtful or number % every == 0) else _Opened()
            score = opened.order if doubtful else None
            yield _listed(source, folder, score, source.rule, size=size, rejection=opened.rejection)
        else:
            films.setdefault((source.left, source.right), []).append(source)
    for frames in films.values():
        clips = len({frame.rule.split(" at ")[0] for frame in frames})
        score = frames[0].film_order if ask_eyes else None
        rule = frames[0].rule.split("; clip")[0]
        yield _listed(frames[0], folder, score, rule, frames=len(frames), clips=clips)


def _listed(
    source: PairSource,
    folder: Path,
    score: float | None,
    rule: str,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    clips: int | None = None,
    rejection: str = "",
) -> Listed:
    """score: the eye order that the picture shows, where it was measured."""
    stated = source.order_stated or not source.guessed
    swapped = score is not None and are_eyes_swapped(source, score)
    by_picture = score is not None and (swapped or not stated)
    width, height = size or (None, None)
    return Listed(
        source.key,
        path_below(source.left, folder),
        path_below(source.right, folder),
        source.layout,
        rule,
        source.guessed,
        source.right_first ^ swapped,
        PICTURE if by_picture else STATED if stated else ASSUMED,
        None if score is None else round(abs(score), 3),
        width,
        height,
        frames,
        clips,
        tuple(path_below(file, folder) for file in source.calibration),
        _why_unusable(source, size) if source.calibration and size else "",
        portable_text(rejection, folder),
    )


def _words(pair: Listed) -> str:
    """An entry in words: its form, its eyes and how sure that is, its size, what recognised it."""
    eye = "right eye first" if pair.right_first else "left eye first"
    score = pair.eye_order or 0.0
    sure = "sure" if score >= SURE else "fairly sure" if score >= FAIRLY_SURE else "not sure"
    order = {STATED: "order stated", PICTURE: f"order from the picture, {sure}", ASSUMED: "order assumed"}[pair.order]
    size = f"{pair.width}x{pair.height}" if pair.width else ""
    film = f"film, {pair.frames} frames of {pair.clips} clips" if pair.frames else ""
    rig = f"calibration {' + '.join(pair.calibration)}" if pair.calibration else ""
    if pair.calibration_note:
        rig = f"calibration left aside: {pair.calibration_note}"
    recognised = f"{'guessed from' if pair.guessed else 'by'} {pair.rule}"
    rejection = f"a build would reject it: {pair.rejection}" if pair.rejection else ""
    facts = [FORMS.get(pair.layout, pair.layout), f"{eye} ({order})", size, film, recognised, rig, rejection]
    return "; ".join(filter(None, facts))


def _print_entry(files: Iterable[str], text: str, width: int) -> None:
    """Names as they are, in lines of their own; the text below them, no word broken."""
    for line in files:
        click.echo(printable(line))
    click.echo(
        textwrap.fill(
            printable(text),
            max(width, NARROW),
            initial_indent="    ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _file_lines(pair: Listed, width: int) -> list[str]:
    """The names of a pair in one line where they fit, else in two."""
    left, right = PurePath(pair.left), PurePath(pair.right)
    if left == right:
        return [pair.left]
    line = f"{left} + {right.name if left.parent == right.parent else right}"
    return [line] if len(line) <= width else [f"{left} +", f"{right}"]


def _open(source: PairSource, network: DepthEstimator | None, max_side: int) -> _Opened:
    """The eye order as the picture shows it, and why a build would reject the pair. max_side: px, of that build."""
    try:
        pair = _read(source, max_side)
        preview = preview_flow(pair.left, pair.right)
        turned = turned_eye(source, preview)
        ordered = find_order(source, preview, network)
        order = -ordered.score if ordered.exchanged else ordered.score
        return _Opened(order, f"not-upright: {turned}" if turned else "")
    except StoreError:
        raise
    except InputError as error:
        return _Opened(rejection=f"{error.reason}: {error}")
    except Exception:  # the build records why; one file must not stop the list
        return _Opened()


def _read(source: PairSource, max_side: int) -> StereoPair:
    """The pair at preview size; a strip too narrow for that at the size of the build. Raises as read_pair."""
    try:
        return read_pair(source, SIDE)
    except InputError as error:
        if error.reason != "too-small":
            raise
    return read_pair(source, max_side)


def _why_unusable(source: PairSource, size: tuple[int, int]) -> str:
    """Why the calibration of two files is of no use; empty where it is, or where the size of an eye is not known."""
    try:
        if source.layout == "files":
            read_rig(source, size)
    except NotUsable as error:
        return str(error)
    return ""


def _size(source: PairSource) -> tuple[int, int] | None:
    """(width, height) of the first picture as displayed, px; None where it cannot be read, and of films."""
    if source.time is not None:
        return None
    try:
        if address_of(source.left) is None:
            return decoded(read_header, [source.left], source.left).size
        with copied([source.left], head) as copies:
            file = copies.here(source.left)
            return decoded(read_header, [file], file).size
    except StoreError:
        raise
    except Exception:  # as above
        return None


def _detail(file: LeftOut, folder: Path) -> str:
    return portable_text(file.detail.replace(f"{file.path}: ", ""), folder)
