"""File names of exported samples: a key, where every system can hold it, else the key made safe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from unicodedata import normalize

# Names that Windows gives to devices, with and without an ending (Microsoft, "Naming Files, Paths, and Namespaces").
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]')
MAX_BYTES = 200  # of UTF-8; a file name has at most 255, its ending included


def file_names(keys: Iterable[str], dots: bool = True) -> Iterator[tuple[str, str]]:
    """Each key with a file name without its ending, no two alike on a disk that ignores case.

    keys: in the order in which they take names. A key stays as it is where Windows, macOS and Linux can hold it and no
    earlier key has taken it; else it is made safe, and a hash of it is appended. dots: whether a name may hold dots;
    else each becomes an underscore.
    """
    taken: set[str] = set()
    for key in keys:
        name = key if dots else key.replace(".", "_")
        if not _is_portable(name) or _folded(name) in taken:
            name = _made_safe(name, key)
        folded = _folded(name)
        taken.add(name if folded == name else folded)  # of millions of keys no second copy
        yield key, name


def _is_portable(name: str) -> bool:
    return (
        name.strip(" .") == name != ""
        and not FORBIDDEN.search(name)
        and not DEVICE.fullmatch(name)
        and len(name.encode()) <= MAX_BYTES
    )


def _made_safe(name: str, key: str) -> str:
    start = FORBIDDEN.sub("_", name).encode()[: MAX_BYTES - 20].decode(errors="ignore").strip(" .")
    digest = blake2b(key.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{'_' if DEVICE.fullmatch(start) else ''}{start}-{digest}"


def _folded(name: str) -> str:
    """The same text for names that some disk takes for one: case and composition of letters ignored."""
    return normalize("NFC", name.casefold())
