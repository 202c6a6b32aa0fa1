"""Calibration that lies beside the pictures: which files belong to a pair, and the rig that they state.

Forms: calib.txt of Middlebury 2014 and 2021 and of ETH3D (two views), calib.txt and calib_cam_to_cam.txt of KITTI,
sensor.yaml of EuRoC, camera_info YAML of ROS, camchain YAML of Kalibr, YAML and XML of OpenCV's FileStorage, and
cameras.txt with images.txt of COLMAP and ETH3D. `calibration_forms.py` has their grammar.

A calibration is a claim: `read_rig` checks that it is finite, sane and for pictures of this size.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from itertools import chain, combinations
from pathlib import Path

import numpy as np

from redweb_builder.errors import UnsafePath
from redweb_builder.files import read_regular
from redweb_builder.inputs.formats import calibration_forms as forms
from redweb_builder.inputs.formats.eye_marks import LEFT, RIGHT
from redweb_builder.inputs.formats.folders import folder_marks
from redweb_builder.inputs.formats.rig import NotUsable, Rig, Size, check_rig
from redweb_builder.inputs.remote import address_of, read_once
from redweb_builder.types import PairSource

_TEXT = ".txt"
_TREES = (".yaml", ".yml", ".xml")
EXTENSIONS = (_TEXT, *_TREES)
MAX_TEXT_BYTES, MAX_TREE_BYTES = 1 << 20, 1 << 16

_NAMES = re.compile(r"(?i).*calib|calib_cam_to_cam|cameras|images")  # of text files, whole stems
_TREE_NAMES = re.compile(r"(?i)calib|cam|trinsic|stereo|sensor|left|right|^ost$|^[lr]$")  # anywhere in a stem
_FOLDERS = ("calib_cam_to_cam", "calib", "calibration", "camera_info")  # beside the folders of the eyes


class CalibrationFiles:
    """The files below an input folder that may be calibrations; there may be one a frame."""

    def __init__(self, files: Iterable[Path]) -> None:
        """files: every file below the input folder, absolute."""
        self._by_folder: dict[Path, dict[str, Path]] = defaultdict(dict)  # by name
        self._by_stem: dict[Path, dict[str, Path]] = defaultdict(dict)
        # Every picture of a folder asks for the same.
        self._of_two_folders, self._of_one_folder = cache(self._an_eye_each), cache(self._of_all_frames)
        for file in files:
            if file.suffix.lower() in EXTENSIONS and _may_be_calibration(file):
                self._by_folder[file.parent][file.name] = file
                self._by_stem[file.parent].setdefault(file.stem, file)

    def beside(self, source: PairSource) -> PairSource:
        """The source with the calibration that lies nearest to it: in the eyes' folders, or in one above both."""
        if not self._by_folder or source.layout.startswith("vr180"):
            return source
        left, right = eyes_of(source)
        return replace(source, calibration=next(self._groups(left, right), ()))

    def _groups(self, left: Path, right: Path) -> Iterator[tuple[Path, ...]]:
        """Files that may calibrate two pictures together, the likeliest first."""
        above_right = {*right.parents}
        shared = [folder for folder in left.parents if folder in above_right]
        own = (picture.parents[: len(picture.parents) - len(shared)] for picture in (left, right))
        for folders in zip(*own, strict=False):
            if group := self._of_two_folders(*folders):
                yield group
        for folder in shared:
            for place in (folder, *(folder / name for name in _FOLDERS)):
                if place in self._by_folder:
                    yield from self._of_the_frame(place, left)
                    if group := self._of_one_folder(place, place != folder):
                        yield group

    def _an_eye_each(self, left: Path, right: Path) -> tuple[Path, ...]:
        """A file in each eye's folder: of one name, or the only one of each; empty where there are none."""
        ours, theirs = self._by_folder.get(left, {}), self._by_folder.get(right, {})
        of_one_name = ((file, theirs[name]) for name, file in ours.items() if name in theirs)
        return next(of_one_name, (*ours.values(), *theirs.values()) if len(ours) == len(theirs) == 1 else ())

    def _of_the_frame(self, folder: Path, left: Path) -> Iterator[tuple[Path]]:
        """The file named after the picture: calib/000010.txt of image_2/000010_10.png."""
        there = self._by_stem[folder]
        yield from ((there[frame],) for frame in (left.stem, left.stem.partition("_")[0]) if frame in there)

    def _of_all_frames(self, folder: Path, in_own_folder: bool) -> tuple[Path, ...]:
        """The likeliest files for all pictures below a folder; empty where there are none."""
        there = [*self._by_folder[folder].values()]
        return next(chain(_by_eye_mark(there), _of_the_rig(there, in_own_folder)), ())


def eyes_of(source: PairSource) -> tuple[Path, Path]:
    """The file of the left and of the right eye. source: the pair; its right_first decides."""
    return (source.right, source.left) if source.right_first else (source.left, source.right)


def read_rig(source: PairSource, size: Size) -> Rig:
    """The rig that the calibration of a source states.

    size: (width, height) of an eye in the source, px. Raises NotUsable, with a sentence that names the file, where it
    cannot be read or understood, contradicts itself, is of other pictures, or states what no rig can be.
    """
    contents = [_content(file) for file in source.calibration]
    name = " + ".join(file.name for file in source.calibration)
    try:
        rig = _parsed(source, contents, size)
        check_rig(rig, size)
    except NotUsable as error:
        raise NotUsable(f"{name}: {error}") from error
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, np.linalg.LinAlgError) as error:
        raise NotUsable(f"{name}: not understood ({str(error)[:200]})") from error
    return rig


def calibration_digest(files: Iterable[Path]) -> str | None:
    """SHA-256 over the files' bytes, hexadecimal; None where there are none. One that cannot be read is its fault's."""
    digest, any_file = sha256(), False
    for file in files:
        any_file = True
        try:
            content = _content(file)
        except NotUsable:
            content = b"cannot be read"
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest() if any_file else None


def _parsed(source: PairSource, contents: list[bytes], size: Size) -> Rig:
    suffix = source.calibration[0].suffix.lower()
    left, right = eyes_of(source)
    if suffix == _TEXT:
        texts = [content.decode("utf-8", "replace") for content in contents]
        if len(texts) == 2:
            return forms.colmap(texts[0], texts[1], left, right)
        if re.search(rf"(?m)^{forms.BLANKS}cam0{forms.BLANKS}=", texts[0]):
            return forms.middlebury(texts[0])
        return forms.kitti(texts[0], left, right, size)
    trees = [forms.xml_tree(content) if suffix == ".xml" else forms.yaml_tree(content) for content in contents]
    return forms.rig_of_trees(trees)


def _content(file: Path) -> bytes:
    most = MAX_TEXT_BYTES if file.suffix.lower() == _TEXT else MAX_TREE_BYTES
    try:
        return read_regular(file, most) if address_of(file) is None else read_once(file, most)
    except (OSError, UnsafePath) as error:
        raise NotUsable(f"{file.name} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _may_be_calibration(file: Path) -> bool:
    if file.suffix.lower() == _TEXT:
        return file.parent.name.lower() in _FOLDERS or bool(_NAMES.fullmatch(file.stem))
    return bool(_TREE_NAMES.search(file.stem))


def _by_eye_mark(files: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Two files whose names differ in an eye mark: left.yaml + right.yaml, cam0.yaml + cam1.yaml."""
    eyes: dict[tuple[str, str, str], dict[str, Path]] = defaultdict(dict)
    for file in files:
        for mark in folder_marks(file.stem)[:1] if file.suffix.lower() in _TREES else ():
            eyes[mark.rest, mark.style, file.suffix.lower()][mark.eye] = file
    yield from ((two[LEFT], two[RIGHT]) for two in eyes.values() if len(two) == 2)


def _of_the_rig(files: list[Path], in_own_folder: bool) -> Iterator[tuple[Path, ...]]:
    """One file for both eyes, or two that complete each other."""
    names = {file.name.lower(): file for file in files}
    for name in ("calib.txt", "calib_cam_to_cam.txt"):
        if name in names:
            yield (names[name],)
    if {"cameras.txt", "images.txt"} <= set(names):
        yield names["cameras.txt"], names["images.txt"]
    texts = [file for file in files if file.suffix.lower() == _TEXT and file.stem.lower().endswith("calib")]
    yield from ((file,) for file in texts if not in_own_folder)
    trees = sorted(file for file in files if file.suffix.lower() in _TREES)
    yield from (two for two in combinations(_halves(trees), 2) if _complete_each_other(*two))
    yield from ((file,) for file in trees if not folder_marks(file.stem))


def _halves(trees: list[Path]) -> list[Path]:
    """The files among which the first two are that complete each other: of each kind two, since there may be many."""
    kinds: dict[tuple[bool, bool], list[Path]] = defaultdict(list)
    for file in trees:
        stem = file.stem.lower()
        if "trinsic" in stem:
            kinds["extrinsic" in stem, "intrinsic" in stem].append(file)
    return sorted(chain.from_iterable(files[:2] for files in kinds.values()))


def _complete_each_other(first: Path, second: Path) -> bool:
    stems = {first.stem.lower(), second.stem.lower()}
    return any("extrinsic" in stem for stem in stems) and any("intrinsic" in stem for stem in stems)
