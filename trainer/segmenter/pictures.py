"""Pictures with known sky and far field, from labels, from facts, or from a teacher; read once, kept small.

Labels by people win over the teacher. A prepared picture is one .npz: `image` HxWx3 uint8 RGB, `regions` HxWx3
uint8, the shares of sky, far and rest in 1/255, all 0 where nothing is known, and `things` HxW uint8, the index in
sky_network.THINGS of what the rest is, NOBODY_SAID where there is no teacher.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import InputError
from redweb_builder.files import make_folder, read_regular, remove_temporaries, write_atomic
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats.ground_truth import is_ground_truth
from redweb_builder.inputs.picture import EXTENSIONS, MIN_SIDE
from redweb_builder.inputs.read import read_pair
from redweb_builder.segmentation.sky_network import THINGS
from redweb_builder.types import BoolMap, FloatMap, Picture
from trainer.config import FOLDS, REGION_KINDS
from trainer.data.pictures import by_stem, read_grey, read_rgb, same_size
from trainer.data.readers.nyu import NyuFrames
from trainer.segmenter.teacher import Teacher, skyline
from trainer.types import DataError

SIDE = 480  # longer side of what is kept, px
CAMVID_SKY, CAMVID_TALL, CAMVID_GROUND, CAMVID_UNKNOWN = 0, (1, 5), (3, 4), 11
NOBODY_SAID = 255
Shares = BoolMap | FloatMap  # HxW in [0, 1]


@dataclass(frozen=True)
class RegionSample:
    """A picture. key: its name. image, regions, things: as the head of this file says."""

    key: str
    image: Picture
    regions: NDArray[np.uint8]
    things: NDArray[np.uint8]


@dataclass(frozen=True)
class Found:
    """A picture that can be read.

    key: its name. group: what stays on one side of a split. read: does it, and labels it.
    """

    key: str
    group: str
    read: Callable[[], RegionSample]


class RegionSet:
    """The prepared pictures of one folder. kept_back: of each, whether a fold keeps it from training."""

    def __init__(self, name: str, files: Sequence[Path], kept_back: Sequence[bool]) -> None:
        """name: of the set, for tables. files: as `prepare` wrote them. kept_back: one a file."""
        self.name, self.files = name, list(files)
        self.training = [index for index, kept in enumerate(kept_back) if not kept]
        self.held_out = [index for index, kept in enumerate(kept_back) if kept]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.files)

    def __getitem__(self, index: int) -> RegionSample:
        """Read one. Raises DataError. index: of the file, from 0."""
        file = self.files[index]
        try:
            with np.load(io.BytesIO(read_regular(file))) as arrays:
                prepared = RegionSample(file.stem, arrays["image"], arrays["regions"], arrays["things"])
            _require_whole(prepared)
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, BadZipFile, zlib.error) as error:
            raise DataError(f"{file}: is damaged ({error}); delete it, it is then prepared anew") from error
        return prepared


def _require_whole(prepared: RegionSample) -> None:
    """Raise ValueError where a sample is none that `prepare` wrote."""
    height, width = prepared.things.shape[:2] if prepared.things.ndim == 2 else (0, 0)
    shapes = {"image": (height, width, 3), "regions": (height, width, 3), "things": (height, width)}
    for name, shape in shapes.items():
        array = getattr(prepared, name)
        if array.dtype != np.uint8 or array.shape != shape or not array.size:
            raise ValueError(f"{name} is {array.dtype} of {array.shape}")
    if ((prepared.things >= len(THINGS)) & (prepared.things != NOBODY_SAID)).any():
        raise ValueError("things that nobody knows")


def find(kind: str, folder: Path, teacher: Teacher | None) -> list[Found]:
    """The pictures of a folder.

    kind: one of REGION_KINDS. teacher: labels what has no labels of its own. Raises DataError where there are no
    pictures, or no teacher that they need.
    """
    if kind not in REGION_KINDS:
        raise DataError(f"{kind!r} is no kind of pictures: one of {', '.join(REGION_KINDS)}")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    if kind in ("stereo", "photographs"):
        if teacher is None:
            raise DataError(f"{folder} has no labels: give --teacher and --teacher-weights, or leave {kind} out")
        readers = stereo(folder, teacher) if kind == "stereo" else photographs(folder, teacher)
    elif kind == "masks":
        readers = masks(folder, teacher)
    else:
        readers = camvid(folder, teacher) if kind == "camvid" else no_sky(folder, teacher)
    pictures = list(readers)
    if not pictures:
        raise DataError(f"{folder}: no pictures of kind {kind} are in it")
    return pictures


def camvid(folder: Path, teacher: Teacher | None) -> Iterator[Found]:
    """SegNet's CamVid: train/, trainannot/, val/, valannot/; a drive is a group.

    folder: the one with these four. teacher: says what else is far; None = nobody does.
    """
    for part in ("train", "val"):
        labels = by_stem(folder / f"{part}annot") if (folder / f"{part}annot").is_dir() else {}
        for key in labels:
            picture, label = folder / part / f"{key}.jpg", labels[key]

            def read(key: str = key, picture: Path = picture, label: Path = label) -> RegionSample:
                image, classes = read_rgb(picture), read_grey(label)
                same_size(image, classes, label)
                sky = classes == CAMVID_SKY
                far = skyline(sky, np.isin(classes, CAMVID_TALL), np.isin(classes, CAMVID_GROUND))
                return sample(key, image, sky, far, classes != CAMVID_UNKNOWN, _things(image, teacher))

            yield Found(key, key.split("_")[0], read)


def masks(folder: Path, teacher: Teacher | None) -> Iterator[Found]:
    """NAME.jpg (or .png) and NAME_sky.png, white = sky; what else is far, a teacher may say.

    folder: the one with the pictures. teacher: None = nobody says.
    """
    files = by_stem(folder)
    for key, picture in files.items():
        if f"{key}_sky" not in files:
            continue

        def read(key: str = key, picture: Path = picture) -> RegionSample:
            image, sky = read_rgb(picture), read_rgb(files[f"{key}_sky"])[..., 0] > 127
            same_size(image, sky, files[f"{key}_sky"])
            regions = teacher(image) if teacher else None
            far = regions.far * ~sky if regions else np.zeros(sky.shape, np.float32)
            return sample(key, image, sky, far, np.ones(sky.shape, bool), regions.things if regions else None)

        yield Found(key, key, read)


def no_sky(folder: Path, teacher: Teacher | None) -> Iterator[Found]:
    """Indoors: whatever a window shows, it is no sky. NYU frames without their white border, in groups of scenes.

    folder: NYU's, or one with any picture files. teacher: says what is far; None = nothing is.
    """
    if (folder / "frames.csv").is_file():
        frames = NyuFrames(folder)
        for index in range(len(frames)):

            def read_frame(index: int = index) -> RegionSample:
                frame = frames[index]
                nothing = np.zeros(frame.disparity.shape, bool)
                return sample(
                    frame.key,
                    frame.image,
                    nothing,
                    nothing,
                    np.isfinite(frame.disparity),
                    _things(frame.image, teacher),
                )

            yield Found(frames.key(index), frames.group(index), read_frame)
        return
    for key, file in picture_files(folder):

        def read(key: str = key, file: Path = file) -> RegionSample:
            image = read_rgb(file, MIN_SIDE)
            nothing = np.zeros(image.shape[:2], bool)
            known = np.ones(image.shape[:2], bool)
            return sample(key, image, nothing, nothing, known, _things(image, teacher))

        yield Found(key, key, read)


def stereo(folder: Path, teacher: Teacher) -> Iterator[Found]:
    """Both eyes of every pair that the builder finds. folder: as of build-redweb. teacher: labels every picture."""
    for source in discover(folder).sources:
        for eye in ("left", "right"):

            def read(key: str = f"{source.key}-{eye}", source: object = source, eye: str = eye) -> RegionSample:
                image: Picture = getattr(read_pair(source, SIDE), eye)  # type: ignore[arg-type]
                return taught(key, image, teacher)

            yield Found(f"{source.key}-{eye}", source.key, read)


def photographs(folder: Path, teacher: Teacher) -> Iterator[Found]:
    """Every picture file below a folder. folder: any. teacher: labels every picture."""
    for key, file in picture_files(folder):

        def read(key: str = key, file: Path = file) -> RegionSample:
            return taught(key, read_rgb(file, MIN_SIDE), teacher)

        yield Found(key, key, read)


def picture_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Key and file of every picture below a folder that is no ground truth."""
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        if file.suffix.lower() in EXTENSIONS and not is_ground_truth(inside):
            yield "-".join(inside.with_suffix("").parts), file


def taught(key: str, image: Picture, teacher: Teacher) -> RegionSample:
    """A picture as the teacher sees it, at SIDE. key: its name. image: HxWx3 uint8 RGB."""
    small = shrunk(image)
    regions = teacher(small)
    return sample(key, small, regions.sky, regions.far, np.ones(small.shape[:2], bool), regions.things)


def _things(image: Picture, teacher: Teacher | None) -> NDArray[np.uint8] | None:
    return teacher(image).things if teacher else None


def sample(
    key: str, image: Picture, sky: Shares, far: Shares, known: BoolMap, things: NDArray[np.uint8] | None
) -> RegionSample:
    """A picture and what is known of it, brought to SIDE.

    key: its name. image: HxWx3 uint8 RGB. sky, far: HxW shares in [0, 1]. known: HxW bool, where they are known.
    things: HxW uint8, indices of THINGS, or None where nobody said.
    """
    small = shrunk(image)
    size = (small.shape[1], small.shape[0])
    shares = np.stack([sky, far, np.float32(1) - sky - far], -1).clip(0, 1) * known[..., None]
    shares = cv2.resize(shares.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sure = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
    regions = np.round(255 * shares).astype(np.uint8) * sure[..., None]
    said = np.full(size[::-1], NOBODY_SAID, np.uint8) if things is None else things
    return RegionSample(key, small, regions, cv2.resize(said, size, interpolation=cv2.INTER_NEAREST))


def shrunk(image: Picture) -> Picture:
    """The longer side at most SIDE. image: HxWx3 uint8 RGB."""
    shrink = SIDE / max(image.shape[:2])
    if shrink >= 1:
        return image
    height, width = (max(1, round(side * shrink)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def in_fold(pictures: Sequence[Found], fold: int | None) -> list[bool]:
    """Of each picture, whether a fold keeps it back: whole groups, dealt out in the order of a hash of their names.

    pictures: all of a folder. fold: from 0 to FOLDS - 1, or None = nothing is kept back.
    """
    groups = sorted(
        {picture.group for picture in pictures}, key=lambda name: hashlib.sha256(os.fsencode(name)).hexdigest()
    )
    part = {name: number % FOLDS for number, name in enumerate(groups)}
    return [part[picture.group] == fold for picture in pictures]


def prepare(
    kind: str,
    folder: Path,
    teacher: Teacher | None,
    cache: Path,
    fold: int | None,
    tick: Callable[[int, int], None],
) -> tuple[RegionSet, list[str]]:
    """Read every picture of a folder into `cache` unless it is there already.

    kind: one of REGION_KINDS. folder: of the pictures. teacher: None where there is none. cache: folder of all prepared
    sets. fold: the part kept from training, 0 to FOLDS - 1, or None. What only the teacher has labelled is never kept
    back, as it proves nothing. tick: (done, of). Returns the set, and a sentence for each picture that could not be
    read. Raises DataError.
    """
    pictures = find(kind, folder, teacher)
    place = folder.resolve()
    home = cache / f"{kind}-{place.name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"
    cache.parent.mkdir(parents=True, exist_ok=True)
    make_folder(cache, cache.parent)
    make_folder(home, cache)
    remove_temporaries(home)
    taught_only = kind in ("stereo", "photographs")
    files, kept_back, problems = [], [], []
    for number, (picture, kept) in enumerate(zip(pictures, in_fold(pictures, fold), strict=True), 1):
        file = home / f"{picture.key}.npz"
        if not file.is_file():
            try:
                made = picture.read()
            except (InputError, DataError) as error:
                problems.append(f"left out: {error}")
                continue
            buffer = io.BytesIO()
            np.savez(buffer, image=made.image, regions=made.regions, things=made.things)
            write_atomic(file, buffer.getvalue())
        files.append(file)
        kept_back.append(kept and not taught_only)
        tick(number, len(pictures))
    if not files:
        raise DataError(f"{folder}: none of its {len(pictures)} pictures can be read ({problems[0]})")
    return RegionSet(f"{kind} {folder.name}", files, kept_back), problems
