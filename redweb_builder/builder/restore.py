"""The pictures of a set that was given on without them, made again from copies of the photographs.

The set may come from anywhere: its rows and lines are checked on reading, the photographs are found by size and
SHA-256 below a folder that the user names, and a picture is written only where it is the one that the set had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import __version__ as pillow

from redweb_builder.dataset.codec import picture_bytes, preview_bytes
from redweb_builder.dataset.journal import PREVIEWS
from redweb_builder.dataset.label_reader import read_label, read_stored
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.paths import image_of, read_build, sample_root, stored_file
from redweb_builder.dataset.source_views import source_views
from redweb_builder.dataset.sources import Sources, Stamp, read_sources, stamp_of, stamp_of_file
from redweb_builder.errors import InputNotFound, StoreError
from redweb_builder.files import (
    link_or_copy,
    make_folder,
    read_regular,
    remove_temporaries,
    scratch_folder,
    write_atomic,
)
from redweb_builder.inputs.remote import require_folder
from redweb_builder.inputs.walk import files_below
from redweb_builder.inspect.strip import strip_of_label
from redweb_builder.process import one_opencv_thread

Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Restored:
    """What became of a set.

    made: pictures written now. there: those that were there already. missing: a sentence about every other one.
    """

    made: int
    there: int
    missing: list[str]


def restore(labels: Path, copies: Path, watch: Watch = lambda done, total: None) -> Restored:
    """Make Imgs/ of a set that `export --format labels-only` wrote; what is there stays.

    labels: the set. copies: a folder that has the photographs, at any depth and under any name. watch: called with
    (done, total). Raises StoreError where `labels` is no such set; UnsafePath, OSError where it cannot be written.
    """
    for folder in (labels, copies):
        require_folder(folder, "copy it to a disk first")
    if not copies.is_dir():
        raise InputNotFound(f"{copies} is no folder of photographs")
    manifest = read_manifest(labels)
    sources, missing = read_sources(labels)
    missing += manifest.refused
    rows = {row["key"]: row for row in manifest.rows if row["width"]}
    missing += [f"{key}: sources.jsonl does not say what it is made from" for key in rows.keys() - sources.keys()]
    wanted = {key: sources[key] for key in rows if key in sources and not _is_there(labels, key, sources[key])}
    found = find_files(copies, (stamp for pair in wanted.values() for stamp in pair.files.values()))
    for home in filter(Path.is_dir, (labels, labels / "rejected")):
        make_folder(home / "Imgs", labels)
        remove_temporaries(home)
        remove_temporaries(home / "Imgs")
    there = [key for key in rows if key in sources and key not in wanted]
    made: list[str] = []
    with one_opencv_thread(), scratch_folder(labels) as scratch:  # pictures are rectified as the build did it
        for done, (key, pair) in enumerate(wanted.items(), 1):
            try:
                folder = _folder_with(pair.files, copies, found, scratch)
                write_atomic(_place(labels, key, pair), _picture(labels, rows[key], pair, folder))
                made.append(key)
            except StoreError as error:
                missing.append(f"{key}: {error}")
            except IsADirectoryError:
                missing.append(f"{key}: a folder lies in the place of {pair.picture}: move it away")
            watch(done, len(wanted))
    missing += _draw_previews(labels, [*there, *made])
    return Restored(len(made), len(there), missing)


def _draw_previews(labels: Path, keys: Sequence[str]) -> list[str]:
    """Draw what report and grid show of pairs with a picture, where it is not there; why one could not be drawn."""
    faults = []
    if keys:
        make_folder(labels / PREVIEWS, labels)
        remove_temporaries(labels / PREVIEWS)
    for key in keys:
        file = labels / PREVIEWS / f"{key}.jpg"
        try:
            if not file.exists():
                picture = read_stored(image_of(labels, key))
                write_atomic(file, preview_bytes(strip_of_label(picture, read_label(labels, key))))
        except StoreError as error:
            faults.append(f"{key}: {error}")
    return faults


def find_files(folder: Path, stamps: Iterable[Stamp]) -> dict[Stamp, list[Path]]:
    """The files below a folder that have one of the stamps; only those of a size that is asked for are read.

    folder: links to folders are followed, as by a build. stamps: of what is looked for.
    """
    wanted = set(stamps)
    sizes = {stamp.size for stamp in wanted}
    found: dict[Stamp, list[Path]] = defaultdict(list)
    for file in map(folder.joinpath, files_below(folder, [], lambda _: False)):
        try:
            if file.stat().st_size in sizes and (stamp := stamp_of_file(file)) in wanted:
                found[stamp].append(file)
        except OSError:  # a file that cannot be read is none that was found
            continue
    return found


def _place(labels: Path, key: str, pair: Sources) -> Path:
    """Where the picture of a pair is, or is to be: beside its label, which `refilter` may have moved to rejected/.

    Raises StoreError where the pair has no label.
    """
    try:
        return stored_file(labels, "Imgs", key, (Path(pair.picture).suffix,))
    except StoreError:
        return sample_root(labels, key) / pair.picture


def _is_there(labels: Path, key: str, pair: Sources) -> bool:
    try:
        return stamp_of(read_regular(_place(labels, key, pair), pair.stamp.size)) == pair.stamp
    except (StoreError, OSError):  # UnsafePath among them: of another size
        return False


def _folder_with(files: Mapping[str, Stamp], copies: Path, found: dict[Stamp, list[Path]], scratch: Path) -> Path:
    """A folder that has the files of a source under their names, since some forms are read by these.

    That is `copies` where it has them so; else `scratch`, to which they are linked. Raises StoreError where some are
    not found, or no file can have such a name there.
    """
    gone = [name for name, stamp in files.items() if not found.get(stamp)]
    if gone:
        raise StoreError(f"{' and '.join(gone)} not found among the copies (SHA-256 {files[gone[0]].sha256[:16]}...)")
    if all(copies / name in found[stamp] for name, stamp in files.items()):
        return copies
    for name, stamp in files.items():
        try:
            if not (scratch / name).exists():
                (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(found[stamp][0].resolve(), scratch / name)
        except OSError as error:  # another pair has a folder of that name, or it is too long
            raise StoreError(f"{name[:80]} cannot be laid out as the build found it ({error.strerror})") from error
    return scratch


def _picture(labels: Path, row: Mapping[str, Any], pair: Sources, folder: Path) -> bytes:
    """The content of a pair's picture. Raises StoreError where it cannot be made, or is not the one of the set."""
    content = picture_bytes(source_views(labels, row, folder).left, pair.picture.endswith(".png"))
    if stamp_of(content) != pair.stamp:
        versions = read_build(labels).get("versions")
        theirs = versions.get("pillow") if isinstance(versions, dict) else None
        raise StoreError(
            f"its photographs give another picture here (Pillow {pillow}, the set was made with {theirs!a}): "
            "install that version"
        )
    return content
