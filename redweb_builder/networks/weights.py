"""Pretrained weights: from a given path, the hub's cache or the hub. Nothing is fetched at import."""

from __future__ import annotations

import hashlib
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.files import replacing, sha256_of, write_atomic

HUB_TIMEOUT_S = 10  # seconds without an answer


@dataclass(frozen=True)
class Weights:
    """A weight file. origin: "path", "cache", "hub" or "package". sha256: hexadecimal, of the file's bytes."""

    path: Path
    origin: str
    sha256: str


def shipped_weights(file: Path) -> Weights:
    """A weight file that comes with the package, checked against the .sha256 beside it.

    file: the weight file. Raises WeightsUnavailable where it or its checksum is missing, or where they differ.
    """
    checksum = file.with_name(f"{file.name}.sha256")
    if not file.is_file() or not checksum.is_file():
        raise WeightsUnavailable(f"{file} or its .sha256 is missing: install redweb-builder anew")
    actual = sha256_of(file)
    if checksum.read_text().split()[:1] != [actual]:
        raise WeightsUnavailable(f"{file} is damaged: its SHA-256 is not the one in {checksum.name}. Install it anew")
    return Weights(file, "package", actual)


def write_shipped(file: Path, content: bytes) -> None:
    """Write a weight file for the package, and beside it its SHA-256 as sha256sum prints it.

    file: where. content: its bytes.
    """
    write_atomic(file, content)
    write_atomic(
        file.with_name(f"{file.name}.sha256"), f"{hashlib.sha256(content).hexdigest()}  {file.name}\n".encode()
    )


def find_weights(path: Path | None, url: str) -> Weights:
    """The weight file at `path`, else that of `url` in torch.hub's cache, else downloaded into that cache.

    path: a given file, or None. url: of the published file; its name ends in the first digits of its SHA-256
    ("raft_small_C_T_V1-ad48884c.pth"), against which a download is checked. Raises WeightsUnavailable.
    """
    if path is not None:
        if not path.is_file():
            raise WeightsUnavailable(f"there is no weight file at {path}")
        return Weights(path, "path", sha256_of(path))
    import torch  # here, so that the commands that load no network start at once

    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if cached.is_file():
        return Weights(cached, "cache", sha256_of(cached))
    try:
        _download(url, cached)
    except (OSError, HTTPException) as error:  # the latter where something else than the hub answers
        raise WeightsUnavailable(f"{cached.name} is not in {cached.parent} and the hub gave none ({error})") from error
    return Weights(cached, "hub", sha256_of(cached))


def _download(url: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=HUB_TIMEOUT_S) as response, replacing(target) as file:
        while block := response.read(1 << 20):
            digest.update(block)
            file.write(block)
        expected = target.stem.rsplit("-", 1)[-1]
        if not digest.hexdigest().startswith(expected):
            raise OSError(f"the download of {target.name} does not match its checksum {expected}")
