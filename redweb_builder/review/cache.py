"""Bytes kept in one folder on the disk, under names that no one else uses, up to a number of files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from redweb_builder.dataset.paths import is_cached
from redweb_builder.files import read_regular, remove_temporaries, write_atomic

MAX_FILES = 2000  # some 200 MB of pictures of 768 px
MAX_BYTES = 64 << 20  # of one file; larger content is not kept


class Cache:
    """A folder of files, the longest unused removed beyond a number.

    The folder may come from anywhere. Only regular files whose names have the cache's own form are read or removed, and
    a folder that is a link is not used. A cache that cannot be written keeps nothing.
    """

    def __init__(self, folder: Path, max_files: int = MAX_FILES) -> None:
        """folder: created when there is something to keep. max_files: how many files stay."""
        self._folder, self._max_files = folder, max_files
        with suppress(OSError):  # there is none yet, or it cannot be written
            if folder.is_dir() and self.is_usable:
                remove_temporaries(folder)

    @property
    def is_usable(self) -> bool:
        """Whether the folder is, or can become, a real folder: no link, no file."""
        try:
            return stat.S_ISDIR(self._folder.lstat().st_mode)
        except OSError:
            return not os.path.lexists(self._folder)

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The content kept under a name, else what `make` returns, which is then kept. Raises what `make` raises."""
        if not self.is_usable:
            return make()
        file = self._folder / blake2b(name.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        try:
            if not _is_ours(file.name, file.lstat()):
                return make()
            content = read_regular(file, MAX_BYTES)
            os.utime(file)
        except OSError:
            content = make()
            self._keep(file, content)
        return content

    def _keep(self, file: Path, content: bytes) -> None:
        if len(content) > MAX_BYTES:
            return
        with suppress(OSError):  # a full or read-only disk: the content is made again next time
            self._folder.mkdir(exist_ok=True)
            write_atomic(file, content)
            self._trim()

    def _trim(self) -> None:
        """Remove the longest unused of the cache's own files beyond `max_files`."""
        with os.scandir(self._folder) as entries:
            states = [(entry.stat(follow_symlinks=False), entry) for entry in entries]
        ours = sorted((state.st_mtime_ns, entry.path) for state, entry in states if _is_ours(entry.name, state))
        for _, path in ours[: max(0, len(ours) - self._max_files)]:
            Path(path).unlink(missing_ok=True)


def _is_ours(name: str, state: os.stat_result) -> bool:
    """Whether a file may be one of the cache: a regular file of a bounded size under a name of its form."""
    return is_cached(name) and stat.S_ISREG(state.st_mode) and state.st_size <= MAX_BYTES
