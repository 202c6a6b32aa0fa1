"""A file or folder -> the stereo pairs in it, and what was left out and why."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePath

from redweb_builder.inputs.folders import is_ground_truth, pair_files
from redweb_builder.inputs.jps import jps_layout
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.inputs.mpo import mpo_layout
from redweb_builder.inputs.packed import named_layout, round_view, seen_layout
from redweb_builder.inputs.picture import EXTENSIONS, header_of, open_picture, read_picture
from redweb_builder.store import is_data_set
from redweb_builder.types import InputError, LeftOut, PairSource

# Files that hold both eyes whatever their name says.
_CONTAINERS = (".mpo", ".jps", ".pns")
_UNREAD = {".heic": "HEIC", ".heif": "HEIF", ".jxl": "JPEG XL"}
_KEY_LENGTH = 80
_KEY_BYTES = 160
# The content is judged on a picture whose longer side is at least this.
_JUDGE_SIDE = 700


@dataclass(frozen=True)
class Discovery:
    """What an input folder holds: `sources` sorted by key, `left_out` sorted by path."""

    sources: list[PairSource]
    left_out: list[LeftOut]


def discover(root: Path) -> Discovery:
    """Find every stereo pair in a file or below a folder.

    root: a folder, or one file that holds both eyes. Symbolic links are followed, but no folder is entered twice.
    Hidden files and folders, data sets that this program built, files that are no pictures, and ground truth (disp*,
    mask*, ...) are passed over silently; every other picture is part of a pair or is listed in `left_out` with a
    reason: "one-eye", "ambiguous", "other-view", "grey-copy", "single", "not-a-photograph", "anaglyph", "interlaced",
    "panorama", "unsupported", or one of open_picture's. A file is opened only where no name rule explains it.
    Raises FileNotFoundError when there is nothing at `root`.
    """
    if not root.exists():
        raise FileNotFoundError(f"{root}: there is no such file or folder; give the folder that holds the photographs")
    left_out: list[LeftOut] = []
    if root.is_dir():
        files, base = _walk(root, left_out), root
    else:
        files, base = [root], root.parent
    known, alone = [], []
    for file in files:
        relative = PurePath(file.relative_to(base))
        extension = file.suffix.lower()
        if extension in _UNREAD:
            detail = f"{_UNREAD[extension]} files cannot be read; convert to JPEG or PNG"
            left_out.append(LeftOut(file, "unsupported", detail))
        elif extension in _CONTAINERS or not root.is_dir():
            alone.append(relative)
        elif extension in EXTENSIONS and not is_ground_truth(relative):
            known.append(relative)
    pairs, unpaired, unexplained = pair_files(known)
    sources = [
        PairSource(
            _key(base, pair.name, pair.left, pair.right), base / pair.left, base / pair.right, "files", pair.rule
        )
        for pair in pairs
    ]
    for one in unpaired:
        if one.reason == "one-eye" and named_layout(one.file.stem) is not None:
            alone.append(one.file)
        else:
            left_out.append(LeftOut(base / one.file, one.reason, one.detail))
    for relative in (*alone, *unexplained):
        file = base / relative
        try:
            found = file_layout(file)
        except InputError as error:
            left_out.append(LeftOut(file, error.reason, str(error)))
            continue
        if isinstance(found, NotPair):
            left_out.append(LeftOut(file, found.reason, found.detail))
        else:
            key = _key(base, relative.with_suffix("").as_posix(), relative)
            sources.append(
                PairSource(key, file, file, found.layout, found.rule, found.right_first, guessed=found.guessed)
            )
    return Discovery(sorted(sources, key=lambda source: source.key), sorted(left_out, key=lambda one: str(one.path)))


def file_layout(file: Path) -> Layout | NotPair:
    """How one file holds two eyes: by its headers where it is a container, by its name, by its content.

    Raises InputError as read_picture does.
    """
    named = named_layout(file.stem)
    if isinstance(named, NotPair):
        return named
    plain_name = named is not None and not re.search(r"360|180|vr", file.stem.lower())
    if named is not None and plain_name and file.suffix.lower() not in _CONTAINERS:
        return named
    with open_picture(file) as image:
        header = header_of(image)
        xmp = image.info.get("xmp", b"")
        stated = mpo_layout(image) or jps_layout(image, file.suffix)
    if stated is not None and not (named is not None and isinstance(stated, Layout) and stated.guessed):
        return stated
    layout = named.layout if named is not None else ""
    no_flat_view = round_view(file.stem, header.size, layout, xmp if isinstance(xmp, bytes) else b"")
    if no_flat_view is not None:
        return no_flat_view
    if named is not None:
        return named
    shrink = next((by for by in (8, 4, 2) if max(header.size) >= by * _JUDGE_SIDE), 1)
    return seen_layout(read_picture(file, shrink=shrink), header.size, file.stem)


def _walk(root: Path, left_out: list[LeftOut]) -> list[Path]:
    """Every visible file below `root`, sorted; links to folders are entered last, so that real places go first."""
    files: list[Path] = []
    entered: set[tuple[int, int]] = set()
    folders, links = [root], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            if folder != root and is_data_set(folder):
                continue
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            left_out.append(LeftOut(folder, "unreadable", f"the folder cannot be read ({error.strerror})"))
            continue
        for entry in listing:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            path = Path(entry.path)
            try:
                if entry.is_dir():
                    (links if entry.is_symlink() else folders).append(path)
                elif entry.is_file():
                    files.append(path)
                elif entry.is_symlink() and path.suffix.lower() in EXTENSIONS:
                    left_out.append(LeftOut(path, "unreadable", "a link to a file that is not there"))
            except OSError as error:
                left_out.append(LeftOut(path, "unreadable", f"cannot be followed ({error.strerror})"))
    return sorted(files)


def _key(base: Path, name: str, *files: PurePath) -> str:
    """A readable, file-name safe, unique name: from the paths without eye marks, and a hash of paths and sizes."""
    plain = unicodedata.normalize("NFC", name.replace("*", "")).encode("utf-8", "ignore").decode()
    words = re.sub(r"[^\w.]+", "-", plain)
    words = re.sub(r"__+", "_", re.sub(r"[-_.]*-[-_.]*", "-", words)).strip("-_.")[-_KEY_LENGTH:]
    words = words.encode()[-_KEY_BYTES:].decode(errors="ignore").strip("-_.")
    digest = blake2b(digest_size=4)
    for file in files:
        digest.update(os.fsencode(file.as_posix()) + b"\0" + str((base / file).stat().st_size).encode() + b"\0")
    return f"{words}-{digest.hexdigest()}" if words else digest.hexdigest()
