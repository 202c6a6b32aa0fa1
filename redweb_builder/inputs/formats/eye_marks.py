"""The eye that a file or folder name speaks of.

The grammar: a name is words. A mark is a word for an eye (left, right, l, r, or one of another language), alone or
joined to a noun of cameras (leftimg, rcam, outleft). What a mark is worth follows from where it stands: the whole name,
its last or first word, a word in between, a word that only a digit or a capital letter sets apart.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from redweb_builder.inputs.formats.names import CAMEL, DIGIT, EDGE, JOINED, SEPARATOR, border, words_in

LEFT, RIGHT = "left", "right"

_WORD, _LETTER = "word", "letter"
# Words for left and right besides English; a name of one eye alone says nothing by them.
_OTHER_WORDS = (
    *(("lft", "rgt"), ("links", "rechts"), ("gauche", "droite"), ("izquierda", "derecha"), ("sinistra", "destra")),
    *(("sx", "dx"), ("esquerda", "direita"), ("лево", "право"), ("левый", "правый"), ("слева", "справа")),
    *(
        ("lefts", "rights"),
        ("li", "re"),
        ("linke", "rechte"),
        ("linker", "rechter"),
        ("linkes", "rechtes"),
        ("gauche", "droit"),
    ),
    *(("izquierdo", "derecho"), ("izq", "der"), ("esq", "dir"), ("esquerdo", "direito"), ("sinistro", "destro")),
    *(("vänster", "höger"), ("vanster", "hoger"), ("venstre", "højre"), ("venstre", "høyre"), ("venstre", "hojre")),
    *(("vasen", "oikea"), ("lewy", "prawy"), ("lewe", "prawe"), ("lewa", "prawa"), ("levý", "pravý")),
    *(("levy", "pravy"), ("bal", "jobb"), ("sol", "sağ"), ("sol", "sag"), ("stânga", "dreapta")),
    *(("stanga", "dreapta"), ("ліва", "права"), ("лівий", "правий"), ("hidari", "migi")),
    *(("master", "slave"), ("lhs", "rhs"), ("port", "starboard"), ("port", "stbd")),
)
_EYE_OF = {"left": (LEFT, _WORD), "right": (RIGHT, _WORD), "l": (LEFT, _LETTER), "r": (RIGHT, _LETTER)} | {
    word: (eye, pair[0]) for pair in _OTHER_WORDS for eye, word in zip((LEFT, RIGHT), pair, strict=True)
}
_NOUN = r"images?|imgs?|cam|camera|eye|view|frames?|pic|photo|video|lens|rgb|colou?r|gr[ae]y|infra|rect"
_COMPOUND = re.compile(
    rf"(?:{_NOUN}|out)(?P<last>left|right)|(?:{_NOUN})(?P<end>[lr])|(?P<first>left|right|l|r)(?:{_NOUN})"
)
_LETTER_OF_ANY = re.compile(r"[^\W\d_]")  # script; of a name without one no mark can be
# Marks that are no words: ideographs stand beside others without a border; Karlsruhe and LIBELAS: I1_000000 I2_000000.
_IDEOGRAPH = re.compile(r"[左右좌우]$|^[左右좌우]")
_KARLSRUHE = re.compile(r"^I(?P<eye>[12])_\d+$")
# A camera turned to the left (Virtual KITTI: 15-deg-left) is no left eye.
_TURNED = re.compile(r"(?i)\d[-_. ]?deg(?:rees?)?[-_. ]?$")
_RIGHT_SIGNS = ("右", "우", "2")


@dataclass(frozen=True)
class EyeMark:
    """The eye that a name speaks of.

    rest: the name with "*" for the mark. style: how it is written; the two names of a pair share it. strong: the file
    belongs to that eye even where there is no partner. rank: of several marks in a name, the lowest is the plainest.
    """

    eye: str
    rest: str
    style: str
    strong: bool
    rank: tuple[int, ...] = ()


def eye_mark(name: str) -> EyeMark | None:
    """The plainest mark of an eye in a file or folder name without extension; None without any, or with both eyes."""
    marks = eye_marks(name)
    return marks[0] if marks else None


def eye_marks(name: str) -> list[EyeMark]:
    """All marks of an eye in a name without extension, the plainest first; none where it names both eyes."""
    marks: list[EyeMark] = []
    if not _LETTER_OF_ANY.search(name):
        return marks
    plain: set[str] = set()
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    for match in words_in(name):
        text = match[0].lower()
        known = _eye_of_word(text)
        if known is not None and (mark := _mark_of(name, match.span(), known)):
            marks.append(mark)
            plain.add(text)
    if {LEFT, RIGHT} <= plain:
        return []
    if not name.isascii() and (sign := _IDEOGRAPH.search(name)):
        marks.append(_signed(name, sign.span(), sign[0], "ideograph"))
    if (sign := _KARLSRUHE.search(name)) is not None:
        marks.append(_signed(name, (0, 2), sign["eye"], "number"))
    return sorted(marks, key=lambda mark: mark.rank) if len(marks) > 1 else marks


_Known = tuple[str, str, int, int, bool]  # eye, style, where the mark begins and ends in the word, is it all of it


@lru_cache(maxsize=4096)
def _eye_of_word(text: str) -> _Known | None:
    """What a word says of eyes, lower case."""
    if text in _EYE_OF:
        eye, style = _EYE_OF[text]
        return eye, style, 0, len(text), True
    match = _COMPOUND.fullmatch(text)
    if match is None:
        return None
    group = str(match.lastgroup)
    eye, style = _EYE_OF[match[group]]
    return eye, f"{style} and noun", *match.span(group), False


def _mark_of(name: str, span: tuple[int, int], known: _Known) -> EyeMark | None:
    """The mark that the word name[span] is, by where it stands; None where it is a part of another word, or a turn."""
    eye, style, start, end, whole = known
    before, after = border(name, span[0]), border(name, span[1])
    letter = style == _LETTER
    within_a_word = JOINED in (before, after) or (letter and before == after and before in (DIGIT, CAMEL))
    if within_a_word or _TURNED.search(name[: span[0]]):
        return None
    apart = whole and style in (_WORD, _LETTER) and {before, after} <= {EDGE, SEPARATOR}
    first, last = span[0] == 0, span[1] == len(name) or name[span[1] :] in (")", "]")
    place = 0 if first and last else 1 if last else 2 if first else 3
    strong = apart and place < 3 and not (letter and place == 0)
    rest = f"{name[: span[0] + start]}*{name[span[0] + end :]}"
    return EyeMark(eye, rest, style, strong, (not apart, place, letter))


def _signed(name: str, span: tuple[int, int], sign: str, style: str) -> EyeMark:
    eye = RIGHT if sign in _RIGHT_SIGNS else LEFT
    return EyeMark(eye, f"{name[: span[0]]}*{name[span[1] :]}", style, strong=False, rank=(2,))
