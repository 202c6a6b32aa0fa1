"""What a data set is to the trainer, and which one lies in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from redweb_builder.dataset.writer import StoreError, is_data_set
from redweb_builder.types import BoolMap
from trainer.types import DataError, DepthSample


class DepthSet(Protocol):
    """Labelled pictures. Readers turn whatever is on disk into DepthSample; nobody else knows a polarity or a mask.

    name: for tables. metric: the labels' zero is infinity, so that their ratios mean something (inverse depth, true
    disparity). unit: of 1 / disparity for metric sets ("m", "1/px"), else of the disparity. farthest: the depth at
    which evaluations of this set cut, in that unit, or None.
    """

    name: str
    metric: bool
    unit: str
    farthest: float | None

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, index: int) -> DepthSample:
        """Read one sample. Raises DataError, which names the file."""

    def key(self, index: int) -> str:
        """The name of a sample, without reading it."""

    def group(self, index: int) -> str:
        """Samples of one group (a scene, a film) stay on one side of a split."""

    def part(self, index: int) -> str | None:
        """The set's own split: "train", "val" or "test"; None = left to us."""

    def judged(self, shape: tuple[int, int]) -> BoolMap:
        """Where this set's published evaluations look: HxW bool."""


class Layout:
    """What most sets have in common: labels without a zero, no split of their own, judged everywhere."""

    name = ""
    metric = False
    unit = "label"
    farthest: float | None = None

    def key(self, index: int) -> str:
        """The name of a sample."""
        raise NotImplementedError

    def group(self, index: int) -> str:
        """Every sample by itself."""
        return self.key(index)

    def part(self, index: int) -> str | None:
        """No split of its own."""
        return None

    def judged(self, shape: tuple[int, int]) -> BoolMap:
        """Everywhere."""
        return np.ones(shape, bool)


def open_data(path: Path) -> DepthSet:
    """Open the data set in a folder or a file, whichever of the known layouts it has.

    Raises DataError, with the list of layouts, where it has none.
    """
    from trainer.data.built import Built
    from trainer.data.hrwsi import Hrwsi
    from trainer.data.nyu import NyuFrames
    from trainer.data.nyu_files import RgbDepth, list_files, lists_of
    from trainer.data.nyu_mat import MAT, NyuMat
    from trainer.data.redweb_v1 import RedwebV1
    from trainer.data.stereo_truth import StereoTruth

    if path.suffix == ".mat" or (path / MAT).is_file():
        return NyuMat(path if path.suffix == ".mat" else path / MAT)
    if path.is_file() or list_files(path):
        return lists_of([path] if path.is_file() else list_files(path))
    if not path.is_dir():
        raise DataError(
            f"there is no data set at {path}. Build one first: python cli.py build-redweb STEREO_DIR --out {path}"
        )
    try:
        if (path / "manifest.parquet").is_file() or is_data_set(path):
            return Built(path)
    except StoreError as error:
        raise DataError(str(error)) from error
    if (path / "Imgs").is_dir() and (path / "RDs").is_dir():
        return RedwebV1(path)
    if (path / "train" / "gts").is_dir() or (path / "val" / "gts").is_dir():
        return Hrwsi(path)
    if (path / "frames.csv").is_file() and (path / "depth_u8_framemax").is_dir():
        return NyuFrames(path)
    if (path / "rgb").is_dir() and (path / "depth").is_dir():
        return RgbDepth(path)
    if next(path.rglob("disp_left.*"), None):
        return StereoTruth(path)
    raise DataError(
        f"{path} has none of the known layouts: a built set (manifest.parquet), ReDWeb_V1 (Imgs/ RDs/), HRWSI "
        "(train/imgs train/gts train/valid_masks), NYU Depth v2 (nyu_depth_v2_labeled.mat; rgb/ depth/; the file lists "
        "of DenseDepth or BTS; frames.csv rgb/ depth_u8_framemax/), stereo with ground "
        "truth (*/left.* */disp_left.* */meta.json)"
    )


def split(data: DepthSet, share: float) -> tuple[list[int], list[int]]:
    """Indices to train on and to validate on.

    A set's own parts are kept (nothing of a "test" part is in either). Where the set leaves it to us, whole groups go
    to validation, in the order of a hash of their names, until they hold `share` of the samples: the same choice
    everywhere and whatever else is in the folder. Both sides get something where there are two groups at all.
    """
    parts = [data.part(index) for index in range(len(data))]
    train = [index for index, part in enumerate(parts) if part == "train"]
    validation = [index for index, part in enumerate(parts) if part == "val"]
    free = [index for index, part in enumerate(parts) if part is None]
    groups: dict[str, list[int]] = {}
    for index in free:
        groups.setdefault(data.group(index), []).append(index)
    held: list[int] = []
    for name in sorted(groups, key=_hash)[: max(len(groups) - 1, 0)]:
        if share <= 0 or len(held) >= share * len(free):
            break
        held += groups[name]
    return sorted(train + list(set(free) - set(held))), sorted(validation + held)


def samples_of(data: DepthSet, part: str, share: float) -> list[int]:
    """The indices of "all", "train", "val" (own, or held out by `split`), "test", or "auto": test, else val, else all.

    Raises DataError where there are none.
    """
    train, validation = split(data, share)
    choices = {
        "all": list(range(len(data))),
        "train": train,
        "val": validation,
        "test": [index for index in range(len(data)) if data.part(index) == "test"],
    }
    own_validation = [index for index in range(len(data)) if data.part(index) == "val"]
    choices["auto"] = choices["test"] or own_validation or choices["all"]
    if not choices[part]:
        raise DataError(f"{data.name}: it has no samples of part {part!r}")
    return choices[part]


def look_over(data: DepthSet, indices: Sequence[int], most: int = 40) -> list[str]:
    """Read up to `most` samples, evenly chosen, and say in plain sentences what is wrong with them.

    Found are labels without a known pixel, labels that are all one value, and polarity that looks inverted: in
    photographs lower usually is nearer, so a set whose labels say the opposite is most likely read upside down.
    """
    from trainer.metrics import lower_is_nearer, ordinal, wkdr_unequal

    chosen = [indices[int(at)] for at in np.linspace(0, len(indices) - 1, min(most, len(indices)))]
    empty, flat, prior = [], [], []
    for index in chosen:
        sample = data[index]
        valid = np.isfinite(sample.disparity)
        if not valid.any():
            empty.append(sample.key)
        elif np.ptp(sample.disparity[valid]) == 0:
            flat.append(sample.key)
        else:
            guess = lower_is_nearer(*sample.disparity.shape)
            prior.append(wkdr_unequal(ordinal(guess, sample.disparity, valid, ratio=False, pairs=2000)))
    notes = []
    for keys, told in ((empty, "have no known pixel"), (flat, "are all one value")):
        if keys:
            notes.append(f"{data.name}: {len(keys)} of {len(chosen)} labels looked at {told} (first: {keys[0]})")
    if len(prior) >= 5 and np.nanmean(prior) > 0.6:
        notes.append(
            f"WARNING: {data.name}: its labels say that lower pixels are FARTHER in {100 * np.nanmean(prior):.0f} % of "
            "pairs; in photographs it is some 25 %. Its polarity looks inverted: check that what is near is near."
        )
    return notes


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
