"""The depth of one 3D photograph or film, in files for people: a data set of it alone, and what is made of that.

The data set lies in OUT/dataset, that of a film in a folder of its rate, since all frames of a set have one; what
earlier runs made is in them, too. So a film is read and labelled as in every build: frame by frame in bounded memory,
one eye order a film, one alignment a clip, and from where an interrupted run left off.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.builder.build import build
from redweb_builder.colour import colour_scale
from redweb_builder.config import FILM_FORMS, FRAME_FORMS, MAX_FILM_RATE, PRESETS, BuildConfig, InputOptions, Thresholds
from redweb_builder.criteria import CRITERIA
from redweb_builder.dataset.journal import read_journal
from redweb_builder.dataset.manifest import MEASUREMENTS
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.paths import is_data_set
from redweb_builder.dataset.reader import Dataset
from redweb_builder.errors import InputError, SettingsError, StoreError
from redweb_builder.export.depth_forms import Ends, frame_picture, steady, write_frame
from redweb_builder.export.names import file_namer
from redweb_builder.files import remove_temporaries, require_other_folder
from redweb_builder.filters.checks import judge
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats import films
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.remote import input_id
from redweb_builder.inspect.film import film_writer
from redweb_builder.progress import Progress
from redweb_builder.types import FloatMap, Mask, Picture

PHOTO_FORMS = ("png", "colour", "side", "ply", "npy")  # where none is named
SHOT_FORMS = ("colour", "side")
DATA_SET = "dataset"  # folder in the output; behind it the rate of a film
ENDS = (5.0, 95.0)  # percentiles, over the frames of a film, of the farthest and of the nearest disparity

Frame = tuple[Picture, FloatMap, NDArray[np.uint8]]  # image, disparity (px), mask


def make_depth(
    source: Path,
    out: Path,
    config: BuildConfig | None = None,
    forms: Sequence[str] = (),
    *,
    film_rate: float | None = None,
    overwrite: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> list[Path]:
    """Write the depth of a 3D photograph or film, in any form that the builder reads; return the files.

    source: the file, or a folder. out: a folder for the files and the data set. config: of the build; its thresholds
    are not used, since nothing is to be rejected that has a label. forms: of config.FRAME_FORMS; of a film those of
    FILM_FORMS become films, the others files of each frame. Default PHOTO_FORMS, of films SHOT_FORMS. film_rate: frames
    a second; default the film's own. overwrite: replace what an earlier run with other settings left. watch: called
    whenever there is something new to show. Raises what `build` raises; StoreError where no depth came out;
    SettingsError where `out` is the folder of the source, or a data set.
    """
    config = config or BuildConfig()
    require_other_folder(out, source)
    if source.is_dir() and source.resolve() in out.resolve().parents:
        raise SettingsError(f"--out {out} lies in {source}: its pictures would be taken for photographs")
    if is_data_set(out):
        raise SettingsError(f"--out {out} is a data set, and the depth would lie among its files: name another folder")
    if unknown := set(forms) - set(FRAME_FORMS):
        raise SettingsError(f"form {sorted(unknown)[0]!r}: must be one of {', '.join(FRAME_FORMS)}")
    own_rate = _own_rate(source)
    rate = film_rate or own_rate or config.inputs.film_rate
    folder = out / (DATA_SET if own_rate is None else f"{DATA_SET}-{rate:g}fps")
    config = replace(config, thresholds=PRESETS["none"], inputs=replace(config.inputs, film_rate=rate))
    build(source, folder, config, overwrite=overwrite, watch=watch)
    progress = Progress(watch)
    progress.enter("finding pairs")
    keys = _keys_of(source, config.inputs, progress)
    dataset = Dataset(folder)
    wanted = [index for index, key in enumerate(dataset.keys) if key in keys]
    if not wanted:
        raise StoreError(_no_depth_message(source, dataset, keys))
    dataset = dataset.take(wanted)
    remove_temporaries(out)
    progress.enter("writing the depth")
    return list(_write_all(source, dataset, out, forms, rate, progress))


def doubts(out: Path, source: Path, inputs: InputOptions | None = None) -> list[str]:
    """A sentence about each photograph of a source whose depth the filters of a data set would reject.

    out, source: as of make_depth, which wrote there. inputs: those of its config. Its advice is that of
    docs/reasons.md.
    """
    if not is_data_set(out / DATA_SET) or source.suffix.lower() in films.EXTENSIONS:
        return []
    keys = _keys_of(source, inputs or InputOptions(), Progress(lambda progress: None))
    dataset = Dataset(out / DATA_SET)
    rows = [dataset.record(key) for key in dataset.keys if key in keys]
    sentences = []
    for row in rows:
        measurements = {name: math.nan if row[name] is None else float(row[name]) for name in MEASUREMENTS}
        rejection = judge(measurements, Thresholds()) if row["film_time_s"] is None else None
        if rejection:
            criterion = next(criterion for criterion in CRITERIA if criterion.reason == rejection.reason)
            sentences.append(f"{row['key']}: {rejection.reason}: {criterion.meaning}; {criterion.advice}")
    return sentences


def _keys_of(source: Path, inputs: InputOptions, progress: Progress) -> set[str]:
    return set(discover(source, inputs, progress.at, skip=is_data_set).sources.all_keys())


def _own_rate(source: Path) -> float | None:
    """Frames a second of a film, at most those that are taken from one; None for everything else."""
    if not source.is_file() or source.suffix.lower() not in films.EXTENSIONS or not films.are_readable():
        return None
    try:
        return min(decoded(films.film_rate, [source], source), MAX_FILM_RATE)
    except InputError:  # the build says what is wrong with it
        return None


def _no_depth_message(source: Path, dataset: Dataset, keys: Collection[str]) -> str:
    """Why a source gave no depth. keys: of its pairs; files in no pair have none, and are those of the last build."""
    rows = read_manifest(dataset.folder, ("key", "status", "reason", "detail")).rows
    rows = [row for row in rows if row["status"] != "kept" and (row["key"] is None or row["key"] in keys)]
    why = "; ".join(dict.fromkeys(f"{row['reason']}: {row['detail']}" for row in rows)) or "no pair in it"
    return f"{source} gave no depth ({why})"


def _write_all(
    source: Path, dataset: Dataset, out: Path, forms: Sequence[str], rate: float, progress: Progress
) -> Iterator[Path]:
    shots: dict[str, list[dict[str, Any]]] = {}
    photos = []
    for key in dataset.keys:
        row = dataset.record(key)
        if row["film_time_s"] is None:
            photos.append(key)
        else:
            shots.setdefault(row["left"], []).append(row)
    alone = source.is_file()
    name_of = file_namer(photos)
    for key in photos:
        name = source.stem if alone and _is_first_of_its_name(source, dataset.folder, key) else name_of(key)
        progress.at(key)
        yield from _write_photo(dataset, key, out / name, forms or PHOTO_FORMS)
    name_of = file_namer(shots)
    for left in shots:
        name = name_of(left)
        rows = sorted(shots[left], key=lambda row: float(row["film_time_s"]))
        if not alone:
            name = name.removesuffix(Path(left).suffix)
        elif _is_first_of_its_name(source, dataset.folder, rows[0]["key"]):
            name = source.stem
        else:
            name = f"{source.stem}-{input_id(source)[:8]}"
        yield from _write_film(dataset, rows, out / name, forms or SHOT_FORMS, rate, progress)


def _is_first_of_its_name(source: Path, folder: Path, key: str) -> bool:
    """Whether no earlier photograph or film, from another place, has given its name to files: they would be replaced.

    source: the file. folder: of the data set of all whose depth is there. key: of a pair of the source.
    """
    for earlier, record in read_journal(folder).records.entries():
        if Path(record.get("left") or "").stem.casefold() == source.stem.casefold():
            return earlier == key or record.get("input") == input_id(source)
    return True


def _write_photo(dataset: Dataset, key: str, stem: Path, forms: Sequence[str]) -> Iterator[Path]:
    sample = dataset[key]
    ends = colour_scale(sample.disparity, sample.mask)
    whole = float(np.nanmin(sample.disparity)), float(np.nanmax(sample.disparity))
    for form in forms:
        of_form = whole if form == "png" else ends
        yield write_frame(form, stem, sample.image, sample.disparity, sample.mask, of_form)


def _write_film(
    dataset: Dataset, rows: Sequence[dict[str, Any]], stem: Path, forms: Sequence[str], rate: float, progress: Progress
) -> Iterator[Path]:
    """Films of the forms that can be one, and a folder with the files of each frame of the others."""
    ends = _ends_of_film(rows)
    moving = [form for form in forms if form in FILM_FORMS]
    single = [form for form in forms if form not in FILM_FORMS]
    repeats = _repeats([float(row["film_time_s"]) for row in rows], rate)
    with ExitStack() as stack:
        files = {form: stem.with_name(f"{stem.name}_{form}.mp4") for form in moving}
        writers = {form: stack.enter_context(film_writer(file, rate)) for form, file in files.items()}
        if single:
            stem.mkdir(exist_ok=True)
            remove_temporaries(stem)
        for number, (image, disparity, mask) in enumerate(_steady_frames(dataset, rows, ends)):
            progress.at(f"{stem.name}: frame {number + 1} of {len(rows)}")
            for form, write in writers.items():
                picture = frame_picture(form, image, disparity, ends)
                for _ in range(repeats[number]):
                    write(picture)
            for form in single:
                yield write_frame(form, stem / f"{number:06d}", image, disparity, mask, ends)
    yield from files.values()


def _steady_frames(dataset: Dataset, rows: Sequence[dict[str, Any]], ends: Ends) -> Iterator[Frame]:
    """The frames of a film in order, at the size of the first, sky at the far end, steady within each clip."""
    before: FloatMap | None = None
    size, clip = None, None
    for row in rows:
        sample = dataset[row["key"]]
        size = size or (sample.image.shape[1], sample.image.shape[0])
        image, disparity, mask = sample.image, sample.disparity, sample.mask
        if image.shape[1::-1] != size:  # a border may be cropped by a pixel more in one frame than in another
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            disparity, mask = (cv2.resize(part, size, interpolation=cv2.INTER_NEAREST) for part in (disparity, mask))
        disparity = np.where(mask == Mask.SKY, np.float32(ends[0]), disparity)
        before = steady(before if row["clip"] == clip else None, disparity, ends)
        clip = row["clip"]
        yield image, before, mask


def _ends_of_film(rows: Sequence[dict[str, Any]]) -> Ends:
    """One range of disparity for a whole film, px, from those of its frames."""
    known = [(row["min_px"], row["max_px"]) for row in rows if None not in (row["min_px"], row["max_px"])]
    if not known:
        return 0.0, 1.0
    low, high = (float(np.percentile(side, at)) for side, at in zip(zip(*known, strict=True), ENDS, strict=True))
    return low, max(high, low + 1.0)


def _repeats(times: Sequence[float], rate: float) -> list[int]:
    """How often each frame is shown: one that stands still, or follows one without a depth, stands for several.

    times: s, ascending, of the frames. rate: of the film that is written, frames a second.
    """
    count = round((times[-1] - times[0]) * rate) + 1
    shown = Counter(bisect_right(times, times[0] + (number + 0.5) / rate) - 1 for number in range(count))
    return [shown[index] for index in range(len(times))]
