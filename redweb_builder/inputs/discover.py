"""A file or folder -> the stereo pairs in it, and what was left out and why."""

from __future__ import annotations

import os
import re
import traceback
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from redweb_builder.config import InputOptions
from redweb_builder.errors import InputError, InputNotFound, StoreError
from redweb_builder.inputs.content.agreement import AGREEMENT, agreement
from redweb_builder.inputs.copies import copied, remote_files_below, remote_size, side_by_side
from redweb_builder.inputs.formats import films
from redweb_builder.inputs.formats.calibration import EXTENSIONS as OF_CALIBRATION
from redweb_builder.inputs.formats.calibration import CalibrationFiles
from redweb_builder.inputs.formats.film_offset import time_offset
from redweb_builder.inputs.formats.folders import pair_files
from redweb_builder.inputs.formats.ground_truth import is_ground_truth
from redweb_builder.inputs.formats.one_file import CONTAINERS, file_layout, layout_by_name
from redweb_builder.inputs.formats.packed import forced_layout, named_layout
from redweb_builder.inputs.formats.pairing import TwoFiles, Unpaired
from redweb_builder.inputs.formats.stated import pair_by_patterns, read_pair_list
from redweb_builder.inputs.formats.unread import how_to_convert, how_to_read_dat
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.inputs.listing import Listing
from redweb_builder.inputs.picture import EXTENSIONS, heif_is_readable, read_picture
from redweb_builder.inputs.remote import address_of, shown
from redweb_builder.inputs.walk import files_below
from redweb_builder.pair_sources import PairSources
from redweb_builder.types import LeftOut, PairSource

_HEIC = (".heic", ".heif", ".hif")
_KEY_LENGTH = 80
_KEY_BYTES = 160
MOMENTS = 3  # of two films, at which they are compared
_SAMPLE_AT, _SAMPLE_BYTES = 0.618, 1024  # of a file: a row well inside the picture, and not where it begins

Sources = Iterator[PairSource | LeftOut]


@dataclass(frozen=True)
class Discovery:
    """What an input holds: `sources` sorted by key, `left_out` sorted by path. base: its folder."""

    sources: PairSources
    left_out: list[LeftOut]
    base: Path


def discover(
    root: Path,
    options: InputOptions | None = None,
    watch: Callable[[PurePath], None] = lambda file: None,
    skip: Callable[[Path], bool] = lambda folder: False,
) -> Discovery:
    """Find every stereo pair in a file or below a folder.

    root: a folder, or a file that holds both eyes; or a path made of an address of remote storage, and so are then the
    paths of the sources. Symbolic links are followed, but no folder is entered twice.
    options: how files are read, and a rule of the person's own for what belongs together.
    Hidden files and folders, files that are no pictures, and ground truth (ground_truth.py) are passed over silently;
    every other picture or film is part of a pair or is listed in `left_out` with a reason: "one-eye", "ambiguous",
    "other-view", "grey-copy", "single", "not-a-photograph", "anaglyph", "interlaced", "panorama", "collage",
    "many-views", "unmatched", "unsupported", "failed", or one of open_picture's. With a list of pairs only those files
    are named. A picture is opened only where no name rule explains it, or where the rule is a guess; of a film the key
    frames are compared. watch: called with each file, relative to `root`, before it is asked.
    skip: folders, absolute, that are passed over with all that they hold, such as data sets that were built.
    Raises InputNotFound when there is nothing at `root`, SettingsError where the person's rule cannot be used,
    StoreError where remote storage does not answer.
    """
    options = options or InputOptions()
    left_out: list[LeftOut] = []
    place = _listed_remote(root, left_out, skip) if address_of(root) else _listed_here(root, left_out, skip)
    if options.pairs is not None:
        entries = _stated(place, options.pairs, options, watch)
    else:
        pictures, moving, containers = _by_kind(place, root, options, left_out)
        none = Listing.of(())
        paired, alone = (none, moving) if place.is_one_file(root) else (moving, none)  # it has no partner to be named
        entries = chain(
            _sources_of(place, pictures, containers, options, _picture, watch),
            _sources_of(place, paired, alone, options, _film, watch),
        )
    sources = PairSources.of(_with_calibrations(place, _pairs_in(entries, options, left_out)))
    left_out.sort(key=lambda file: str(file.path))
    return Discovery(sources.sorted_by_key(), left_out, place.base)


def _pairs_in(entries: Sources, options: InputOptions, left_out: list[LeftOut]) -> Iterator[PairSource]:
    """The pairs, with the order that a person states. left_out: gets all else."""
    for entry in entries:
        if isinstance(entry, PairSource):
            yield replace(entry, right_first=True, order_stated=True) if options.right_first else entry
        else:
            left_out.append(entry)


def _with_calibrations(place: _Place, sources: Iterator[PairSource]) -> Iterator[PairSource]:
    named = (file for file in place.files.names() if file.lower().endswith(OF_CALIBRATION))
    files = CalibrationFiles(map(place.base.joinpath, named))
    return map(files.beside, sources)


@dataclass(frozen=True)
class _Place:
    """The input folder, and every file below it. remote: they lie in remote storage, and their sizes are known."""

    base: Path
    files: Listing
    remote: bool = False

    def has(self, name: PurePath) -> bool:
        return self.files.size(name) is not None if self.remote else (self.base / name).is_file()

    def is_one_file(self, root: Path) -> bool:
        return self.base != root


def _listed_here(root: Path, left_out: list[LeftOut], skip: Callable[[Path], bool]) -> _Place:
    if not root.exists():
        raise _not_found(root, "there is no such file or folder")
    if not (root.is_dir() or root.is_file()):
        raise _not_found(root, "is neither a file nor a folder")
    if root.is_file():
        return _Place(root.parent, Listing.of([root.name]))
    return _Place(root, files_below(root, left_out, skip, EXTENSIONS | films.EXTENSIONS))


def _not_found(root: Path, why: str) -> InputNotFound:
    return InputNotFound(f"{shown(root)}: {why}; give the folder that holds the photographs, or one of its files")


def _listed_remote(root: Path, left_out: list[LeftOut], skip: Callable[[Path], bool]) -> _Place:
    files = remote_files_below(root, left_out)
    if not files and not left_out:
        size = remote_size(root)
        if size is None:
            raise _not_found(root, "there is no such file or folder")
        return _Place(root.parent, Listing.of([root.name], array("q", [size])), remote=True)
    for stated in [file for file in files if file.name == "build.json"]:
        with copied([root / stated]) as copies:
            is_skipped = skip(copies.here(root / stated.parent))
        if is_skipped:
            files = files.take(np.setdiff1d(np.arange(len(files)), files.below(stated.parent)))
    return _Place(root, files, remote=True)


def _by_kind(
    place: _Place, root: Path, options: InputOptions, left_out: list[LeftOut]
) -> tuple[Listing, Listing, Listing]:
    """Pictures, films and containers of both eyes, relative to the input folder. left_out: gets what cannot be read."""
    pictures, moving, containers = array("q"), array("q"), array("q")
    is_root = place.is_one_file(root)
    for number, file in enumerate(place.files):
        extension = file.suffix.lower()
        missing = how_to_read_dat(place.base / file) if extension == ".dat" else _missing_reader(extension)
        if missing:
            if not is_ground_truth(file):
                left_out.append(LeftOut(place.base / file, "unsupported", missing))
        elif extension in films.EXTENSIONS:
            moving.append(number)
        elif (extension in CONTAINERS and options.pair is None) or is_root:
            containers.append(number)
        elif extension in EXTENSIONS and (options.pair is not None or not is_ground_truth(file)):
            pictures.append(number)
    kinds = (np.array(numbers, np.int64) for numbers in (pictures, moving, containers))
    of_pictures, of_films, of_containers = map(place.files.take, kinds)
    return of_pictures, of_films, of_containers


def _stated(place: _Place, file: Path, options: InputOptions, watch: Callable[[PurePath], None]) -> Sources:
    """The pairs that a person lists in a file."""
    pictures: list[TwoFiles] = []
    moving: list[TwoFiles] = []
    for pair in read_pair_list(file, place.base):
        missing = [place.base / eye for eye in (pair.left, pair.right) if not place.has(eye)]
        yield from (LeftOut(eye, "unreadable", f"line {pair.line} of {file}: no such file") for eye in missing)
        if not missing:
            name = pair.key or pair.left.with_suffix("").as_posix()
            two = TwoFiles(pair.left, pair.right, name, f"listed in {file.name}")
            (moving if pair.left.suffix.lower() in films.EXTENSIONS else pictures).append(two)
    yield from _ask_each(place, pictures, options, _picture, watch)
    yield from _ask_each(place, moving, options, _film, watch)


def _missing_reader(extension: str) -> str:
    """What to do about files that this installation cannot read; empty where it can."""
    if extension in _HEIC and not heif_is_readable():
        return "HEIC files need pillow-heif: pip install 'redweb-builder[heic]', or convert to JPEG or PNG"
    if extension in films.EXTENSIONS and not films.are_readable():
        return "films need PyAV: pip install 'redweb-builder[film]'"
    return how_to_convert(extension)


def _sources_of(
    place: _Place,
    files: Listing,
    containers: Listing,
    options: InputOptions,
    make: Callable[[Path, TwoFiles | PurePath, InputOptions], Sources],
    watch: Callable[[PurePath], None],
) -> Sources:
    """Pictures, or films: two files that belong together, and single files that hold both eyes."""
    alone = files
    if options.layout == "auto":
        pairs, unpaired, alone = _pairs_of(files, options)
        yield from _ask_each(place, pairs, options, make, watch)
        packed: list[PurePath] = []
        for left_out in unpaired:
            if left_out.reason == "one-eye" and named_layout(left_out.file.stem) is not None:
                packed.append(left_out.file)
            else:
                yield LeftOut(place.base / left_out.file, left_out.reason, left_out.detail)
        yield from _ask_each(place, packed, options, make, watch)
    yield from _ask_each(place, containers, options, make, watch)
    yield from _ask_each(place, alone, options, make, watch)


def _pairs_of(files: Listing, options: InputOptions) -> tuple[Sequence[TwoFiles], list[Unpaired], Listing]:
    """As pair_files; by the person's own patterns where there are any."""
    if options.pair is None:
        return pair_files(files, options.time_tolerance)
    stated, why = pair_by_patterns(files, options.pair, options.time_tolerance)
    pairs = [TwoFiles(left, right, left.with_suffix("").as_posix(), "--pair") for left, right in stated]
    return pairs, [Unpaired(file, "unmatched", detail) for file, detail in why.items()], Listing.of(())


def _ask_each(
    place: _Place,
    items: Sequence[TwoFiles | PurePath],
    options: InputOptions,
    make: Callable[[Path, TwoFiles | PurePath, InputOptions], Sources],
    watch: Callable[[PurePath], None],
) -> Sources:
    """All that files, and pairs of files, give. watch: called with each of them before it is asked."""

    def ask(what: TwoFiles | PurePath) -> list[PairSource | LeftOut]:
        watch(what.left if isinstance(what, TwoFiles) else what)
        return _guarded(place, what, options, make is _film)

    yield from chain.from_iterable(side_by_side(ask, items, place.remote))


def _guarded(
    place: _Place, what: TwoFiles | PurePath, options: InputOptions, is_film: bool
) -> list[PairSource | LeftOut]:
    """What a file gives; a broken one, or one that shows a fault of ours, is left out and costs nothing else."""
    files = [place.base / file for file in ((what.left, what.right) if isinstance(what, TwoFiles) else (what,))]
    try:
        if not place.remote:
            return decoded(_given, files, place.base, what, options, is_film)
        return _given_remote(place, files, what, options, is_film)
    except StoreError:  # the storage is gone, and with it all other files
        raise
    except InputError as error:
        return [LeftOut(file, error.reason, str(error)) for file in files]
    except OSError as error:  # gone, or out of reach, since the folder was listed
        return [LeftOut(file, "unreadable", f"{file}: cannot be read ({error.strerror})") for file in files]
    except Exception as error:  # nobody foresaw it: one file must not stop a run over a hundred thousand
        detail = f"an unforeseen error, a bug of this program: {type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        return [LeftOut(file, "failed", detail, trace) for file in files]


def _given_remote(
    place: _Place, files: Sequence[Path], what: TwoFiles | PurePath, options: InputOptions, is_film: bool
) -> list[PairSource | LeftOut]:
    """As _given, of files of remote storage: of those whose names say all, only the sample is read."""

    def sample(file: Path) -> tuple[int, int, int]:
        size = place.files.size(file.relative_to(place.base)) or 0
        return size, int(_SAMPLE_AT * size), _SAMPLE_BYTES

    by_name = not is_film and (
        not what.guessed if isinstance(what, TwoFiles) else options.layout != "auto" or layout_by_name(what) is not None
    )
    with copied(files, sample if by_name else None) as copies:
        given = decoded(_given, [*map(copies.here, files)], copies.here(place.base), what, options, is_film)
    return [
        replace(entry, left=copies.there(entry.left), right=copies.there(entry.right))
        if isinstance(entry, PairSource)
        else replace(entry, path=copies.there(entry.path), detail=copies.in_words(entry.detail))
        for entry in given
    ]


def _given(base: Path, what: TwoFiles | PurePath, options: InputOptions, is_film: bool) -> list[PairSource | LeftOut]:
    """All that a file, or two that belong together, give."""
    return list((_film if is_film else _picture)(base, what, options))


def _picture(base: Path, what: TwoFiles | PurePath, options: InputOptions) -> Sources:
    if isinstance(what, TwoFiles):
        yield from _guessed_two(base, what, options) if what.guessed else [_two_pictures(base, what, what.rule)]
        return
    file = base / what
    layout = file_layout(file) if options.layout == "auto" else forced_layout(options.layout, file.stem)
    yield _one_picture(base, what, layout, options)


def _one_picture(base: Path, file: PurePath, layout: Layout | NotPair, options: InputOptions) -> PairSource | LeftOut:
    """The source of a file that holds both eyes, or why it holds none."""
    if isinstance(layout, NotPair):
        return LeftOut(base / file, layout.reason, layout.detail)
    key = _key(base, file.with_suffix("").as_posix(), file)
    return PairSource(key, base / file, base / file, **_read_as(layout), fov=options.vr_fov)


def _two_pictures(base: Path, pair: TwoFiles, rule: str) -> PairSource:
    """The source of two files that belong together. rule: what says so."""
    key = _key(base, pair.name, pair.left, pair.right)
    return PairSource(key, base / pair.left, base / pair.right, "files", rule, guessed=pair.guessed)


def _guessed_two(base: Path, pair: TwoFiles, options: InputOptions) -> Sources:
    """Two files whose names are a weak reason, so that their content is asked: a pair if they show one scene.

    Not where each of them holds both eyes already, or one of them states that it does: a packed picture shows the scene
    of another picture, too.
    """
    files = base / pair.left, base / pair.right
    layouts = [file_layout(file) for file in files]
    pairs = [layout for layout in layouts if isinstance(layout, Layout)]
    if len(pairs) == 2 or any(not layout.guessed for layout in pairs):
        for file, layout in zip((pair.left, pair.right), layouts, strict=True):
            yield _one_picture(base, file, layout, options)
        return
    score = agreement(*(read_picture(file, shrink=2) for file in files))
    maps = any(isinstance(layout, NotPair) and layout.reason == "not-a-photograph" for layout in layouts)
    if score >= AGREEMENT and not maps:
        yield _two_pictures(base, pair, f"{pair.rule}, the two agree ({score:.2f})")
        return
    for file, other, layout in zip((pair.left, pair.right), files[::-1], layouts, strict=True):
        if isinstance(layout, NotPair) and layout.reason == "single":
            detail = f"its name pairs it with {other.name}, but the two do not show one scene (agreement {score:.2f})"
            layout = NotPair("single", detail)
        yield _one_picture(base, file, layout, options)


def _film(base: Path, what: TwoFiles | PurePath, options: InputOptions) -> Sources:
    """A source for every frame to take from a film, or from two films of one eye each."""
    if isinstance(what, TwoFiles):
        if what.guessed and not _films_agree(base / what.left, base / what.right):
            for file in (what.left, what.right):
                yield from _film(base, file, options)
            return
        layout = Layout("files", f"films, {what.rule}", guessed=what.guessed)
        yield from _frames(base, (what.left, what.right), what.name, layout, options)
        return
    file = base / what
    forced = options.layout != "auto"
    stated = forced_layout(options.layout, file.stem) if forced else films.film_layout(file)
    if isinstance(stated, NotPair):
        yield LeftOut(file, stated.reason, stated.detail)
    else:
        yield from _frames(base, (what,), what.with_suffix("").as_posix(), stated, options)


def _films_agree(left: Path, right: Path) -> bool:
    """Whether two films whose names are a weak reason show one scene at one time, and neither holds both eyes."""
    if any(isinstance(films.film_layout(file), Layout) for file in (left, right)):
        return False
    moments = [frame.time for frame in films.film_frames(left, rate=1.0)]
    scores = []
    for time in moments[:: max(1, len(moments) // MOMENTS)][:MOMENTS]:
        try:
            scores.append(agreement(*(films.read_shot(file, time).picture for file in (left, right))))
        except InputError:  # the other film is shorter
            scores.append(0.0)
    return bool(scores) and sorted(scores)[len(scores) // 2] >= AGREEMENT


def _frames(base: Path, parts: Sequence[PurePath], name: str, layout: Layout, options: InputOptions) -> Sources:
    """A source for every frame to take from one film, or from two. name: for the keys."""
    files = [base / part for part in parts]
    first = films.film_bars(files[0])
    two = len(files) == 2 or layout.layout == "two-streams"
    crops = first, films.film_bars(files[-1], stream=2 - len(files)) if two else first
    offset = time_offset(files[0], files[1]) if len(files) == 2 else 0.0
    rule = f"{layout.rule}, the second film is {offset:+.2f} s late" if offset else layout.rule
    taken: Counter[int] = Counter()
    for frame in films.film_frames(files[0], options.film_rate, layout.layout == "frame-sequential"):
        clip = f"{name} c{frame.clip:03d}"
        yield PairSource(
            _key(base, f"{clip} t{frame.time:09.3f}", *parts),
            files[0],
            files[-1],
            **(_read_as(layout) | {"rule": f"{rule}; clip {frame.clip} at {frame.time:.3f} s"}),
            time=frame.time,
            crops=crops,
            offset=offset,
            clip=_key(base, clip, *parts),
            clip_frame=taken[frame.clip],
            fov=options.vr_fov,
        )
        taken[frame.clip] += 1


def _read_as(layout: Layout) -> dict[str, Any]:
    """The fields that a Layout shares with a PairSource."""
    return {field.name: getattr(layout, field.name) for field in fields(layout)}


def _key(base: Path, name: str, *files: PurePath) -> str:
    """A readable, file-name safe, unique name: from the paths without eye marks, and a hash of paths and files."""
    plain = unicodedata.normalize("NFC", name.replace("*", "")).encode("utf-8", "ignore").decode()
    words = re.sub(r"[^\w.]+", "-", plain)
    words = re.sub(r"__+", "_", re.sub(r"[-_.]*-[-_.]*", "-", words)).strip("-_.")[-_KEY_LENGTH:]
    words = words.encode()[-_KEY_BYTES:].decode(errors="ignore").strip("-_.")
    digest = blake2b(digest_size=4)
    for file in files:
        digest.update(os.fsencode(file.as_posix()) + b"\0" + _fingerprint(base / file) + b"\0")
    return f"{words}-{digest.hexdigest()}" if words else digest.hexdigest()


def _fingerprint(file: Path) -> bytes:
    """Size and a small sample: uncompressed pictures of one name and equal dimensions differ in the sample only.

    Without the sample where the file cannot be read, which the build will tell of. Not by Path.open, whose overhead
    shows in folders of 100,000 files.
    """
    try:
        opened = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            size = os.lseek(opened, 0, os.SEEK_END)
            os.lseek(opened, int(_SAMPLE_AT * size), os.SEEK_SET)
            return str(size).encode() + b"\0" + os.read(opened, _SAMPLE_BYTES)
        finally:
            os.close(opened)
    except OSError:
        return str(file.stat().st_size).encode()
