"""The stored files of a sample, bytes as they are: what the exports that keep full precision carry on."""

from __future__ import annotations

from redweb_builder.dataset.paths import require_inside, sample_root
from redweb_builder.dataset.reader import Dataset

MAPS = {"rd": "RDs", "mask": "masks", "confidence": "confidence"}  # a folder that a data set does not have is left out


def maps_of(dataset: Dataset, key: str) -> dict[str, bytes]:
    """PNG files of a sample by name: rd (16 bit, scale and offset in its text), mask, confidence where there is one.

    Raises StoreError where one is missing, or a link leads out of the data set.
    """
    files = {name: sample_root(dataset.folder, key) / folder / f"{key}.png" for name, folder in MAPS.items()}
    there = {name: file for name, file in files.items() if name in ("rd", "mask") or file.exists()}
    return {name: require_inside(dataset.folder, file).read_bytes() for name, file in there.items()}
