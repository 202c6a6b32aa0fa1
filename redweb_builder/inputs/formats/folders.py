"""Two files, an eye each: which files of a folder tree belong together, by their names alone, never by their order.

Layouts of KITTI (image_2 image_3, colored_0 colored_1), Middlebury (im0 im1, im2 im6, view1 view5), ETH3D, EuRoC
(cam0 cam1), Cityscapes (leftImg8bit rightImg8bit), Flickr1024 (_L _R), Holopix50k (left/ right/), and what people
write by hand.
"""

from __future__ import annotations

import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath

import numpy as np

from redweb_builder.inputs.formats.eye_marks import LEFT, RIGHT, EyeMark, eye_marks
from redweb_builder.inputs.formats.faces import directions_in, looks_elsewhere
from redweb_builder.inputs.formats.names import comparable
from redweb_builder.inputs.formats.pairing import (
    Claim,
    File,
    Files,
    Pairs,
    Rule,
    TwoFiles,
    Unpaired,
    groups_of,
    pair_group,
)
from redweb_builder.inputs.formats.siblings import Name, Numbered, numbered_siblings
from redweb_builder.inputs.formats.stated import nearest_pairs, seconds_of
from redweb_builder.inputs.listing import Listing, Numbers

# Folders that hold one eye each, besides those named by an eye word.
_FOLDER_PAIRS = (
    ("colored_0", "colored_1"),
    ("image_2", "image_3"),
    ("image_02", "image_03"),
    ("image_0", "image_1"),
    ("image_00", "image_01"),
    ("view1", "view5"),
    ("cam0", "cam1"),
    ("camera_0", "camera_1"),
    ("camera_00", "camera_02"),
)
_DIRECTION = "a direction beside front, back or others (a cube map, cameras around), not an eye"
_TABLE = "table"  # the style of their marks
# Grey copies of the same views (KITTI): not taken where the colour pair is there too.
_GREY_FOLDERS = {"image_0": ("colored_0", "image_2"), "image_00": ("image_02",)}
# KITTI-360: two fisheyes that look to the two sides, in folders that hold the colour pair in KITTI.
_FISHEYES = re.compile(r"(?:^|/)image_0[23]/data_rgb(?:/|$)")
# File names of a scene folder: prefix, the numbers of the two eyes, whether other numbers may lie beside them.
_SCENE_PAIRS = (
    *(("im", 2, 6, True), ("view", 1, 5, True), ("scene1.row3.col", 3, 4, True)),
    *(("im", 0, 1, False), ("", 0, 1, False)),
)
_SCENE_VIEW = re.compile(r"(im|view|scene1\.row3\.col|)(0|[1-9]\d?)")
# Further pictures of a scene's two views, in other light (Middlebury 2014 and 2021): im0e1 + im1e1, im1E, im1L.
_IN_OTHER_LIGHT = re.compile(r"im([01])([a-z]\w*)", re.IGNORECASE)
# Folders that hold one eye even where the other eye's folder is missing.
_LONE_FOLDER = r"((images?|img|cam(era)?|view|eye)[-_. ]?)?(left|right)([-_. ]?(images?|img|cam(era)?|view|eye))?"


def pair_files(files: Listing, tolerance: float | None = None) -> tuple[Sequence[TwoFiles], list[Unpaired], Listing]:
    """Pair files that hold one eye each.

    files: pictures, or films, relative to the input folder. tolerance: s; where it is given, files of two eye folders
    that are named by their time stamps are paired with the nearest.
    Returns the pairs, the files that name an eye but make no pair ("one-eye", "ambiguous", "other-view",
    "grey-copy"), and the files that no rule speaks of. Rules in their order: an eye named in the file name, with the
    partner in the same folder; eye folders side by side; numbered views of a scene folder; folders, then files, that
    differ in one number or letter only.
    """
    everything = Files(files)
    sorting = _Sorting(everything, Pairs(everything))
    ahead = sorting.leave_directions_out()
    folder_rule = _folder_rule(everything.folders_of(sorting.rest))
    sorting.pair_by(_name_claim)
    sorting.pair_by(folder_rule)
    scenes = _scene_rule(everything.of(sorting.rest))
    sorting.pair_by(scenes)
    if tolerance is not None:
        sorting.pair_by_time(folder_rule, tolerance)
    sorting.explain(folder_rule, scenes)
    for masked in (False, True):
        sorting.pair_by(_numbered_folder_rule(everything.folders_of(sorting.rest), masked))
    sorting.pair_by(_numbered_file_rule(everything, sorting.rest))
    sorting.explain(folder_rule, scenes, numbered=True)
    sorting.leave_out(ahead)
    pairs, grey = _without_grey_copies(sorting.pairs)
    return pairs, sorting.unpaired + grey, files.take(sorting.rest)


@dataclass
class _Sorting:
    """Files on their way into pairs. rest: numbers of those of which nothing is said yet, ascending."""

    files: Files
    pairs: Pairs
    unpaired: list[Unpaired] = field(default_factory=list)
    rest: Numbers = field(init=False)

    def __post_init__(self) -> None:
        self.rest = np.arange(len(self.files))

    def pair_by(self, rule: Rule) -> None:
        """Make the pairs of a rule, and leave out files that it cannot decide on."""
        used = array("q")
        for members in groups_of(self.files, self.rest, rule):
            used.extend(pair_group(members, rule, self.pairs, self.unpaired))
        self._take_away(used)

    def pair_by_time(self, folder_rule: Rule, tolerance: float) -> None:
        """Make the pairs of nearest time stamps of two eye folders."""

        def rule(file: File) -> Claim | None:
            claim = folder_rule(file)
            return claim and replace(claim, rule=f"{claim.rule}, nearest time stamps")

        groups: dict[tuple[str, ...], dict[str, list[tuple[float, PurePath]]]] = defaultdict(lambda: defaultdict(list))
        numbers: dict[PurePath, int] = {}
        for file in self.files.of(self.rest):
            claim, time = folder_rule(file), seconds_of(file.stem)
            if claim is not None and time == time:  # not NaN
                path = PurePath(file.path)
                groups[claim.group[:-1]][claim.eye].append((time, path))
                numbers[path] = file.number
        used = array("q")
        for eyes in groups.values():
            for left, right in nearest_pairs(eyes[LEFT], eyes[RIGHT], tolerance):
                self.pairs.add(numbers[left], numbers[right], numbers[left], rule)
                used.extend((numbers[left], numbers[right]))
        self._take_away(used)

    def explain(self, folder_rule: Rule, scene_rule: Rule, numbered: bool = False) -> None:
        """Say why files without a partner have none, where their names do.

        numbered: also of folders whose eyes are numbers (image_2), which say less than words.
        """
        if not len(self.rest):
            return
        said = array("q")
        scenes = {(left.place, _number(left.stem)[0]) for left, _ in self.pairs.by(scene_rule)}
        eyes = {(left.folder, right.folder): left for left, right in self.pairs.by(folder_rule)}
        in_use = {
            (_claim_of(left, folder_rule).rule, PurePath(os.path.commonpath(folders)).as_posix())
            for folders, left in eyes.items()
        }
        for file in self.files.of(self.rest):
            by_name, by_folder = _name_claim(file), folder_rule(file)
            reason = "one-eye"
            if by_folder and by_folder.strong and (numbered or by_folder.group[2] != _TABLE):
                common = (by_folder.rule, by_folder.group[0]) in in_use or "?" in by_folder.rule
                detail = _no_partner(by_folder) if common else _no_common(by_folder)
            elif by_name and by_name.strong:
                detail = _no_partner(by_name)
            elif scenes and (view := _view_of(file.stem)) is not None and (file.place, view) in scenes:
                reason, detail = "other-view", "a further view of a scene whose pair is taken"
            else:
                continue
            self.unpaired.append(Unpaired(PurePath(file.path), reason, detail))
            said.append(file.number)
        self._take_away(said)

    def leave_directions_out(self) -> Numbers:
        """Leave out the faces of cube maps, and other cameras that look elsewhere; what looks ahead among such."""
        folders = _with_parents(self.files.folders_of(self.rest))
        faces = directions_in((folder.parent, folder.name) for folder in folders)
        elsewhere, fronts = (
            {folder for folder in folders if any((up.parent, up.name) in names for up in _up(folder))}
            for names in (faces.aside, faces.fronts)
        )
        fisheyes = {folder for folder in folders if _FISHEYES.search(folder.as_posix())}
        around = {file.folder for file in self.files.of(self.rest) if looks_elsewhere(file.stem)}
        of_files = directions_in((file.folder, file.stem) for file in self.files.of(self.rest) if file.folder in around)
        aside, ahead = array("q"), array("q")
        for file in self.files.of(self.rest) if faces.any() or of_files.any() or fisheyes else ():
            if file.folder in fisheyes:
                detail = "a fisheye that looks to the side (KITTI-360), not an eye"
            elif file.folder in elsewhere or (file.folder, file.stem) in of_files.aside:
                detail = _DIRECTION
            else:
                if file.folder in fronts or (file.folder, file.stem) in of_files.fronts:
                    ahead.append(file.number)
                continue
            self.unpaired.append(Unpaired(PurePath(file.path), "other-view", detail))
            aside.append(file.number)
        self._take_away(aside)
        return np.array(ahead, np.int64)

    def leave_out(self, numbers: Numbers) -> None:
        """Say of files that look ahead among others, and have no partner, that they are no eyes. numbers: of them."""
        left_out = self.rest[np.isin(self.rest, numbers)]
        self.unpaired += [Unpaired(self.files.listing[number], "other-view", _DIRECTION) for number in left_out]
        self._take_away(left_out)

    def _take_away(self, numbers: Sequence[int] | Numbers) -> None:
        self.rest = self.rest[~np.isin(self.rest, np.asarray(numbers, np.int64))]


def _claim_of(file: File, rule: Rule) -> Claim:
    claim = rule(file)
    assert claim is not None
    return claim


def _no_partner(claim: Claim) -> str:
    return f"{claim.rule}: there is no {RIGHT if claim.eye == LEFT else LEFT} picture for it"


def _no_common(claim: Claim) -> str:
    return (
        f"{claim.rule} have no file names in common; give the two files of a pair the same name, or list the pairs in "
        "a file for --pairs: nothing is paired by its place in a list"
    )


def _with_parents(folders: Iterable[PurePath]) -> set[PurePath]:
    """Folders and all above them, but the input folder itself."""
    return {place for folder in folders for place in _up(folder)}


def _up(folder: PurePath) -> list[PurePath]:
    """A folder and those above it, the nearest first, without the input folder."""
    return [place for place in (folder, *folder.parents) if place.name]


def _name_claim(file: File) -> Claim | None:
    """The rule of an eye named in the file name."""
    marks = file.marks
    if not marks:
        return None
    mark = marks[0]
    rule = "files left + right" if mark.rest == "*" else "file names with an eye mark"
    group = (file.place, comparable(mark.rest), mark.style)
    return Claim(group, (mark.rest,), mark.eye, f"{file.place}/{mark.rest}", rule, mark.strong)


def _folder_rule(folders: Iterable[PurePath]) -> Rule:
    """The rule of eye folders side by side. folders: that the files lie in."""
    eyes_of: dict[tuple[PurePath, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for folder in _with_parents(folders):
        for mark in folder_marks(folder.name):
            eyes_of[folder.parent, comparable(mark.rest), mark.style][mark.eye].add(folder.name)

    @lru_cache(maxsize=1024)
    def of_folder(parent: PurePath) -> Claim | None:
        """What is claimed of all files of one folder; their names are to be added."""
        lone: Claim | None = None
        for folder in _up(parent):
            for mark in folder_marks(folder.name):
                eyes = eyes_of[folder.parent, comparable(mark.rest), mark.style]
                claim = _claim_in(parent, folder, mark, eyes)
                if len(eyes) == 2:
                    return claim
                if lone is None and re.fullmatch(_LONE_FOLDER, folder.name.lower()):
                    lone = claim
        return lone

    def claim(file: File) -> Claim | None:
        of_all = of_folder(file.folder)
        if of_all is None:
            return None
        stem = next((mark.rest for mark in file.marks if mark.eye == of_all.eye), file.stem)
        group, exact = (*of_all.group, comparable(stem)), (*of_all.exact, stem)
        return Claim(group, exact, of_all.eye, f"{of_all.name}/{stem}", of_all.rule, of_all.strong)

    return claim


def _claim_in(parent: PurePath, folder: PurePath, mark: EyeMark, eyes: dict[str, set[str]]) -> Claim:
    inner = parent.relative_to(folder).as_posix()
    names = [" or ".join(sorted(eyes.get(eye, {"?"}))) for eye in (LEFT, RIGHT)]
    rest = "" if mark.style == _TABLE else mark.rest
    group = (folder.parent.as_posix(), comparable(mark.rest), mark.style, comparable(inner))
    name = (folder.parent / rest / inner).as_posix()
    return Claim(group, (inner,), mark.eye, name, f"folders {names[0]}/ + {names[1]}/", True)


@lru_cache(maxsize=1024)
def folder_marks(name: str) -> tuple[EyeMark, ...]:
    """What the name of a folder, or of a file beside the eyes' folders, says of eyes; the plainest mark first."""
    plain = name.lower()
    for left, right in _FOLDER_PAIRS:
        for eye, folder in ((LEFT, left), (RIGHT, right)):
            if plain == folder or plain.endswith((f"_{folder}", f"-{folder}")):
                return (EyeMark(eye, plain.removesuffix(folder) + left, _TABLE, False),)
    return tuple(eye_marks(name))


def _scene_rule(files: Iterable[File]) -> Rule:
    """The rule of numbered views (im0 im1): which numbers a folder holds decides which two are the pair."""
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    for file in files:
        prefix, number = _number(file.stem)
        if number is not None:
            numbers[file.place, prefix].add(number)

    def claim(file: File) -> Claim | None:
        light = _IN_OTHER_LIGHT.fullmatch(file.stem)
        if light:
            name = f"{file.place}/im{light[2]}"
            eye = LEFT if light[1] == "0" else RIGHT
            rule = f"scene folder im0{light[2]} + im1{light[2]}"
            return Claim((file.place, "im*", light[2]), (), eye, name, rule, False)
        prefix, number = _number(file.stem)
        there = numbers.get((file.place, prefix), set())
        for wanted, left, right, among_others in _SCENE_PAIRS:
            if prefix != wanted or not {left, right} <= there or (there != {left, right} and not among_others):
                continue
            if number not in (left, right):
                return None
            rule = f"scene folder {prefix}{left} + {prefix}{right}"
            eye = LEFT if number == left else RIGHT
            return Claim((file.place, prefix), (), eye, f"{file.place}/{prefix}", rule, False)
        return None

    return claim


def _numbered_folder_rule(folders: Iterable[PurePath], masked: bool) -> Rule:
    """The rule of folders that differ in one number only: cam1/ + cam2/, infra1/ + infra2/.

    folders: that the files lie in. masked: the files in them have the folder's number in their names, too.
    """
    siblings = numbered_siblings((folder.parent, folder.name) for folder in _with_parents(folders))

    def claim(file: File) -> Claim | None:
        for folder in _up(file.folder):
            sibling = siblings.get((folder.parent, folder.name))
            if sibling is None:
                continue
            inner = file.folder.relative_to(folder).as_posix()
            stem = sibling.without_number(file.stem) if masked else comparable(file.stem)
            group = (folder.parent.as_posix(), sibling.rest, comparable(inner), stem)
            name = f"{(folder.parent / sibling.name / inner).as_posix()}/{stem.replace('#', '')}"
            return _numbered_claim(group, sibling, name, f"folders {_numbers(sibling, '/')}")
        return None

    return claim if siblings else lambda file: None


def _numbered_file_rule(files: Files, rest: Numbers) -> Rule:
    """The rule of file names that differ in one number only: tree-1 + tree-2.

    files: all, to know of a third. rest: numbers of those that the rule is for.
    """
    beside: dict[PurePath, array[int]] = {folder: array("q") for folder in files.folders_of(rest)}
    for file in files.of(np.arange(len(files) if beside else 0)):
        if file.folder in beside:
            beside[file.folder].append(file.number)

    kept: dict[PurePath, dict[Name, Numbered]] = {}

    def siblings_in(folder: PurePath) -> dict[Name, Numbered]:
        """Kept is what was asked of the folders above, too: files of those may come after these."""
        if folder not in kept:
            for other in kept.keys() - {*folder.parents}:
                del kept[other]
            kept[folder] = numbered_siblings((folder, files[number].stem) for number in beside[folder])
        return kept[folder]

    def claim(file: File) -> Claim | None:
        sibling = siblings_in(file.folder).get((file.folder, file.stem))
        if sibling is None:
            return None
        name = f"{file.place}/{sibling.name}"
        return _numbered_claim((file.place, sibling.rest), sibling, name, f"file names {_numbers(sibling)}")

    return claim


def _numbered_claim(group: tuple[str, ...], sibling: Numbered, name: str, rule: str) -> Claim:
    eye = LEFT if sibling.first else RIGHT
    return Claim(group, (), eye, name, rule, strong=False, guessed=True)


def _numbers(sibling: Numbered, end: str = "") -> str:
    low, high = (sibling.rest.replace("#", mark) + end for mark in sibling.marks)
    return f"{low} + {high}, a {'number' if sibling.marks[0].isdigit() else 'letter'} apart"


def _number(stem: str) -> tuple[str, int | None]:
    """("im", 6) for im6; (stem, None) where it is no prefix of a scene pair and a plain number."""
    match = _SCENE_VIEW.fullmatch(stem.lower())
    return (match[1], int(match[2])) if match else (stem, None)


def _view_of(stem: str) -> str | None:
    """The prefix of the scene whose view a file is by its name, as "im" of im4 and of im1E; None where it is none."""
    if _IN_OTHER_LIGHT.fullmatch(stem):
        return "im"
    prefix, number = _number(stem)
    return None if number is None else prefix


def _without_grey_copies(pairs: Pairs) -> tuple[Pairs, list[Unpaired]]:
    """The pairs but for grey copies of others, and the files of those copies."""
    folders = {pair.parent for pair in pairs.lefts()}
    coloured = {place.parent for folder in folders for place in _colour_places(folder / "x")}
    if coloured.isdisjoint(folders):
        return pairs, []
    stems = {left.with_suffix("") for left in pairs.lefts() if left.parent in coloured}
    grey: list[Unpaired] = []
    is_grey: list[bool] = []
    for place, left in enumerate(pairs.lefts()):
        colours = [copy for copy in _colour_places(left) if copy in stems]
        is_grey.append(bool(colours))
        if colours:
            detail = f"a grey copy of the pair in {colours[0].parent.as_posix()}"
            grey += [Unpaired(file, "grey-copy", detail) for file in (left, pairs[place].right)]
    return pairs.where(~np.array(is_grey)), grey


def _colour_places(left: PurePath) -> list[PurePath]:
    """Where the colour copy of a grey KITTI view would lie, without extension."""
    places = []
    for depth, part in enumerate(left.parts[:-1]):
        for colour in _GREY_FOLDERS.get(part, ()):
            places.append(PurePath(*left.parts[:depth], colour, *left.parts[depth + 1 :]).with_suffix(""))
    return places
