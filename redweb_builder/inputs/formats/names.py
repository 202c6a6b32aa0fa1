"""File and folder names as words, and as what they are compared by."""

from __future__ import annotations

import re
import unicodedata

EDGE, SEPARATOR, DIGIT, CAMEL, JOINED = "edge", "separator", "digit", "camel", "joined"

# Words are split at separators, at digits, where camelCase begins one, and behind an acronym (GTright).
WORD = re.compile(r"\d+|[A-Z]{2,}(?=left|right)|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


def plain_words(name: str) -> list[str]:
    """The words of a name, lower case, numbers among them."""
    return [word.lower() for word in WORD.findall(name)]


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
