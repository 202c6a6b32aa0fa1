"""File and folder names as words, and as what they are compared by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

EDGE, SEPARATOR, DIGIT, CAMEL, JOINED = "edge", "separator", "digit", "camel", "joined"

# Words are split at separators, at digits, where camelCase begins one, and behind an acronym (GTright).
_WORD = r"\d+|[A-Z]{2,}(?=left|right)|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+"
_ASCII_WORD = re.compile(_WORD)
_ANY_WORD = re.compile(rf"[a-zA-Z]*[^\W\d_a-zA-Z][^\W\d_]*|{_WORD}")  # a letter of another script does not end one


def words_in(name: str) -> Iterator[re.Match[str]]:
    """The words of a name where they stand, numbers among them. name: with composed letters (NFC)."""
    return (_ASCII_WORD if name.isascii() else _ANY_WORD).finditer(name)


def plain_words(name: str) -> list[str]:
    """The words of a name, lower case, numbers among them."""
    return [word[0].lower() for word in words_in(name)]


def comparable(name: str) -> str:
    """A name as it is compared: without the difference of upper and lower case and of composed letters (NFC, NFD)."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def border(name: str, at: int) -> str:
    """What lies between name[at - 1] and name[at]; JOINED where both are letters of one word."""
    if at in (0, len(name)):
        return EDGE
    left, right = name[at - 1], name[at]
    if not left.isalnum() or not right.isalnum():
        return SEPARATOR
    if left.isdigit() or right.isdigit():
        return DIGIT
    return CAMEL if right.isascii() and left.isascii() and (left + right).lower() != left + right else JOINED
