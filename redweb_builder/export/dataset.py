"""A data set, as people left it, in a form that others read: written beside, moved into place when complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.storage import Storage, storage_of
from redweb_builder.errors import SettingsError, StoreError, UserError
from redweb_builder.export.fiftyone import write_fiftyone
from redweb_builder.export.huggingface import write_huggingface
from redweb_builder.export.labels_only import write_labels_only
from redweb_builder.export.points import write_points
from redweb_builder.export.rectified import write_rectified
from redweb_builder.export.redweb_v1 import write_redweb_v1
from redweb_builder.export.rerun import require_rerun, write_rerun
from redweb_builder.export.stored import left_unknown
from redweb_builder.export.webdataset import write_shards, write_webdataset
from redweb_builder.files import remove_temporaries, replacing_folder, write_atomic
from redweb_builder.inputs.remote import address_of, shown

# format -> write(dataset, keys, folder, its own options), which yields each key when it is done, or why it cannot be
WRITERS: dict[str, Callable[..., Iterable[str | UserError]]] = {
    "redweb-v1": write_redweb_v1,
    "webdataset": write_webdataset,
    "huggingface": write_huggingface,
    "ply": write_points,
    "rectified": write_rectified,
    "labels-only": write_labels_only,
    "fiftyone": write_fiftyone,
    "rerun": write_rerun,
}
WITH_REJECTED = ("fiftyone", "webdataset")  # the formats that have rejected pairs, too, where these have a label


CHECKED_AT_ONCE = 1_000  # samples


@dataclass(frozen=True)
class Exported:
    """What was written.

    out: the folder, or a path made of the address. samples: how many. rejected: of them, those that are not kept.
    damaged: a sentence for each sample that was left out, its file named. refusal: one about the rows of the manifest
    that cannot be used; None where there are none.
    """

    out: Path
    samples: int
    rejected: int
    damaged: list[str]
    refusal: str | None


def export_dataset(
    folder: Path,
    form: str,
    out: Path,
    keys: Sequence[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
    options: Mapping[str, Any] | None = None,
    min_confidence: int = 0,
) -> Exported:
    """Write the kept samples of a data set, decisions honoured, to a new folder.

    folder: of the data set, or of its shards; also an address of remote storage (storage.py). form: one of WRITERS;
    those in WITH_REJECTED get the rejected samples, too. out: the new folder; an empty one is replaced; or an address,
    to which an interrupted export goes on. keys: only these of the samples. watch: called with (done, total), and with
    0 before the files are checked. options: further arguments of the format's writer. min_confidence: as of
    open_dataset. A sample whose files are damaged is left out. An interrupted export leaves nothing at `out`; what a
    killed one left beside it is removed by the next.
    Raises StoreError where the data set or the folder cannot be used, UserError where the form needs a package that is
    not installed.
    """
    if form == "rerun":
        require_rerun()  # before all files are checked
    with_rejected = form in WITH_REJECTED
    dataset = Dataset(folder, "labelled" if with_rejected else "kept", min_confidence)
    if missing := [key for key in keys if key not in dataset]:
        raise StoreError(f"{shown(folder)} keeps no {', '.join(missing)}; a rejected sample is rescued by `review`")
    chosen = dataset.take([dataset.keys.index(key) for key in dict.fromkeys(keys)]) if keys else dataset
    if not len(chosen) or (form == "webdataset" and _rejected(chosen) == len(chosen)):
        raise StoreError(f"{shown(folder)} keeps no sample: there is nothing to export")
    if address_of(out):
        return _upload(dataset, form, chosen, out, watch)
    target = out.absolute()  # "." has no name
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_temporaries(target.parent)
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise StoreError(f"{out} exists and is not an empty folder: choose another --out")
    watch(0, len(chosen))
    sound, damaged = _check_files(chosen)
    with replacing_folder(target) as part:
        results = WRITERS[form](dataset, sound.keys, part, **(options or {})) if len(sound) else ()
        for done, written in enumerate(results, 1):
            if isinstance(written, UserError):
                _require_answer(folder, written)
                damaged.append(str(written))
            watch(done, len(sound))
        if len(damaged) == len(chosen):
            raise StoreError(f"{damaged[0]}; no sample of {shown(folder)} can be exported")
        if readme := readme_of(form, min_confidence):
            write_atomic(part / "README.md", readme)
    return Exported(out, len(chosen) - len(damaged), _rejected(sound), damaged, dataset.refusal)


def _upload(dataset: Dataset, form: str, chosen: Dataset, out: Path, watch: Callable[[int, int], None]) -> Exported:
    """Write shards to remote storage. Raises StoreError, SettingsError."""
    storage = Storage(out)
    if form != "webdataset":
        raise SettingsError(f"--out {storage.address}: --format webdataset is what goes to remote storage")
    watch(0, len(chosen))
    sound, damaged = _check_files(chosen)
    for done, _ in enumerate(write_shards(dataset, sound.keys, storage) if len(sound) else (), 1):
        watch(done, len(sound))
    if not len(sound):
        raise StoreError(f"{damaged[0]}; no sample of {shown(dataset.folder)} can be exported")
    if readme := readme_of(form, dataset.min_confidence):
        storage.write("README.md", readme)
    return Exported(out, len(sound), _rejected(sound), damaged, dataset.refusal)


def readme_of(form: str, min_confidence: int = 0) -> bytes | None:
    """What the files of a format mean, and lines of code that read them; None where its writer says so itself.

    form: one of WRITERS. min_confidence: of the export.
    """
    file = Path(__file__).with_name("readme") / f"{form}.md"
    if not file.is_file():
        return None
    note = f"\n{left_unknown(min_confidence)}\n" if min_confidence else ""
    return file.read_bytes() + note.encode()


def _rejected(samples: Dataset) -> int:
    """How many are not kept."""
    return int(pc.sum(pc.not_equal(samples.columns("status")["status"], "kept")).as_py() or 0)


def _check_files(samples: Dataset) -> tuple[Dataset, list[str]]:
    """The samples whose files can be read, and a sentence about each other one. Raises as _require_answer."""

    def fault(key: str) -> str | None:
        try:
            samples[key]
        except (UserError, OSError) as error:
            _require_answer(samples.folder, error)
            return f"{key}: {error}"
        return None

    damaged: list[str] = []
    sound = np.ones(len(samples), bool)
    with ThreadPoolExecutor() as threads:
        try:
            for start in range(0, len(samples), CHECKED_AT_ONCE):  # every task that waits takes memory
                faults = threads.map(fault, samples.keys[start : start + CHECKED_AT_ONCE])
                for index, found in enumerate(faults, start):
                    if found is not None:
                        sound[index] = False
                        damaged.append(found)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return (samples.take(sound) if damaged else samples), damaged


def _require_answer(folder: Path, error: Exception) -> None:
    """Raise an error that is no fault of a file: remote storage answers nothing, also not to what asks for others.

    folder: of the data set. error: of a sample.
    """
    if not storage_of(folder).answers():
        raise error
