"""The stored maps of a sample, bytes as they are: what the exports that keep full precision carry on."""

from __future__ import annotations

from redweb_builder.dataset.codec import pngs_of_label
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.sample_files import MAPS


def maps_of(dataset: Dataset, key: str) -> dict[str, bytes]:
    """PNG files of a sample by name: rd (16 bit, scale and offset in its text), mask, confidence where there is one.

    They are written anew where the data set was opened with a least confidence, or people marked parts as unknown.
    dataset: an open data set. key: of the sample. Raises StoreError where one is missing, or a link leads out of the
    data set.
    """
    if not dataset.is_as_stored(key):
        return dict(zip(MAPS, pngs_of_label(dataset.label(key)), strict=True))
    return dataset.stored_maps(key)


def left_unknown(min_confidence: int) -> str:
    """What an export with a least confidence says of its labels. min_confidence: 1 to 255."""
    return (
        f"Labels whose confidence is below {min_confidence} are unknown here (`--min-confidence`). "
        "Measurements, such as the share that is labelled, are of the labels with them."
    )
