"""The inspection grid: one picture that shows what a build kept, what it rejected, and why."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from redweb_builder.colour import (
    MASK_COLOURS,
    ORANGE,
    Colour,
    confidence_colours,
    disparity_colours,
    flow_picture,
    unknown_picture,
)
from redweb_builder.inspect.panel import LARGE, PANEL_WIDTH, TILE_HEIGHT, TILE_WIDTH
from redweb_builder.inspect.strip import GAP
from redweb_builder.types import Picture

STATUSES = ("kept", "rejected")
KEPT, REJECTED = STATUSES

PAPER: Colour = (20, 21, 23)
BRIGHT: Colour = (240, 241, 243)
SOFT: Colour = (172, 176, 182)
ACCENT: dict[str, Colour] = {KEPT: (0, 158, 115), REJECTED: (224, 108, 20)}

MARGIN, LINE, TEXT_GAP, ROW_GAP, SECTION_GAP = 24, 20, 4, 16, 44
TITLE_SIZE, HEADING_SIZE, TEXT_SIZE = 28, 18, 14
LEGEND_HEIGHT, WHEEL, BAR_HEIGHT, SWATCH = 76, 64, 14, 14
WIDTH = PANEL_WIDTH + 2 * MARGIN

# Pillow's own font, so that the picture needs no system font and is the same everywhere, draws little beyond ASCII.
PLAIN = str.maketrans(
    {"×": "x", "≥": ">=", "≤": "<=", "−": "-", "–": "-", "—": "-", "→": "->", "±": "+-", "σ": "sigma"}
)
DRAWABLE = "°·…"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Row:
    """One pair of the grid.

    panel: the picture that panel() drew, TILE_HEIGHT x PANEL_WIDTH x 3 uint8, or None for a pair that never got a
    label. key: of the pair. status: "kept" or "rejected". verdict: it and its cause, in words. caption: the
    measurements.
    """

    panel: Picture | None
    key: str
    status: str
    verdict: str
    caption: str

    def __post_init__(self) -> None:
        """Raise ValueError on an unknown status or a panel of another size."""
        if self.status not in STATUSES:
            raise ValueError(f"the status of {self.key!r} is one of {STATUSES}, got {self.status!r}")
        if self.panel is not None and self.panel.shape != (TILE_HEIGHT, PANEL_WIDTH, 3):
            raise ValueError(f"the panel of {self.key!r} is {(TILE_HEIGHT, PANEL_WIDTH, 3)}, got {self.panel.shape}")

    @cached_property
    def lines(self) -> list[tuple[str, Colour]]:
        """The text above the panel, in lines: key, verdict, measurements."""
        font, room = _font(TEXT_SIZE), PANEL_WIDTH - 16
        lines = [(_shorten(_plain(self.key), font, room), BRIGHT)]
        for text, colour in ((self.verdict, ACCENT[self.status]), (self.caption, SOFT)):
            lines += [(line, colour) for line in _wrap(_plain(text), font, room)]
        return lines

    @property
    def height(self) -> int:
        """How high the row is with the gap below it, px."""
        picture = 0 if self.panel is None else TEXT_GAP + TILE_HEIGHT
        gap = ROW_GAP // 2 if self.panel is None else ROW_GAP
        return LINE * len(self.lines) + picture + gap


def grid(rows: Sequence[Row], title: str) -> Image.Image:
    """Draw rows of panels under one header: the kept pairs first, then the rejected ones in a section of their own.

    rows: panels with their texts. title: the first line of the header. Within a section the rows keep their order.
    Returns an RGB picture, WIDTH px wide and as high as the rows need.
    """
    sections = {status: [row for row in rows if row.status == status] for status in STATUSES}
    heights = {status: _section_height(members) for status, members in sections.items()}
    header = MARGIN + TITLE_SIZE + 20 + LINE + 4 + LEGEND_HEIGHT
    total = header + sum(SECTION_GAP + height for height in heights.values()) + MARGIN
    canvas = Image.new("RGB", (WIDTH, total), PAPER)
    _draw_header(canvas, title)
    top = header
    for status, members in sections.items():
        _draw_section(canvas, top + SECTION_GAP, status, members)
        top += SECTION_GAP + heights[status]
    return canvas


def _section_height(rows: Sequence[Row]) -> int:
    return HEADING_SIZE + 14 + sum(row.height for row in rows) + (0 if rows else LINE)


def _draw_section(canvas: Image.Image, top: int, status: str, rows: Sequence[Row]) -> None:
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((MARGIN, top - 12, WIDTH - MARGIN - 1, top - 10), fill=ACCENT[status])
    draw.text((MARGIN, top), f"{status}  ({len(rows)})", font=_font(HEADING_SIZE), fill=ACCENT[status])
    top += HEADING_SIZE + 14
    if not rows:
        draw.text((MARGIN, top), "none", font=_font(TEXT_SIZE), fill=SOFT)
    for row in rows:
        _draw_row(canvas, draw, top, row)
        top += row.height


def _draw_row(canvas: Image.Image, draw: ImageDraw.ImageDraw, top: int, row: Row) -> None:
    font = _font(TEXT_SIZE)
    draw.rectangle((MARGIN, top + 4, MARGIN + 7, top + 11), fill=ACCENT[row.status])
    for text, colour in row.lines:
        draw.text((MARGIN + 16, top), text, font=font, fill=colour)
        top += LINE
    if row.panel is not None:
        canvas.paste(Image.fromarray(row.panel), (MARGIN, top + TEXT_GAP))


def _draw_header(canvas: Image.Image, title: str) -> None:
    """Title, column headings, and under each heading the legend of its colours."""
    draw = ImageDraw.Draw(canvas)
    title_font = _font(TITLE_SIZE)
    draw.text((MARGIN, MARGIN - 6), _shorten(_plain(title), title_font, PANEL_WIDTH), font=title_font, fill=BRIGHT)
    top = MARGIN + TITLE_SIZE + 20
    for column, heading in enumerate((*LARGE, "flow, raw disparity; regions, mask")):
        draw.text((_column_x(column), top), heading, font=_font(HEADING_SIZE), fill=BRIGHT)
    top += LINE + 8
    text = ("what the network will see;", "every map lies in its frame")
    _draw_lines(draw, _column_x(0), top, text)
    _draw_bar(canvas, draw, _column_x(1), top, disparity_colours(), ("far", "near"))
    _draw_bar(canvas, draw, _column_x(2), top, confidence_colours(), ("unsure", "sure"))
    _draw_wheel(canvas, draw, _column_x(3), top)
    mask = [(value.name.lower(), colour) for value, colour in MASK_COLOURS.items()]
    _draw_swatches(draw, _column_x(3) + TILE_WIDTH // 2, top, [*mask, ("far field", ORANGE)])


def _column_x(column: int) -> int:
    return MARGIN + column * (TILE_WIDTH + GAP)


def _draw_lines(draw: ImageDraw.ImageDraw, x: int, top: int, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        draw.text((x, top + number * LINE), line, font=_font(TEXT_SIZE), fill=SOFT)


def _draw_wheel(canvas: Image.Image, draw: ImageDraw.ImageDraw, x: int, top: int) -> None:
    """The colour of every direction and length, drawn four times too large for a smooth rim."""
    axis = np.linspace(-1.0, 1.0, 4 * WHEEL, dtype=np.float32)
    vectors = np.stack(np.meshgrid(axis, axis), axis=-1)
    wheel = Image.fromarray(flow_picture(vectors, limit=1.0)).resize((WHEEL, WHEEL), Image.Resampling.BOX)
    disc = Image.fromarray(np.uint8(255) * (np.hypot(vectors[..., 0], vectors[..., 1]) <= 1))
    canvas.paste(wheel, (x, top), disc.resize((WHEEL, WHEEL), Image.Resampling.BOX))
    _draw_lines(draw, x + WHEEL + 12, top, ("hue: direction", "pale: short"))


def _draw_bar(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, x: int, top: int, colours: Picture, ends: tuple[str, str]
) -> None:
    """A bar of a colour map, the words for its ends, and the checker of what is unknown."""
    width, font = TILE_WIDTH - 16, _font(TEXT_SIZE)
    ramp = colours[np.linspace(0, 255, width).astype(int)]
    canvas.paste(Image.fromarray(np.tile(ramp, (BAR_HEIGHT, 1, 1))), (x, top + 2))
    draw.text((x, top + LINE), ends[0], font=font, fill=SOFT)
    draw.text((x + width, top + LINE), ends[1], font=font, fill=SOFT, anchor="ra")
    canvas.paste(Image.fromarray(unknown_picture(SWATCH, 2 * SWATCH)), (x, top + 2 * LINE + 6))
    draw.text((x + 2 * SWATCH + 8, top + 2 * LINE + 4), "unknown", font=font, fill=SOFT)


def _draw_swatches(draw: ImageDraw.ImageDraw, x: int, top: int, swatches: Sequence[tuple[str, Colour]]) -> None:
    """Colour and name, in columns of three."""
    for number, (name, colour) in enumerate(swatches):
        left, y = x + number // 3 * (TILE_WIDTH // 4 + 6), top + number % 3 * (LINE + 4)
        draw.rectangle((left, y + 2, left + SWATCH - 1, y + SWATCH + 1), fill=colour, outline=SOFT)
        draw.text((left + SWATCH + 8, y), name, font=_font(TEXT_SIZE), fill=SOFT)


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size=size)


def _plain(text: str) -> str:
    """What the font can draw: accents dropped, every other strange character written as its escape."""
    letters = unicodedata.normalize("NFKD", text.translate(PLAIN)) if not text.isascii() else text
    kept = (letter for letter in letters if not unicodedata.combining(letter))
    return "".join(
        letter if letter in DRAWABLE else letter.encode("ascii", "backslashreplace").decode() for letter in kept
    )


def _shorten(text: str, font: Font, room: int) -> str:
    """The text, its middle cut out if it is wider than `room` px: both ends of a key tell pairs apart."""
    if font.getlength(text) <= room:
        return text
    halves = range(1, len(text) // 2)
    half = max(
        1, bisect_right(halves, room, key=lambda half: math.ceil(font.getlength(f"{text[:half]}…{text[-half:]}")))
    )
    return f"{text[:half]}…{text[-half:]}"


def _wrap(text: str, font: Font, room: int) -> list[str]:
    """Break a text into lines of at most `room` px, at spaces."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= room:
            lines[-1] = joined
        else:
            lines.append(_shorten(word, font, room))
    return lines
