"""A data set, as people left it, in a form that others read: written beside, moved into place when complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redweb_builder.dataset.reader import Dataset
from redweb_builder.errors import StoreError, UserError
from redweb_builder.export.fiftyone import write_fiftyone
from redweb_builder.export.huggingface import write_huggingface
from redweb_builder.export.labels_only import write_labels_only
from redweb_builder.export.points import write_points
from redweb_builder.export.rectified import write_rectified
from redweb_builder.export.redweb_v1 import write_redweb_v1
from redweb_builder.export.rerun import write_rerun
from redweb_builder.export.webdataset import write_webdataset
from redweb_builder.files import remove_temporaries, replacing_folder, write_atomic

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
WITH_REJECTED = ("fiftyone",)  # the formats that show rejected pairs, too, where they have a label


@dataclass(frozen=True)
class Exported:
    """What was written.

    out: where. samples: how many. damaged: a sentence for each sample that was left out, its file named.
    """

    out: Path
    samples: int
    damaged: list[str]


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

    form: one of WRITERS; those in WITH_REJECTED get the rejected samples, too. out: the new folder; an empty one is
    replaced. keys: only these of the samples. watch: called with (done, total). options: further arguments of the
    format's writer. min_confidence: as of open_dataset. A sample whose files are damaged is left out. An interrupted
    export leaves nothing at `out`; what a killed one left beside it is removed by the next. Raises StoreError where the
    data set or the folder cannot be used.
    """
    dataset = Dataset(folder, "labelled" if form in WITH_REJECTED else "kept", min_confidence)
    if missing := [key for key in keys if key not in dataset.keys]:
        raise StoreError(f"{folder} keeps no {', '.join(missing)}; a rejected sample is rescued by `review`")
    chosen = list(dict.fromkeys(keys)) or dataset.keys
    if not chosen:
        raise StoreError(f"{folder} keeps no sample: there is nothing to export")
    target = out.absolute()  # "." has no name
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_temporaries(target.parent)
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise StoreError(f"{out} exists and is not an empty folder: choose another --out")
    sound, damaged = _check_files(dataset, chosen)
    with replacing_folder(target) as part:
        for done, written in enumerate(WRITERS[form](dataset, sound, part, **(options or {})) if sound else (), 1):
            damaged += [str(written)] if isinstance(written, UserError) else []
            watch(done, len(sound))
        if len(damaged) == len(chosen):
            raise StoreError(f"{damaged[0]}; no sample of {folder} can be exported")
        if readme := readme_of(form):
            write_atomic(part / "README.md", readme)
    return Exported(out, len(chosen) - len(damaged), damaged)


def readme_of(form: str) -> bytes | None:
    """What the files of a format mean, and lines of code that read them; None where its writer says so itself.

    form: one of WRITERS.
    """
    file = Path(__file__).with_name("readme") / f"{form}.md"
    return file.read_bytes() if file.is_file() else None


def _check_files(dataset: Dataset, keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """The keys whose files can be read, and a sentence about each other one."""

    def fault(key: str) -> str | None:
        try:
            dataset[key]
        except (UserError, OSError) as error:
            return f"{key}: {error}"
        return None

    with ThreadPoolExecutor() as threads:
        faults = dict(zip(keys, threads.map(fault, keys), strict=True))
    return [key for key in keys if faults[key] is None], [text for text in faults.values() if text is not None]
