"""Two files, an eye each: which files of a folder tree belong together, by their names alone, never by their order.

Layouts of KITTI (image_2 image_3, colored_0 colored_1), Middlebury (im0 im1, im2 im6, view1 view5), ETH3D, EuRoC
(cam0 cam1), Cityscapes (leftImg8bit rightImg8bit), Flickr1024 (_L _R), Holopix50k (left/ right/), and what people
write by hand.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from redweb_builder.inputs.formats.eye_marks import LEFT, RIGHT, EyeMark, eye_marks
from redweb_builder.inputs.formats.faces import directions_in
from redweb_builder.inputs.formats.names import comparable
from redweb_builder.inputs.formats.siblings import Numbered, numbered_siblings
from redweb_builder.inputs.formats.stated import nearest_pairs, seconds_of

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


@dataclass(frozen=True)
class TwoFiles:
    """Two files that belong together.

    left, right: paths relative to the input folder. name: for the key, eye marks gone. rule: in words, what paired
    them. guessed: their names are not much of a reason, so the content should be asked.
    """

    left: PurePath
    right: PurePath
    name: str
    rule: str
    guessed: bool = False


@dataclass(frozen=True)
class Unpaired:
    """A file that a name rule explains but that makes no pair.

    file: relative to the input folder. reason: a short code. detail: a sentence for people.
    """

    file: PurePath
    reason: str
    detail: str


@dataclass(frozen=True, eq=False)
class _File:
    """A file with the parts of its path that the rules ask for again and again: marks are read once."""

    path: PurePath
    folder: PurePath
    place: str
    stem: str
    marks: Sequence[EyeMark]


@dataclass(frozen=True)
class _Claim:
    """What one rule says of one file: files of equal `group` and different `eye` are the two of a pair.

    exact: the group with names as they are written; it decides where names differ in case only. strong: the file
    belongs to that eye even where there is no partner. guessed: see TwoFiles.
    """

    group: tuple[str, ...]
    exact: tuple[str, ...]
    eye: str
    name: str
    rule: str
    strong: bool
    guessed: bool = False


_Rule = Callable[[_File], _Claim | None]
_Member = tuple[_File, _Claim]


def pair_files(
    files: Iterable[PurePath], tolerance: float | None = None
) -> tuple[list[TwoFiles], list[Unpaired], list[PurePath]]:
    """Pair files that hold one eye each.

    files: picture files, relative to the input folder. tolerance: s; where it is given, files of two eye folders that
    are named by their time stamps are paired with the nearest.
    Returns the pairs, the files that name an eye but make no pair ("one-eye", "ambiguous", "other-view",
    "grey-copy"), and the files that no rule speaks of. Rules in their order: an eye named in the file name, with the
    partner in the same folder; eye folders side by side; numbered views of a scene folder; folders, then files, that
    differ in one number or letter only.
    """
    everything = _with_parts(sorted(files))
    pairs: list[TwoFiles] = []
    unpaired, rest, ahead = _without_directions(everything)
    folder_rule = _folder_rule(rest)

    def pair_by(*rules: Callable[[Sequence[_File]], _Rule]) -> None:
        nonlocal rest, pairs, unpaired
        for rule in rules:
            if rest:
                rest = _pair_by(rest, rule(rest), pairs, unpaired)

    pair_by(lambda files: _name_claim, lambda files: folder_rule, _scene_rule)
    if tolerance is not None:
        rest = _pair_by_time(rest, folder_rule, tolerance, pairs)
    rest = _explain(rest, folder_rule, pairs, unpaired)
    pair_by(_numbered_folder_rule, _masked_folder_rule, lambda files: _numbered_file_rule(files, everything))
    rest = _explain(rest, folder_rule, pairs, unpaired, numbered=True)
    unpaired += [Unpaired(file.path, "other-view", _DIRECTION) for file in rest if file in ahead]
    rest = [file for file in rest if file not in ahead]
    pairs, grey = _without_grey_copies(pairs)
    return pairs, unpaired + grey, [file.path for file in rest]


def _pair_by_time(files: Iterable[_File], folder_rule: _Rule, tolerance: float, pairs: list[TwoFiles]) -> list[_File]:
    """Add the pairs of nearest time stamps of two eye folders; the rest."""
    groups: dict[tuple[str, ...], dict[str, list[tuple[float, PurePath]]]] = defaultdict(lambda: {LEFT: [], RIGHT: []})
    claims: dict[PurePath, _Claim] = {}
    for file in files:
        claim, time = folder_rule(file), seconds_of(file.stem)
        if claim is not None and time == time:  # not NaN
            groups[claim.group[:-1]][claim.eye].append((time, file.path))
            claims[file.path] = claim
    used: set[PurePath] = set()
    for eyes in groups.values():
        for left, right in nearest_pairs(eyes[LEFT], eyes[RIGHT], tolerance):
            rule = f"{claims[left].rule}, nearest time stamps"
            pairs.append(TwoFiles(left, right, claims[left].name, rule))
            used |= {left, right}
    return [file for file in files if file.path not in used]


def _with_parts(files: Iterable[PurePath]) -> list[_File]:
    folders: dict[PurePath, tuple[PurePath, str]] = {}
    parts: list[_File] = []
    for file in files:
        parent, stem = file.parent, file.stem
        folder, place = folders.setdefault(parent, (parent, parent.as_posix()))
        parts.append(_File(file, folder, place, stem, eye_marks(stem)))
    return parts


def _explain(
    files: Iterable[_File],
    folder_rule: _Rule,
    pairs: Sequence[TwoFiles],
    unpaired: list[Unpaired],
    numbered: bool = False,
) -> list[_File]:
    """Say why files without a partner have none, where their names do; the rest of them.

    numbered: also of folders whose eyes are numbers (image_2), which say less than words.
    """
    scenes = {(pair.left.parent, _number(pair.left.stem)[0]) for pair in pairs if pair.rule.startswith("scene")}
    eyes = {(pair.rule, pair.left.parent, pair.right.parent) for pair in pairs if pair.rule.startswith("folders")}
    in_use = {(rule, PurePath(os.path.commonpath(folders)).as_posix()) for rule, *folders in eyes}
    rest: list[_File] = []
    for file in files:
        by_name, by_folder = _name_claim(file), folder_rule(file)
        if by_folder and by_folder.strong and (numbered or by_folder.group[2] != _TABLE):
            common = (by_folder.rule, by_folder.group[0]) in in_use or "?" in by_folder.rule
            unpaired.append(Unpaired(file.path, "one-eye", _no_partner(by_folder) if common else _no_common(by_folder)))
        elif by_name and by_name.strong:
            unpaired.append(Unpaired(file.path, "one-eye", _no_partner(by_name)))
        elif scenes and (view := _view_of(file.stem)) is not None and (file.folder, view) in scenes:
            unpaired.append(Unpaired(file.path, "other-view", "a further view of a scene whose pair is taken"))
        else:
            rest.append(file)
    return rest


def _no_partner(claim: _Claim) -> str:
    return f"{claim.rule}: there is no {RIGHT if claim.eye == LEFT else LEFT} picture for it"


def _no_common(claim: _Claim) -> str:
    return (
        f"{claim.rule} have no file names in common; give the two files of a pair the same name, or list the pairs in "
        "a file for --pairs: nothing is paired by its place in a list"
    )


def _without_directions(files: Sequence[_File]) -> tuple[list[Unpaired], list[_File], set[_File]]:
    """The faces of cube maps and other cameras that look elsewhere; the rest; and what of it looks ahead among such."""
    folders = _folders_of(files)
    faces = directions_in((folder.parent, folder.name) for folder in folders)
    elsewhere, fronts = (
        {folder for folder in folders if any((up.parent, up.name) in names for up in _up(folder))}
        for names in (faces.aside, faces.fronts)
    )
    fisheyes = {folder for folder in folders if _FISHEYES.search(folder.as_posix())}
    file_faces = directions_in((file.folder, file.stem) for file in files)
    directions: list[Unpaired] = []
    ahead: set[_File] = set()
    rest: list[_File] = []
    for file in files:
        if file.folder in fisheyes:
            detail = "a fisheye that looks to the side (KITTI-360), not an eye"
        elif file.folder in elsewhere or (file_faces.aside and (file.folder, file.stem) in file_faces.aside):
            detail = _DIRECTION
        else:
            detail = ""
        if detail:
            directions.append(Unpaired(file.path, "other-view", detail))
        else:
            rest.append(file)
            if file.folder in fronts or (file_faces.fronts and (file.folder, file.stem) in file_faces.fronts):
                ahead.add(file)
    return directions, rest, ahead


def _folders_of(files: Iterable[_File]) -> set[PurePath]:
    """Every folder that the files lie in or below, but the input folder itself."""
    folders: set[PurePath] = set()
    for parent in {file.folder for file in files}:
        folders.update(_up(parent))
    return folders


def _up(folder: PurePath) -> list[PurePath]:
    """A folder and those above it, the nearest first, without the input folder."""
    return [place for place in (folder, *folder.parents) if place.name]


def _pair_by(files: Iterable[_File], rule: _Rule, pairs: list[TwoFiles], unpaired: list[Unpaired]) -> list[_File]:
    """Add the pairs that one rule makes, and files that it cannot decide on; the rest."""
    groups: dict[tuple[str, ...], list[_Member]] = defaultdict(list)
    for file in files:
        claim = rule(file)
        if claim:
            groups[claim.group].append((file, claim))
    used: set[_File] = set()
    for members in groups.values():
        if len(members) > 1:
            used |= _pair_group(members, pairs, unpaired)
    return [file for file in files if file not in used] if used else list(files)


def _pair_group(members: list[_Member], pairs: list[TwoFiles], unpaired: list[Unpaired]) -> set[_File]:
    """Pair the files of one group: equal names and extensions first, then what is left where it is one of each eye.

    Returns the files that are paired or left out.
    """
    used: set[_File] = set()
    steps: tuple[Callable[[_Member], object], ...] = (
        lambda member: (member[1].exact, member[0].path.suffix.lower()),
        lambda member: member[0].path.suffix.lower(),
        lambda member: None,
    )
    for alike in steps:
        together: dict[object, list[_Member]] = defaultdict(list)
        for member in members:
            together[alike(member)].append(member)
        members = []
        for group in together.values():
            left, right = ([file for file, claim in group if claim.eye == eye] for eye in (LEFT, RIGHT))
            if len(left) == len(right) == 1:
                claim = group[0][1]
                pairs.append(TwoFiles(left[0].path, right[0].path, claim.name, claim.rule, claim.guessed))
                used |= {left[0], right[0]}
            elif left and right and alike is not steps[-1]:
                detail = f"{group[0][1].rule}: several files for one eye"
                unpaired += [Unpaired(file.path, "ambiguous", detail) for file in (*left, *right)]
                used |= {*left, *right}
            else:
                members += group
        if len(members) < 2:
            break
    return used


def _name_claim(file: _File) -> _Claim | None:
    """The rule of an eye named in the file name."""
    if not file.marks:
        return None
    mark = file.marks[0]
    rule = "files left + right" if mark.rest == "*" else "file names with an eye mark"
    group = (file.place, comparable(mark.rest), mark.style)
    return _Claim(group, (mark.rest,), mark.eye, f"{file.place}/{mark.rest}", rule, mark.strong)


def _folder_rule(files: Iterable[_File]) -> _Rule:
    """The rule of eye folders side by side, for the folders that these files lie in."""
    eyes_of: dict[tuple[PurePath, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for folder in _folders_of(files):
        for mark in folder_marks(folder.name):
            eyes_of[folder.parent, comparable(mark.rest), mark.style][mark.eye].add(folder.name)

    @lru_cache(maxsize=1024)
    def of_folder(parent: PurePath) -> _Claim | None:
        """What is claimed of all files of one folder; their names are to be added."""
        lone: _Claim | None = None
        for folder in _up(parent):
            for mark in folder_marks(folder.name):
                eyes = eyes_of[folder.parent, comparable(mark.rest), mark.style]
                claim = _claim_in(parent, folder, mark, eyes)
                if len(eyes) == 2:
                    return claim
                if lone is None and re.fullmatch(_LONE_FOLDER, folder.name.lower()):
                    lone = claim
        return lone

    def claim(file: _File) -> _Claim | None:
        of_all = of_folder(file.folder)
        if of_all is None:
            return None
        stem = next((mark.rest for mark in file.marks if mark.eye == of_all.eye), file.stem)
        group, exact = (*of_all.group, comparable(stem)), (*of_all.exact, stem)
        return _Claim(group, exact, of_all.eye, f"{of_all.name}/{stem}", of_all.rule, of_all.strong)

    return claim


def _claim_in(parent: PurePath, folder: PurePath, mark: EyeMark, eyes: dict[str, set[str]]) -> _Claim:
    inner = parent.relative_to(folder).as_posix()
    names = [" or ".join(sorted(eyes.get(eye, {"?"}))) for eye in (LEFT, RIGHT)]
    rest = "" if mark.style == _TABLE else mark.rest
    group = (folder.parent.as_posix(), comparable(mark.rest), mark.style, comparable(inner))
    name = (folder.parent / rest / inner).as_posix()
    return _Claim(group, (inner,), mark.eye, name, f"folders {names[0]}/ + {names[1]}/", True)


@lru_cache(maxsize=1024)
def folder_marks(name: str) -> tuple[EyeMark, ...]:
    """What the name of a folder, or of a file beside the eyes' folders, says of eyes; the plainest mark first."""
    plain = name.lower()
    for left, right in _FOLDER_PAIRS:
        for eye, folder in ((LEFT, left), (RIGHT, right)):
            if plain == folder or plain.endswith((f"_{folder}", f"-{folder}")):
                return (EyeMark(eye, plain.removesuffix(folder) + left, _TABLE, False),)
    return tuple(eye_marks(name))


def _scene_rule(files: Iterable[_File]) -> _Rule:
    """The rule of numbered views (im0 im1): which numbers a folder holds decides which two are the pair."""
    numbers: dict[tuple[PurePath, str], set[int]] = defaultdict(set)
    for file in files:
        prefix, number = _number(file.stem)
        if number is not None:
            numbers[file.folder, prefix].add(number)

    def claim(file: _File) -> _Claim | None:
        light = _IN_OTHER_LIGHT.fullmatch(file.stem)
        if light:
            name = f"{file.place}/im{light[2]}"
            eye = LEFT if light[1] == "0" else RIGHT
            rule = f"scene folder im0{light[2]} + im1{light[2]}"
            return _Claim((file.place, "im*", light[2]), (), eye, name, rule, False)
        prefix, number = _number(file.stem)
        there = numbers.get((file.folder, prefix), set())
        for wanted, left, right, among_others in _SCENE_PAIRS:
            if prefix != wanted or not {left, right} <= there or (there != {left, right} and not among_others):
                continue
            if number not in (left, right):
                return None
            rule = f"scene folder {prefix}{left} + {prefix}{right}"
            eye = LEFT if number == left else RIGHT
            return _Claim((file.place, prefix), (), eye, f"{file.place}/{prefix}", rule, False)
        return None

    return claim


def _numbered_folder_rule(files: Iterable[_File], masked: bool = False) -> _Rule:
    """The rule of folders that differ in one number only: cam1/ + cam2/, infra1/ + infra2/.

    masked: the files in them have the folder's number in their names, too.
    """
    siblings = numbered_siblings((folder.parent, folder.name) for folder in _folders_of(files))

    def claim(file: _File) -> _Claim | None:
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


def _masked_folder_rule(files: Iterable[_File]) -> _Rule:
    return _numbered_folder_rule(files, masked=True)


def _numbered_file_rule(files: Iterable[_File], beside: Iterable[_File]) -> _Rule:
    """The rule of file names that differ in one number only: tree-1 + tree-2. beside: all files, to know of a third."""
    folders = {file.folder for file in files}
    siblings = numbered_siblings((file.folder, file.stem) for file in beside if file.folder in folders)

    def claim(file: _File) -> _Claim | None:
        sibling = siblings.get((file.folder, file.stem))
        if sibling is None:
            return None
        name = f"{file.place}/{sibling.name}"
        return _numbered_claim((file.place, sibling.rest), sibling, name, f"file names {_numbers(sibling)}")

    return claim


def _numbered_claim(group: tuple[str, ...], sibling: Numbered, name: str, rule: str) -> _Claim:
    eye = LEFT if sibling.first else RIGHT
    return _Claim(group, (), eye, name, rule, strong=False, guessed=True)


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


def _without_grey_copies(pairs: list[TwoFiles]) -> tuple[list[TwoFiles], list[Unpaired]]:
    stems = {pair.left.with_suffix("") for pair in pairs}
    kept: list[TwoFiles] = []
    grey: list[Unpaired] = []
    for pair in pairs:
        colours = [place for place in _colour_places(pair.left) if place in stems]
        if colours:
            detail = f"a grey copy of the pair in {colours[0].parent.as_posix()}"
            grey += [Unpaired(file, "grey-copy", detail) for file in (pair.left, pair.right)]
        else:
            kept.append(pair)
    return kept, grey


def _colour_places(left: PurePath) -> list[PurePath]:
    """Where the colour copy of a grey KITTI view would lie, without extension."""
    places = []
    for depth, part in enumerate(left.parts[:-1]):
        for colour in _GREY_FOLDERS.get(part, ()):
            places.append(PurePath(*left.parts[:depth], colour, *left.parts[depth + 1 :]).with_suffix(""))
    return places
