"""Where shards lie: a folder of this machine, or remote storage."""

from __future__ import annotations

import os
from pathlib import Path

from redweb_builder.dataset.paths import require_inside
from redweb_builder.errors import StoreError
from redweb_builder.files import open_regular, read_regular, write_atomic
from redweb_builder.inputs.remote import Remote, address_of

MOST_BYTES = 1 << 28  # of a file that is read whole: an index of 500 samples has far less


class Storage:
    """A folder of shards. It can be sent to worker processes, each of which opens its own connections.

    address: as people see it.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        """Open nothing yet. place: a folder of this machine, or an address."""
        address = address_of(place)
        self._remote = Remote(address) if address else None
        self._folder = Path(place)
        self.address = address or str(place)

    def names(self) -> list[str]:
        """The names of the files in the folder, sorted. Raises StoreError."""
        if self._remote is None:
            return sorted(entry.name for entry in self._folder.iterdir()) if self._folder.is_dir() else []
        return self._remote.names()

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Some bytes of a file. Raises StoreError where it is missing, cannot be read, is shorter, or longer than read.

        name: of the file, in the folder. start: the first byte. size: how many; None = to the end, MOST_BYTES at most.
        """
        if self._remote is None:
            content = self._read_here(name, start, size)
        else:
            try:
                content = self._remote.read(name, start, MOST_BYTES + 1 if size is None else size)
            except FileNotFoundError as error:
                raise StoreError(f"{self.address} has no {name}") from error
        if size is None and len(content) > MOST_BYTES:
            raise StoreError(f"{self.address}/{name}: it has more than {MOST_BYTES} bytes, and is not read")
        if size is not None and len(content) != size:
            raise StoreError(f"{self.address}/{name}: it ends before byte {start + size}; write it again")
        return content

    def _read_here(self, name: str, start: int, size: int | None) -> bytes:
        try:
            with open_regular(require_inside(self._folder, self._folder / name)) as file:
                file.seek(start)
                return file.read(MOST_BYTES + 1 if size is None else size)
        except OSError as error:
            raise StoreError(f"{self._folder / name} cannot be read ({error.strerror or error})") from error

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file, all of it or nothing. Raises StoreError.

        name: of the file, in the folder. content: its bytes, or a file that has them.
        """
        if self._remote is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._folder / name, content if isinstance(content, bytes) else read_regular(content))
        else:
            self._remote.write(name, content)
