"""A data set, as people left it, in a form that others read: written beside, moved into place when complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redweb_builder.dataset.reader import Dataset
from redweb_builder.errors import StoreError
from redweb_builder.export.huggingface import write_huggingface
from redweb_builder.export.points import write_points
from redweb_builder.export.redweb_v1 import write_redweb_v1
from redweb_builder.export.webdataset import write_webdataset
from redweb_builder.files import move

# format -> (write(dataset, keys, folder), which passes each key on as it is done)
WRITERS: dict[str, Callable[[Dataset, Sequence[str], Path], Iterable[str]]] = {
    "redweb-v1": write_redweb_v1,
    "webdataset": write_webdataset,
    "huggingface": write_huggingface,
    "ply": write_points,
}


@dataclass(frozen=True)
class Exported:
    """What was written, and where."""

    out: Path
    samples: int


def export_dataset(
    folder: Path,
    form: str,
    out: Path,
    keys: Sequence[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write the kept samples of a data set, decisions honoured, to a new folder.

    form: one of WRITERS. keys: only these of the kept. watch: called with (done, total).
    An interrupted export leaves nothing at `out`. Raises StoreError where the data set or the folder cannot be used.
    """
    dataset = Dataset(folder)
    if missing := [key for key in keys if key not in dataset.keys]:
        raise StoreError(f"{folder} keeps no {', '.join(missing)}; a rejected sample is rescued by `review`")
    chosen = list(dict.fromkeys(keys)) or dataset.keys
    if not chosen:
        raise StoreError(f"{folder} keeps no sample: there is nothing to export")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out} exists and is not an empty folder: choose another --out")
    target = out.absolute()  # "." has no name
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.part-") as beside:
        part = Path(beside) / target.name
        part.mkdir()
        for done, _ in enumerate(WRITERS[form](dataset, chosen, part), 1):
            watch(done, len(chosen))
        with suppress(FileNotFoundError):
            target.rmdir()
        move(part, target)
    return Exported(out, len(chosen))
