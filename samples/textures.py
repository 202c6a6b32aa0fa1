"""Textures of surfaces: functions of the place on a surface, so that both eyes see the same paint.

noise: of the world. u, v: N float32, metres on the surface. footprint: N float32, metres that a pixel covers there. a,
b: two colours, RGB in [0, 1], that are mixed. frequency: 1/m. contrast: 0 to 1. joint, path: colours. period, bend:
metres. Every other length is in metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from samples.vectors import Vec, scaled

Colours: TypeAlias = NDArray[np.float32]
Paint: TypeAlias = Callable[[Colours, Colours, Colours], Colours]  # (u, v, footprint) in metres -> Nx3 in [0, 1]


def rgb(hexadecimal: str) -> Vec:
    """RGB in [0, 1] of a hexadecimal colour: '8090a0' -> (0.5, 0.56, 0.63)."""
    r, g, b = bytes.fromhex(hexadecimal)
    return (r / 255, g / 255, b / 255)


def colours(text: str) -> list[Vec]:
    """The colours of a text, as of `rgb`: '8090a0 405060' -> two."""
    return [rgb(word) for word in text.split()]


@dataclass(frozen=True)
class Noise:
    """Value noise on a lattice. table: 256x256 random numbers in [-1, 1]."""

    table: Colours

    def once(self, u: Colours, v: Colours) -> Colours:
        """One octave with lattice spacing 1, smooth between the lattice points."""
        iu, iv = np.floor(u), np.floor(v)
        fu, fv = u - iu, v - iv
        fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
        i, j = iu.astype(np.int32) & 255, iv.astype(np.int32) & 255
        i1, j1 = (i + 1) & 255, (j + 1) & 255
        flat = self.table.ravel()
        top = flat[i * 256 + j] * (1 - fu) + flat[i1 * 256 + j] * fu
        bottom = flat[i * 256 + j1] * (1 - fu) + flat[i1 * 256 + j1] * fu
        blend: Colours = (top * (1 - fv) + bottom * fv).astype(np.float32)
        return blend

    def fbm(
        self, u: Colours, v: Colours, footprint: Colours | float, frequency: float, octaves: int, gain: float = 0.6
    ) -> Colours:
        """Sum of octaves, each twice as fine and `gain` as strong; those too fine for a pixel fade out."""
        total = np.zeros(u.shape, np.float32)
        for octave in range(octaves):
            f = frequency * 2.03**octave
            fade = np.broadcast_to(np.clip(1.5 - 2 * f * np.asarray(footprint, np.float32), 0, 1), u.shape)
            seen = np.flatnonzero(fade)
            if seen.size:
                layer = self.once(u[seen] * f + 17.3 * octave, v[seen] * f + 5.1 * octave)
                total[seen] += gain**octave * fade[seen] * layer
        return total


def mix(a: Vec, b: Vec, amount: Colours) -> Colours:
    """Nx3 colours between a (amount <= 0) and b (amount >= 1)."""
    share = np.clip(amount, 0, 1)[:, None]
    out: Colours = (np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share).astype(np.float32)
    return out


def mottled(noise: Noise, a: Vec, b: Vec, frequency: float = 3.0, stretch: float = 1.0, contrast: float = 0.6) -> Paint:
    """Cloudy mixture of two colours; stretch > 1 draws it out along v (bark, wood grain)."""

    def paint(u: Colours, v: Colours, footprint: Colours) -> Colours:
        value = noise.fbm(u, v / np.float32(stretch), footprint, frequency, 7, 0.72)
        return mix(a, b, 0.5 + contrast * value)

    return paint


def courses(noise: Noise, a: Vec, b: Vec, joint: Vec, width: float, height: float) -> Paint:
    """Bricks, planks, tiles, books: rows of pieces width x height, each with its own tone, and dark joints."""

    def paint(u: Colours, v: Colours, footprint: Colours) -> Colours:
        row = np.floor(v / height)
        shifted = u / width + 0.5 * (row % 2)
        column = np.floor(shifted)
        tone = noise.once(column * 7.0 + 0.5, row * 3.0 + 0.5) * 0.45
        grain = noise.fbm(u, v, footprint, 2 / height, 5, 0.7) * 0.35
        gap = np.minimum((shifted - column) * width, v - row * height)
        gap = np.minimum(gap, np.minimum((column + 1 - shifted) * width, (row + 1) * height - v))
        line = np.clip(1.2 - gap / (0.06 * height + footprint), 0, 1)[:, None]
        out: Colours = mix(a, b, 0.5 + tone + grain) * (1 - line) + np.asarray(joint, np.float32) * line
        return out

    return paint


def striped(noise: Noise, a: Vec, b: Vec, period: float) -> Paint:
    """Soft vertical stripes with a little noise: wallpaper, a beach ball, an awning."""

    def paint(u: Colours, v: Colours, footprint: Colours) -> Colours:
        wave = np.sin(u * np.float32(2 * math.pi / period)) * 3 + 0.5
        grain = noise.fbm(u, v, footprint, 9.0, 5, 0.75)[:, None] * 0.07
        out: Colours = mix(a, b, wave) + grain
        return out

    return paint


def printed(picture: NDArray[np.uint8], width: float, start: tuple[float, float] = (0.0, 0.0)) -> Paint:
    """A picture as a texture, mirrored where it ends.

    picture: HxWx3 uint8. width: metres that it covers. start: the place of the surface's middle on it, in its widths.
    """
    levels = [picture.astype(np.float32) / 255]
    while min(levels[-1].shape[:2]) >= 4:  # each half as large
        last = levels[-1][: levels[-1].shape[0] // 2 * 2, : levels[-1].shape[1] // 2 * 2]
        levels.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4)

    def paint(u: Colours, v: Colours, footprint: Colours) -> Colours:
        texels = picture.shape[1] / width  # a metre
        level = np.log2(max(1.0, float(np.median(footprint)) * texels / 2))  # a pixel has two rays along a side
        image = levels[min(int(level), len(levels) - 1)]
        height_px, width_px = image.shape[:2]
        x, y = ((place / width + first) * width_px for place, first in ((u, start[0]), (v, start[1])))
        column, row = (np.floor(place).astype(np.int64) for place in (x, y))
        column, row = column % (2 * width_px), row % (2 * height_px)
        column, row = np.minimum(column, 2 * width_px - 1 - column), np.minimum(row, 2 * height_px - 1 - row)
        out: Colours = image[row, column]
        return out

    return paint


def meadow(noise: Noise, a: Vec, b: Vec, path: Vec, bend: float) -> Paint:
    """Ground with a winding path: u is world x, v is world z."""

    def paint(u: Colours, v: Colours, footprint: Colours) -> Colours:
        patches = noise.fbm(u, v, footprint, 0.25, 3)
        blades = noise.fbm(u, v, footprint, 2.5, 6, 0.85)
        ground = mix(a, b, 0.5 + 0.35 * patches + 0.4 * blades)
        stones = mix(scaled(path, 0.75), scaled(path, 1.15), 0.5 + 0.5 * noise.fbm(u, v, footprint, 4.0, 6, 0.8))
        centre = bend * (1.4 * np.sin(0.23 * v) + 0.06 * v)
        ragged = 0.75 - np.abs(u - centre) + 0.25 * patches + 0.12 * blades
        on_path = np.clip(ragged / 0.15 + 0.5, 0, 1)[:, None]
        out: Colours = ground * (1 - on_path) + stones * on_path
        return out

    return paint
