"""Outdoor worlds: hills, a meadow with a path, and what stands on it.

rng: random generator of the world. seed: chooses day and landmarks. b: the builder that collects shapes. x, z, x0,
z0, x1, z1: places on its ground, metres. sky: whether there is one. size: of a hut, metres. turn: radians about the
vertical. wall, roof, wood: paints.
green, tones: two colours each. frequency, shift: of the noise of a ridge, 1/m and metres.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from samples.plants import add_bare_tree, add_branches, add_fir, add_leafy_tree
from samples.shapes import Ball, Card, Outline, Rod, box, gable
from samples.textures import Noise, Paint, colours, courses, meadow, mottled, rgb, striped
from samples.vectors import Array, Vec, plus, scaled, unit
from samples.world import Builder, Light, World, new_builder

DAYS: tuple[dict[str, str], ...] = (
    {  # summer noon
        "sky": "3f7fc4 bcd8ea ffffff", "sun": "7a7568", "shade": "7d8796", "ground": "39551f 8f9f4a", "path": "b09a78",
        "hill": "4d6340 6f8458", "green": "1d3a17 5c7d33",
    },
    {  # sunset
        "sky": "4a5a94 f4b183 ffd9b0", "sun": "96643c", "shade": "70676f", "ground": "4a4a24 9a8446", "path": "a5836a",
        "hill": "4f4a5c 7d6b70", "green": "242e1c 6b6b34",
    },
    {  # autumn
        "sky": "5b8fc0 d9e1e0 f7f4ee", "sun": "857356", "shade": "7c8086", "ground": "6a5a28 b09a52", "path": "94785a",
        "hill": "6e5138 a2703f", "green": "8a3a14 e09a34",
    },
    {  # desert
        "sky": "4a86bd e6dcc4 fffaf0", "sun": "85745c", "shade": "837c76", "ground": "a87848 dcb27c", "path": "c8a27a",
        "hill": "9a5a3c c88a60", "green": "4a5a2e 8c9a58",
    },
    {  # winter
        "sky": "7ba3cc e3ebf2 ffffff", "sun": "6e6a62", "shade": "8a919e", "ground": "bcc8d6 f6f8fb", "path": "8f8478",
        "hill": "6c7c92 dfe6ee", "green": "22382c 7d9a88",
    },
    {  # late afternoon
        "sky": "5a88b8 efd9b8 fff0da", "sun": "8f7b52", "shade": "6c7680", "ground": "3f5a24 a3a04c", "path": "b49a74",
        "hill": "52684c 8a9064", "green": "2b4519 84923a",
    },
)  # fmt: skip


def outdoor(rng: np.random.Generator, seed: int, sky: bool) -> World:
    """Hills, a meadow with a path, trees, a hut, boulders, a fence or a power line, and a twig close by."""
    day = DAYS[seed % len(DAYS)]
    light = daylight(rng, day)
    slope = (float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.02, 0.01)))
    b = new_builder(rng, float(rng.uniform(1.25, 1.6)), slope)
    noise = b.noise
    low, high = colours(day["ground"])
    grass = meadow(noise, low, high, rgb(day["path"]), b.between(0.5, 1.0) * float(rng.choice([-1.0, 1.0])))
    b.shapes.append(Card((0.0, b.height, 0.0), (1.0, b.slope[0], 0.0), (0.0, b.slope[1], 1.0), grass))
    add_hills(b, colours(day["hill"]), sky)
    green_low, green_high = colours(day["green"])
    add_landmarks(b, seed, (green_low, green_high))
    add_boulders(b, seed)
    return World(b.shapes, light, noise, b.shadows)


def daylight(rng: np.random.Generator, day: dict[str, str]) -> Light:
    """The light of a day, with the sun somewhere behind or beside us."""
    zenith, horizon, cloud = colours(day["sky"])
    aside = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.5, 1.1))
    towards = unit((aside, -0.75, -float(rng.uniform(0.3, 0.9))))
    sun, shade_ = scaled(rgb(day["sun"]), 1.75), scaled(rgb(day["shade"]), 1.25)
    return Light(zenith, horizon, cloud, sun, shade_, towards, 90.0, float(rng.uniform(0.05, 0.4)))


def add_hills(b: Builder, tones: list[Vec], sky: bool) -> None:
    """Two or three ridges, the farther the higher; without sky a wooded slope that fills the view."""
    for z, base, swing in ((70.0, 9.0, 6.0), (45.0, 4.0, 2.6), (30.0, 1.6, 1.2)):
        fade = b.between(0.9, 1.1)
        rock = mottled(b.noise, scaled(tones[0], fade), scaled(tones[1], fade), 0.16 * 70 / z, 1.0, 0.7)
        across = unit((1.0, 0.0, b.between(-0.25, 0.25)))
        origin = b.ground(0.0, z)
        outline = ridge(b.noise, base + b.between(-0.5, 1.0), swing, 2.2 / z, b.between(0, 200))
        size = (-150.0, 150.0, -base - 1 - 2.1 * swing, 3.0)
        b.shapes.append(Card(origin, across, (0.0, 1.0, 0.0), rock, size, outline))
    if not sky:
        slope = unit((0.0, 1.0, -0.35))
        wood = mottled(b.noise, scaled(tones[0], 0.8), tones[1], 0.5, 1.0, 0.8)
        b.shapes.append(Card(b.ground(0.0, 26.0), (1.0, 0.0, 0.0), slope, wood, (-90.0, 90.0, -90.0, 4.0)))


def ridge(noise: Noise, base: float, swing: float, frequency: float, shift: float) -> Outline:
    """A mountain skyline over a: everything below -(base + swing * noise) in b."""

    at = np.linspace(-150, 150, 6001)
    wave = noise.fbm((at + shift).astype(np.float32), np.full(at.shape, shift, np.float32), 0.0, frequency, 6, 0.48)
    line = base + swing * wave.astype(np.float64)

    def outline(a: Array, b: Array) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = b > -np.interp(a, at, line)
        return inside

    return outline


def add_landmarks(b: Builder, seed: int, green: tuple[Vec, Vec]) -> None:
    """What the picture is of: a different set for each of four kinds of seed."""
    side = 1.0 if (seed // 2 + seed // 12) % 2 else -1.0
    wood = mottled(b.noise, rgb("6b5844"), rgb("a08a70"), 9.0, 5.0)
    walls = (
        courses(b.noise, rgb("8d4f3c"), rgb("b8775c"), rgb("c9bfae"), 0.5, 0.22),
        courses(b.noise, rgb("6d4a30"), rgb("96704a"), rgb("3a2618"), 6.0, 0.24),
        mottled(b.noise, rgb("cfc3a8"), rgb("f2ead6"), 2.0),
    )
    roof = courses(b.noise, rgb("6a3a30"), rgb("a35c48"), rgb("4a2a24"), 0.4, 0.28)
    slate = courses(b.noise, rgb("4a5058"), rgb("757d86"), rgb("33373c"), 0.4, 0.28)
    choice = seed % 4
    if choice in (0, 2):
        turn = side * b.between(0.25, 0.6)
        cover = roof if seed % 3 else slate
        add_hut(b, side * b.between(1.8, 2.8), b.between(10.0, 12.0), 3.0, turn, walls[seed % 3], cover)
    if choice in (0, 1):
        add_leafy_tree(b, -side * b.between(1.8, 2.6), b.between(7.0, 9.0), b.between(3.8, 4.6), green)
    if choice == 1:
        add_power_line(b, side * 2.0, 6.0, side * 5.0, 26.0)
    if choice == 2:
        add_bare_tree(b, -side * b.between(1.5, 2.0), b.between(5.5, 6.5), 4.2, 6)
    if choice == 3:
        add_bare_tree(b, side * b.between(1.0, 1.6), b.between(5.0, 6.0), 3.6)
        add_power_line(b, -side * 3.2, 7.0, -side * 1.5, 26.0)
    for _ in range(7):
        z = b.between(9.0, 24.0)
        x = -side * b.between(0.02, 0.5) * z if choice in (0, 2) else b.between(-0.5, 0.5) * z
        add_fir(b, x, z, b.between(2.6, 5.0), green)
    add_fence(b, -side * 2.6, 4.2, -side * 1.5 + side * 4.0, b.between(9.0, 11.0), wood)
    if choice in (0, 3):
        twig = mottled(b.noise, rgb("2a211b"), rgb("6a5848"), 25.0, 4.0)
        heading = unit((side * 1.0, 0.35, 0.1))
        add_branches(b, (-side * 1.75, -1.05, 2.75), heading, 0.36, 0.022, 4, twig)


def add_hut(b: Builder, x: float, z: float, size: float, turn: float, wall: Paint, roof: Paint) -> None:
    """A small house: walls, gabled roof, chimney, door and two windows on the side that faces us."""
    foot, wide, tall, deep = b.ground(x, z), 1.5 * size, 0.8 * size, 1.1 * size
    foot = plus(foot, (0.0, 0.15, 0.0))
    b.shapes.append(box(foot, wide, tall, deep, turn, wall))
    eaves = plus(foot, (0.0, -tall, 0.0))
    b.shapes.append(gable(eaves, wide * 1.14, 0.62 * size, deep * 1.25, turn, roof))
    right, front = (math.cos(turn), 0.0, math.sin(turn)), (math.sin(turn), 0.0, -math.cos(turn))
    brick = courses(b.noise, rgb("8c5340"), rgb("b57a5f"), rgb("5d4a42"), 0.18, 0.08)
    stack = plus(plus(eaves, right, 0.4 * wide), (0.0, -0.1 * size, 0.0))
    b.shapes.append(box(stack, 0.16 * size, 0.75 * size, 0.16 * size, turn, brick))
    face = plus(foot, front, deep / 2 + 0.015 * size)
    wood = courses(b.noise, rgb("4a2f20"), rgb("6e4a30"), rgb("2a1a12"), 5.0, 0.09 * size)
    glass = mottled(b.noise, rgb("26333d"), rgb("6f8797"), 0.8, 1.0)
    frame = mottled(b.noise, rgb("d8d2c4"), rgb("f0ebe0"), 6.0, 1.0)
    b.shapes.append(Card(face, right, (0.0, 1.0, 0.0), wood, (-0.14 * size, 0.14 * size, -0.58 * size, 0.0)))
    for side in (-0.45, 0.45):
        at = plus(plus(face, right, side * size), (0.0, -0.42 * size, 0.0))
        half = 0.15 * size
        b.shapes.append(Card(at, right, (0.0, 1.0, 0.0), frame, (-half, half, -half, half)))
        for pane in (-0.5, 0.5):
            lifted = plus(plus(at, front, 0.01 * size), right, pane * half)
            pane_size = (-0.4 * half, 0.4 * half, -0.85 * half, 0.85 * half)
            b.shapes.append(Card(lifted, right, (0.0, 1.0, 0.0), glass, pane_size))
    b.shadow(x, z, 0.85 * size)


def add_fence(b: Builder, x0: float, z0: float, x1: float, z1: float, wood: Paint) -> None:
    """Posts with two rails."""
    count = max(3, round(math.hypot(x1 - x0, z1 - z0) / 1.1))
    feet = [b.ground(x0 + (x1 - x0) * k / count, z0 + (z1 - z0) * k / count) for k in range(count + 1)]
    b.shapes.extend(Rod(foot, plus(foot, (0.0, -0.75, 0.0)), 0.045, wood) for foot in feet)
    for near, far in pairwise(feet):
        b.shapes.extend(Rod(plus(near, (0.0, -h, 0.0)), plus(far, (0.0, -h, 0.0)), 0.025, wood) for h in (0.35, 0.65))


def add_power_line(b: Builder, x0: float, z0: float, x1: float, z1: float) -> None:
    """Poles with cross-arms and sagging wires."""
    wood = mottled(b.noise, rgb("4b3d31"), rgb("7d6a58"), 8.0, 5.0)
    wire = mottled(b.noise, rgb("22252a"), rgb("3a3e44"), 5.0)
    feet = [b.ground(x0 + (x1 - x0) * k / 3, z0 + (z1 - z0) * k / 3) for k in range(4)]
    for foot in feet:
        b.shapes.append(Rod(foot, plus(foot, (0.0, -4.2, 0.0)), 0.07, wood))
        b.shapes.append(Rod(plus(foot, (-0.6, -3.9, 0.0)), plus(foot, (0.6, -3.9, 0.0)), 0.045, wood))
    for near, far in pairwise(feet):
        for side in (-0.55, 0.55):
            knots = [sag(plus(near, (side, -3.97, 0.0)), plus(far, (side, -3.97, 0.0)), k / 8, 0.35) for k in range(9)]
            b.shapes.extend(Rod(p, q, 0.012, wire) for p, q in pairwise(knots))


def sag(start: Vec, end: Vec, share: float, depth: float) -> Vec:
    """The point at `share`, in [0, 1], of a wire hung from start to end, which sags by `depth` metres in the middle."""
    return plus(plus(start, plus(end, start, -1), share), (0.0, 4 * depth * share * (1 - share), 0.0))


def add_boulders(b: Builder, seed: int) -> None:
    """Boulders, and by seed a striped ball or a stack of crates, in the near field."""
    side = 1.0 if (seed + seed // 12) % 2 else -1.0
    stone = mottled(b.noise, rgb("5a5752"), rgb("b5b0a6"), 3.0, 1.0, 0.7)
    for _ in range(4):
        radius, z = b.between(0.2, 0.5), b.between(4.2, 8.0)
        x = b.between(-0.45, 0.45) * z
        b.shapes.append(Ball(plus(b.ground(x, z), (0.0, -0.35 * radius, 0.0)), radius, stone))
        b.shadow(x, z, radius)
    if seed % 3 == 0:
        skin = striped(b.noise, rgb("d23c32"), rgb("f4efe2"), 0.3)
        x, z = side * b.between(0.6, 1.1), b.between(3.9, 4.5)
        b.shapes.append(Ball(plus(b.ground(x, z), (0.0, -0.36, 0.0)), 0.36, skin))
        b.shadow(x, z, 0.36)
    if seed % 3 == 1:
        plank = courses(b.noise, rgb("9a7448"), rgb("c9a06a"), rgb("4a3420"), 3.0, 0.14)
        x, z, turn = side * b.between(0.9, 1.3), b.between(4.2, 4.8), b.between(-0.6, 0.6)
        b.shapes.append(box(b.ground(x, z), 0.75, 0.6, 0.6, turn, plank))
        b.shapes.append(box(plus(b.ground(x, z), (0.08, -0.6, 0.05)), 0.5, 0.42, 0.45, turn + 0.5, plank))
        b.shadow(x, z, 0.5)
