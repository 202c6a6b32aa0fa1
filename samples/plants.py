"""Trees and branches.

b: the builder that collects them. x, z: where they stand on its ground, metres. height, width, length, radius,
radius_a, radius_b: metres. green: the two colours of leaves. bark: paint. noise: of the world. shift: place in it, so
that no two plants are equal. start, heading: origin and unit vector of a branch. forks: how often it divides.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from samples.shapes import Card, Outline, Rod
from samples.textures import Noise, Paint, mottled, rgb
from samples.vectors import Array, Vec, plus, scaled, unit
from samples.world import Builder


def ragged_blob(noise: Noise, radius_a: float, radius_b: float, shift: float, leaf: float) -> Outline:
    """A leafy clump: an ellipse whose edge and inside are broken by leaf-sized noise."""

    def outline(a: Array, b: Array) -> NDArray[np.bool_]:
        shape = 1 - np.hypot(a / radius_a, b / radius_b)
        u, v = (a + shift).astype(np.float32), (b + shift).astype(np.float32)
        inside: NDArray[np.bool_] = shape * 1.6 + 0.8 * noise.fbm(u, v, 0.0, 1 / leaf, 2) > 0.12
        return inside

    return outline


def fir(width: float, height: float, noise: Noise, shift: float) -> Outline:
    """The silhouette of a conifer: drooping tiers that widen downwards; b runs from -height (tip) to 0."""

    def outline(a: Array, b: Array) -> NDArray[np.bool_]:
        down = 1 + b / height
        tier = (down * 6.5) % 1.0
        jag = noise.fbm((a * 6 + shift).astype(np.float32), (b * 6).astype(np.float32), 0.0, 1.0, 2)
        inside: NDArray[np.bool_] = np.abs(a) < width / 2 * (down * 0.75 + 0.25 * tier * down + 0.14 * jag)
        return inside

    return outline


def add_fir(b: Builder, x: float, z: float, height: float, green: tuple[Vec, Vec]) -> None:
    """A conifer: three crossed cut-out cards around a trunk."""
    foot = b.ground(x, z)
    bark = mottled(b.noise, rgb("3a2a1e"), rgb("6b5038"), 12.0, 4.0)
    b.shapes.append(Rod(foot, plus(foot, (0.0, -height * 0.5, 0.0)), 0.03 * height, bark))
    needles = mottled(b.noise, green[0], green[1], 5.0, 1.6, 0.7)
    width, base = height * b.between(0.42, 0.55), plus(foot, (0.0, -0.12 * height, 0.0))
    for turn in (0.1, 1.15, -0.95):
        across = (math.cos(turn), 0.0, math.sin(turn))
        size = (-width * 0.62, width * 0.62, -height, 0.0)
        outline = fir(width, height, b.noise, b.between(0, 90))
        b.shapes.append(Card(base, across, (0.0, 1.0, 0.0), needles, size, outline))
    b.shadow(x, z, width * 0.5)


def add_branches(b: Builder, start: Vec, heading: Vec, length: float, radius: float, forks: int, bark: Paint) -> None:
    """A fractal of rods: each forks into two or three shorter, thinner ones."""
    end = plus(start, heading, length)
    b.shapes.append(Rod(start, end, radius, bark))
    if forks == 0:
        return
    for _ in range(3 if b.rng.random() < 0.35 else 2):
        wander = (b.between(-0.75, 0.75), b.between(-0.65, 0.4), b.between(-0.45, 0.45))
        child = unit(plus(heading, wander))
        add_branches(b, end, child, length * b.between(0.66, 0.86), max(radius * 0.66, 0.006), forks - 1, bark)


def add_bare_tree(b: Builder, x: float, z: float, height: float, forks: int = 5) -> None:
    """A leafless tree."""
    bark = mottled(b.noise, rgb("41342a"), rgb("94806c"), 10.0, 4.0)
    add_branches(b, b.ground(x, z), unit((b.between(-0.1, 0.1), -1.0, 0.0)), height * 0.3, height * 0.028, forks, bark)
    b.shadow(x, z, height * 0.12)


def add_leafy_tree(b: Builder, x: float, z: float, height: float, green: tuple[Vec, Vec]) -> None:
    """A trunk and a crown of leafy cut-out cards at several depths."""
    foot = b.ground(x, z)
    top = plus(foot, (0.0, -height * 0.62, 0.0))
    bark = mottled(b.noise, rgb("40301f"), rgb("8a7154"), 10.0, 4.0)
    b.shapes.append(Rod(foot, top, height * 0.035, bark))
    for side in (-0.55, 0.5):
        fork = plus(foot, (0.0, -height * 0.4, 0.0))
        b.shapes.append(Rod(fork, plus(top, (side * height * 0.4, 0.0, 0.0)), height * 0.018, bark))
    for k in range(9):
        tone = b.between(0.75, 1.15)
        leaves = mottled(b.noise, scaled(green[0], tone), scaled(green[1], tone), 7.0, 1.0, 0.75)
        radius = height * b.between(0.17, 0.26)
        where = (b.between(-0.27, 0.27) * height, b.between(-0.24, 0.14) * height, (k - 4) * 0.055 * height)
        across = unit((1.0, 0.0, b.between(-0.5, 0.5)))
        size = (-1.5 * radius, 1.5 * radius, -1.2 * radius, 1.2 * radius)
        outline = ragged_blob(b.noise, radius * 1.25, radius, b.between(0, 90), 0.05 * height * 0.6)
        b.shapes.append(Card(plus(top, where), across, (0.0, 1.0, 0.0), leaves, size, outline))
    b.shadow(x, z, height * 0.3)
