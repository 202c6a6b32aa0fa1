"""How records name files of the input: the same wherever it lies, and in UTF-8."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOST_CHARACTERS = 20_000  # of a text; more than a path or a traceback has
_LONE_SURROGATES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")  # those that stand for no byte of a name


def path_below(path: Path, stereo_dir: Path) -> str:
    """A source's path as the manifest names it, the same wherever the input folder lies.

    path: of a file of the input. stereo_dir: the input folder or file.
    """
    base = stereo_dir.parent if path == stereo_dir else stereo_dir
    return _fit(path.relative_to(base).as_posix())


def portable_text(text: str, stereo_dir: Path) -> str:
    """Text fit for the manifest: without the place of the input folder; bytes of a name that are no UTF-8 escaped.

    text: a path, or a sentence with paths. A sentence may quote a file: its NULs are escaped, as no row may hold any,
    and it is cut before it makes a line of the journal too long. stereo_dir: the input folder.
    """
    place = re.escape(f"{stereo_dir}{os.sep}")
    return _fit(re.sub(rf"(?<![\w.\-/\\]){place}", "", text))  # photos/, and not the end of photos/old_photos/


def _fit(text: str) -> str:
    """Text without bytes that are no UTF-8, and NULs, cut to what a row may hold."""
    return in_utf_8(text).replace("\0", "\\x00")[:MOST_CHARACTERS]


def in_utf_8(text: str) -> str:
    """Text with the bytes of names in it that are no UTF-8 escaped, other surrogates replaced. text: any."""
    return os.fsencode(_LONE_SURROGATES.sub("\ufffd", text)).decode("utf-8", "backslashreplace")
