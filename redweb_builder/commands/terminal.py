"""Text from files and names, made safe for a terminal: every command prints such text through this module."""

from __future__ import annotations

from unicodedata import category

import click

JOINERS = "\u200c\u200d"  # format characters that words and emoji need; they reorder nothing


def printable(text: str) -> str:
    r"""A text in one line that cannot steer a terminal.

    Control characters (ESC, line feed, ...), format characters (which turn the direction of writing, or are not seen)
    and bytes of a name that are not UTF-8 are written as their escapes: "\x1b", "\n", "\u202e", "\udcff".
    """
    if text.isprintable():
        return text
    return "".join(_escaped(letter) if _steers(letter) else letter for letter in text)


def escape(text: str) -> str:
    """`printable`, and safe inside the markup of rich. text: from a file or a name."""
    from rich import markup  # here: the list of commands needs no rich

    return markup.escape(printable(text))


def echo(text: object, err: bool = False) -> None:
    """Print the `printable` text of an object as one line, to standard error where `err`."""
    click.echo(printable(str(text)), err=err)


def counted(number: int, noun: str) -> str:
    """A number and what it counts: "1 pair", "2 pairs". noun: of one of them; its plural ends in s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _steers(letter: str) -> bool:
    return category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in JOINERS


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
