"""One file an eye: which files of a folder tree belong together, by their names alone, never by their order.

Layouts of KITTI (image_2 image_3, colored_0 colored_1), Middlebury (im0 im1, im2 im6, view1 view5), ETH3D, EuRoC
(cam0 cam1), Cityscapes (leftImg8bit rightImg8bit), Flickr1024 (_L _R), Holopix50k (left/ right/), and what people
write by hand.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

LEFT, RIGHT = "left", "right"

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
# Grey copies of the same views (KITTI): not taken where the colour pair is there too.
_GREY_FOLDERS = {"image_0": ("colored_0", "image_2"), "image_00": ("image_02",)}
# File names of a scene folder: prefix, the numbers of the two eyes, whether other numbers may lie beside them.
_SCENE_PAIRS = (
    *(("im", 2, 6, True), ("view", 1, 5, True), ("scene1.row3.col", 3, 4, True)),
    *(("im", 0, 1, False), ("", 0, 1, False)),
)
# Further pictures of a scene's two views, in other light (Middlebury 2014 and 2021): im0e1 + im1e1, im1E, im1L.
_IN_OTHER_LIGHT = re.compile(r"im([01])([a-z]\w*)", re.IGNORECASE)
# Names that differ in a last 0 and 1: only where no other number is there.
_ZERO_ONE = re.compile(r"(.*[-_. ])(\d+)")

_WORD = r"(?P<eye>left|right)"
_LETTER = r"(?P<eye>l|r)"
_BEFORE, _BEHIND = r"(?<=[-_. (\[])", r"(?=[-_. )\]])"
# Words for left and right, in their order; besides English, a name must have both to say anything.
_OTHER_WORDS = (
    *(("lft", "rgt"), ("links", "rechts"), ("gauche", "droite"), ("izquierda", "derecha"), ("sinistra", "destra")),
    *(("sx", "dx"), ("esquerda", "direita"), ("лево", "право"), ("левый", "правый"), ("слева", "справа")),
)
_OTHER = "|".join(word for words in _OTHER_WORDS for word in words)
_RIGHT_WORDS = frozenset((*(right for _, right in _OTHER_WORDS), "right", "r", "右", "2"))
# Folders that hold one eye even where the other eye's folder is missing.
_LONE_FOLDER = r"((images?|img|cam(era)?|view|eye)[-_. ]?)?(left|right)([-_. ]?(images?|img|cam(era)?|view|eye))?"

# A mark of an eye in a name, from the plainest to the weakest. Strong ones tell an eye even without a partner.
_MARK_PATTERNS: tuple[tuple[str, bool], ...] = (
    (rf"(?i:^{_WORD}$)", True),
    (rf"(?i:^{_LETTER}$)", False),
    (rf"(?i:{_BEFORE}{_WORD}[)\]]?$)", True),
    (rf"(?i:(?<=[-_. ]){_LETTER}$)", True),
    (rf"(?i:[(\[]{_LETTER}[)\]]$)", True),
    (rf"(?i:^{_WORD}(?=[-_. ]))", True),
    (rf"(?i:^{_LETTER}(?=[-_. ]))", True),
    (rf"(?i:{_BEFORE}{_WORD}{_BEHIND})", False),
    (rf"(?i:^{_WORD}(?=\d|images?|img|cam|eye|view|frames?))", False),
    (rf"(?i:(?<=\d){_WORD}$)", False),
    (r"^(?P<eye>left|right|Left|Right)(?=[A-Z])", False),
    (r"(?<=[-_. ])(?P<eye>left|right)(?=[A-Z])", False),
    (r"(?<=[a-z])(?P<eye>Left|Right)(?![a-z])", False),
    (r"(?<=[a-z\d])(?P<eye>L|R)$", False),
    (rf"(?i:{_BEFORE}{_LETTER}(?=[-_. ]\d+$))", False),
    (rf"(?i:^{_LETTER}(?=\d+$))", False),
    (rf"(?i:(?:^|{_BEFORE})(?P<eye>{_OTHER})(?=$|[-_. )\]]))", False),
    (r"(?P<eye>左|右)$", False),
    (r"^(?P<eye>左|右)", False),
    (r"^I(?P<eye>1|2)(?=_\d+$)", False),  # Karlsruhe and LIBELAS: I1_000000 I2_000000
)
_MARKS = tuple((re.compile(pattern), strong) for pattern, strong in _MARK_PATTERNS)
_TRUTH = re.compile(
    r"(?i:disparity|disp|mask|occlusion|occl|occ|nonocc|noc|calib|truedisp|groundtruth|depth)s?"
    r"(?=$|[-_.\d]|[LR](?![A-Za-z])|GT)"
)
# Ground truth that lies deeper below a folder of its name (Sintel, SceneFlow), or beside the views by a last word
# (000001.left.depth, 000001_left.disp).
_TRUTH_FOLDER = re.compile(
    r"(?i:disparit(y|ies)|occlusions|outofframe|optical_flow|object_index|obj_map|motion_boundaries)(_\w+)?"
)
_TRUTH_SUFFIX = re.compile(r"(?i:.*(left|right|l|r)[-_.](disp|disparity|depth|seg|mask|occ|noc))")


@dataclass(frozen=True)
class EyeMark:
    """The eye that a name speaks of. rest: the name with "*" for the mark; style: how it was written."""

    eye: str
    rest: str
    style: str
    strong: bool


@dataclass(frozen=True)
class TwoFiles:
    """Two files that belong together; paths relative to the input folder.

    name: for the key, eye marks gone. guessed: their names are not much of a reason, so the content should be asked.
    """

    left: PurePath
    right: PurePath
    name: str
    rule: str
    guessed: bool = False


@dataclass(frozen=True)
class Unpaired:
    """A file that a name rule explains but that makes no pair."""

    file: PurePath
    reason: str
    detail: str


@dataclass(frozen=True)
class _Claim:
    """What one rule says of one file: files of equal `group` and different `eye` are the two of a pair.

    strong: the file belongs to that eye even where there is no partner. guessed: see TwoFiles.
    """

    group: tuple[str, ...]
    eye: str
    name: str
    rule: str
    strong: bool
    guessed: bool = False


def is_ground_truth(file: PurePath) -> bool:
    """Whether a picture is a disparity map, mask or the like by its name or that of its folders."""
    if _TRUTH.match(file.stem) or _TRUTH_SUFFIX.fullmatch(file.stem):
        return True
    folders = file.parts[:-1]
    return any(map(_TRUTH.match, folders[-1:])) or any(map(_TRUTH_FOLDER.fullmatch, folders))


def eye_mark(name: str) -> EyeMark | None:
    """The mark of an eye in a file or folder name without extension; None where there is none or both are."""
    if {"left", "right"} <= set(re.split(r"[\W_\d]+", name.lower())):
        return None
    for style, (pattern, strong) in enumerate(_MARKS):
        match = pattern.search(name)
        if match:
            eye = RIGHT if match["eye"].lower() in _RIGHT_WORDS else LEFT
            return EyeMark(eye, name[: match.start()] + "*" + name[match.end() :], str(style), strong)
    return None


def pair_files(files: Iterable[PurePath]) -> tuple[list[TwoFiles], list[Unpaired], list[PurePath]]:
    """Pair files that hold one eye each.

    files: picture files, relative to the input folder.
    Returns the pairs, the files that name an eye but make no pair ("one-eye", "ambiguous", "other-view",
    "grey-copy"), and the files that no rule speaks of. Rules in their order: an eye named in the file name, with the
    partner in the same folder; eye folders side by side; numbered views of a scene folder; a last 0 and 1.
    """
    rest = sorted(files)
    pairs: list[TwoFiles] = []
    unpaired: list[Unpaired] = []
    folder_claim = _folder_rule(rest)
    for claim in (_name_claim, folder_claim, _scene_rule(rest), _zero_one_rule(rest)):
        found, double, rest = _pair_by(rest, claim)
        pairs += found
        unpaired += double
    pairs, grey = _without_grey_copies(pairs)
    unpaired += grey
    taken_scenes = {(pair.left.parent, _number(pair.left)[0]) for pair in pairs if pair.rule.startswith("scene")}
    unexplained = []
    for file in rest:
        eyes = [claimed for claimed in (_name_claim(file), folder_claim(file)) if claimed and claimed.strong]
        if eyes:
            other = RIGHT if eyes[-1].eye == LEFT else LEFT
            unpaired.append(Unpaired(file, "one-eye", f"{eyes[-1].rule}: there is no {other} picture for it"))
        elif _view_of(file) is not None and (file.parent, _view_of(file)) in taken_scenes:
            unpaired.append(Unpaired(file, "other-view", "a further view of a scene whose pair was found"))
        else:
            unexplained.append(file)
    return pairs, unpaired, unexplained


def _pair_by(
    files: list[PurePath], claim: Callable[[PurePath], _Claim | None]
) -> tuple[list[TwoFiles], list[Unpaired], list[PurePath]]:
    groups: dict[tuple[str, ...], list[tuple[PurePath, _Claim]]] = defaultdict(list)
    for file in files:
        claimed = claim(file)
        if claimed:
            groups[claimed.group].append((file, claimed))
    pairs: list[TwoFiles] = []
    double: list[Unpaired] = []
    for members in groups.values():
        _pair_group(members, pairs, double)
    used = {file for pair in pairs for file in (pair.left, pair.right)} | {one.file for one in double}
    return pairs, double, [file for file in files if file not in used]


def _pair_group(members: list[tuple[PurePath, _Claim]], pairs: list[TwoFiles], double: list[Unpaired]) -> None:
    """Pair the files of one group: equal extensions first, then what is left where it is one of each eye."""
    eyes: dict[str, dict[str, list[PurePath]]] = {LEFT: defaultdict(list), RIGHT: defaultdict(list)}
    for file, claimed in members:
        eyes[claimed.eye][file.suffix.lower()].append(file)
    name, rule, guessed = members[0][1].name, members[0][1].rule, members[0][1].guessed
    open_left: list[PurePath] = []
    open_right = [file for suffix, some in eyes[RIGHT].items() if suffix not in eyes[LEFT] for file in some]
    for suffix, lefts in eyes[LEFT].items():
        rights = eyes[RIGHT].get(suffix, [])
        if len(lefts) == len(rights) == 1:
            pairs.append(TwoFiles(lefts[0], rights[0], name, rule, guessed))
        elif rights:
            double += [Unpaired(file, "ambiguous", f"{rule}: several files for one eye") for file in (*lefts, *rights)]
        else:
            open_left += lefts
    if len(open_left) == len(open_right) == 1:
        pairs.append(TwoFiles(open_left[0], open_right[0], name, rule, guessed))


def _name_claim(file: PurePath) -> _Claim | None:
    mark = eye_mark(file.stem)
    if mark is None:
        return None
    group = (file.parent.as_posix(), mark.rest, mark.style)
    name = (file.parent / mark.rest).as_posix()
    rule = "files left + right" if mark.rest == "*" else "file names with an eye mark"
    return _Claim(group, mark.eye, name, rule, mark.strong)


def _folder_rule(files: Iterable[PurePath]) -> Callable[[PurePath], _Claim | None]:
    """The rule of eye folders side by side, for the folders that these files lie in."""
    eyes_of: dict[tuple[PurePath, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    parents = {file.parent for file in files}
    for folder in {one for parent in parents for one in (parent, *parent.parents) if one.name}:
        mark = _folder_mark(folder.name)
        if mark:
            eyes_of[folder.parent, mark.rest, mark.style][mark.eye].add(folder.name)

    def claim(file: PurePath) -> _Claim | None:
        lone: _Claim | None = None
        for folder in file.parents:
            mark = _folder_mark(folder.name)
            if mark is None:
                continue
            eyes = eyes_of[folder.parent, mark.rest, mark.style]
            claimed = _claim_in(file, folder, mark, eyes)
            if len(eyes) == 2:
                return claimed
            if lone is None and re.fullmatch(_LONE_FOLDER, folder.name.lower()):
                lone = claimed
        return lone

    return claim


def _claim_in(file: PurePath, folder: PurePath, mark: EyeMark, eyes: dict[str, set[str]]) -> _Claim:
    inner = file.relative_to(folder)
    own = eye_mark(file.stem)
    stem = own.rest if own and own.eye == mark.eye else file.stem
    group = (folder.parent.as_posix(), mark.rest, mark.style, inner.parent.as_posix(), stem)
    names = [" or ".join(sorted(eyes.get(eye, {"?"}))) for eye in (LEFT, RIGHT)]
    rest = "" if mark.style == "folder" else mark.rest
    name = (folder.parent / rest / inner.parent / stem).as_posix()
    return _Claim(group, mark.eye, name, f"folders {names[0]}/ + {names[1]}/", True)


@lru_cache(maxsize=1024)
def _folder_mark(name: str) -> EyeMark | None:
    plain = name.lower()
    for left, right in _FOLDER_PAIRS:
        for eye, folder in ((LEFT, left), (RIGHT, right)):
            if plain == folder or plain.endswith((f"_{folder}", f"-{folder}")):
                return EyeMark(eye, plain.removesuffix(folder) + left, "folder", False)
    return eye_mark(name)


def _scene_rule(files: Iterable[PurePath]) -> Callable[[PurePath], _Claim | None]:
    """The rule of numbered views (im0 im1): which numbers a folder holds decides which two are the pair."""
    numbers: dict[tuple[PurePath, str], set[int]] = defaultdict(set)
    for file in files:
        prefix, number = _number(file)
        if number is not None:
            numbers[file.parent, prefix].add(number)

    def claim(file: PurePath) -> _Claim | None:
        light = _IN_OTHER_LIGHT.fullmatch(file.stem)
        if light:
            group = (file.parent.as_posix(), "im*", light[2])
            name = (file.parent / f"im{light[2]}").as_posix()
            eye = LEFT if light[1] == "0" else RIGHT
            return _Claim(group, eye, name, f"scene folder im0{light[2]} + im1{light[2]}", False)
        prefix, number = _number(file)
        there = numbers.get((file.parent, prefix), set())
        for wanted, left, right, among_others in _SCENE_PAIRS:
            if prefix != wanted or not {left, right} <= there or (there != {left, right} and not among_others):
                continue
            if number not in (left, right):
                return None
            rule = f"scene folder {prefix}{left} + {prefix}{right}"
            eye = LEFT if number == left else RIGHT
            return _Claim((file.parent.as_posix(), prefix), eye, (file.parent / prefix).as_posix(), rule, False)
        return None

    return claim


def _zero_one_rule(files: Iterable[PurePath]) -> Callable[[PurePath], _Claim | None]:
    """The rule of names that differ in a last 0 and 1, with no third number beside them."""
    numbers: dict[tuple[PurePath, str], set[str]] = defaultdict(set)
    for file in files:
        match = _ZERO_ONE.fullmatch(file.stem)
        if match:
            numbers[file.parent, match[1]].add(match[2])

    def claim(file: PurePath) -> _Claim | None:
        match = _ZERO_ONE.fullmatch(file.stem)
        if match is None or numbers[file.parent, match[1]] != {"0", "1"}:
            return None
        name = (file.parent / match[1]).as_posix()
        eye = LEFT if match[2] == "0" else RIGHT
        rule = "file names that end in 0 + 1"
        return _Claim((file.parent.as_posix(), match[1]), eye, name, rule, strong=False, guessed=True)

    return claim


def _number(file: PurePath) -> tuple[str, int | None]:
    """("im", 6) for im6.png; (stem, None) where the stem is no prefix of a scene pair and a plain number."""
    match = re.fullmatch(r"(im|view|scene1\.row3\.col|)(0|[1-9]\d?)", file.stem.lower())
    return (match[1], int(match[2])) if match else (file.stem, None)


def _view_of(file: PurePath) -> str | None:
    """The prefix of the scene whose view a file is by its name, as "im" of im4 and of im1E; None where it is none."""
    if _IN_OTHER_LIGHT.fullmatch(file.stem):
        return "im"
    prefix, number = _number(file)
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
