"""File names of exported samples: a key, where every system can hold it, else the key made safe."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from hashlib import blake2b
from unicodedata import normalize

import numpy as np

# Names that Windows gives to devices, with and without an ending (Microsoft, "Naming Files, Paths, and Namespaces").
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]')
MADE_SAFE = re.compile(r"-[0-9a-f]{16}", re.IGNORECASE)  # how a name ends that was made; so no key is one
MAX_BYTES = 200  # of UTF-8; a file name has at most 255, its ending included


def file_namer(keys: Collection[str], dots: bool = True) -> Callable[[str], str]:
    """What gives each key a file name without its ending, no two alike on a disk that ignores case.

    keys: in the order in which they take names. A key stays as it is where Windows, macOS and Linux can hold it and no
    earlier key has taken it; else it is made safe, and a hash of it is appended. dots: whether a name may hold dots;
    else each becomes an underscore.
    """

    def plain(key: str) -> str:
        name = key if dots else key.replace(".", "_")
        return name if _is_portable(name) else _made_safe(name, key)

    later = set(_later_twins(keys, lambda key: _folded(plain(key))))
    return lambda key: _made_safe(plain(key), key) if key in later else plain(key)


def _later_twins(keys: Collection[str], form: Callable[[str], str]) -> Iterator[str]:
    """The keys whose form an earlier key has. Of millions of keys a hash each is in memory, and no second copy."""
    hashes = np.fromiter((hash(form(key)) for key in keys), np.int64, len(keys))
    hashes.sort()
    repeated = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    taken: set[str] = set()
    for key in keys if repeated else ():
        if hash(name := form(key)) in repeated:
            if name in taken:
                yield key
            taken.add(name)


def _is_portable(name: str) -> bool:
    return (
        name.strip(" .") == name != ""
        and not FORBIDDEN.search(name)
        and not DEVICE.fullmatch(name)
        and not MADE_SAFE.fullmatch(name, len(name) - 17)
        and len(name.encode()) <= MAX_BYTES
    )


def _made_safe(name: str, key: str) -> str:
    start = FORBIDDEN.sub("_", name).encode()[: MAX_BYTES - 20].decode(errors="ignore").strip(" .")
    digest = blake2b(key.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{'_' if DEVICE.fullmatch(start) else ''}{start}-{digest}"


def _folded(name: str) -> str:
    """The same text for names that some disk takes for one: case and composition of letters ignored."""
    return normalize("NFC", name.casefold())
