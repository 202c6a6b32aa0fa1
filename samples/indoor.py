"""Indoor worlds: a room with its furniture.

rng: random generator of the world. seed: chooses colours. b: the builder that collects shapes. x, z: places on the
floor, metres. turn: radians about the vertical. side: -1 = left, 1 = right. ceiling, back: y and z of the room's end,
metres. tones: two hexadecimal colours.
"""

from __future__ import annotations

import numpy as np

from samples.plants import add_branches
from samples.shapes import Ball, Card, Rod, box
from samples.textures import colours, courses, mottled, rgb, striped
from samples.vectors import level_axes, plus, scaled, unit
from samples.world import Builder, Light, World, new_builder


def indoor(rng: np.random.Generator, seed: int) -> World:
    """A room: table and chair, a full bookcase, a sofa or chest, lamp, rug, pictures on the wall."""
    b = new_builder(rng, 1.35, (0.0, 0.0))
    lamp = unit((b.between(-0.4, 0.4), -0.8, -0.7))
    light = Light((1.0,) * 3, rgb("cbbfae"), (1.0,) * 3, (0.42, 0.38, 0.3), (0.74, 0.73, 0.72), lamp, 60.0, 0.0, 0.06)
    back, half, ceiling = b.between(5.6, 6.8), b.between(2.3, 2.8), -1.25
    floor = courses(b.noise, rgb("6e4a2c"), rgb("b0824e"), rgb("3c2615"), 1.4, 0.15)
    tint = colours(("a9b8a4 c6d0bd", "9fb0c0 c2ced8", "c8b48c e0d0a8", "b4a4a0 d6c6be")[seed % 4])
    paper = striped(b.noise, tint[0], tint[1], 0.22)
    plaster = mottled(b.noise, rgb("cfcac0"), rgb("efece4"), 1.5, 1.0, 0.4)
    x_axis, y_axis, z_axis = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    b.shapes.append(Card((0.0, b.height, 0.0), x_axis, z_axis, floor))
    b.shapes.append(Card((0.0, 0.0, back), x_axis, y_axis, paper))
    b.shapes.append(Card((0.0, ceiling, 0.0), x_axis, z_axis, plaster))
    b.shapes.extend(Card((s * half, 0.0, 0.0), z_axis, y_axis, paper) for s in (-1.0, 1.0))
    side = float(rng.choice([-1.0, 1.0]))
    add_bookcase(b, side * (half - 0.75), back - 0.2)
    add_pictures(b, -side, back)
    add_table(b, -side * b.between(0.5, 0.8), b.between(3.5, 4.0), b.between(-0.4, 0.4), -side)
    add_lamp(b, -side * (half - 0.5), back - 0.6, ceiling)
    cloth = ("8a3f34 b86a58", "5c4a2f a08a5c", "2f4a5c 6a8a9c", "3a5238 7a9670", "4a2f3a 8a5c6a")[seed % 5]
    add_sofa(b, side * b.between(1.15, 1.4), b.between(4.3, 4.7), -side * b.between(0.4, 0.7), cloth)
    rug = striped(b.noise, rgb("8a3030"), rgb("d8b078"), 0.5)
    b.shapes.append(Card(plus(b.ground(0.0, 3.6), (0.0, -0.01, 0.0)), x_axis, z_axis, rug, (-1.3, 1.3, -0.9, 0.9)))
    return World(b.shapes, light, b.noise, b.shadows)


def add_bookcase(b: Builder, x: float, z: float) -> None:
    """Four shelves of books of random colour, height and thickness."""
    wood = mottled(b.noise, rgb("5a3c24"), rgb("8a6440"), 5.0, 6.0)
    foot = b.ground(x, z)
    b.shapes.append(box(plus(foot, (0.0, 0.0, 0.15)), 1.3, 2.1, 0.05, 0.0, wood))
    b.shapes.extend(box(plus(foot, (s * 0.65, 0.0, 0.0)), 0.05, 2.1, 0.32, 0.0, wood) for s in (-1.0, 1.0))
    for level in (0.08, 0.56, 1.04, 1.52, 2.1):
        b.shapes.append(box(plus(foot, (0.0, -level + 0.04, 0.0)), 1.3, 0.04, 0.34, 0.0, wood))
    dyes = colours("b0402f 2f5a8a 3f7a4a d0a848 6a4a7a c8c0ac")
    covers = [mottled(b.noise, scaled(dye, 0.7), dye, 14.0, 3.0) for dye in dyes]
    for level in (0.08, 0.56, 1.04, 1.52):
        at = -0.6
        while at < 0.52:
            thick = b.between(0.05, 0.11)
            cover = covers[int(b.rng.integers(len(covers)))]
            spot = plus(foot, (at + thick / 2, -level, b.between(-0.08, 0.0)))
            b.shapes.append(box(spot, thick * 0.93, b.between(0.26, 0.38), 0.2, 0.0, cover))
            at += thick if b.rng.random() < 0.9 else 0.16
    b.shadow(x, z, 0.7)


def add_table(b: Builder, x: float, z: float, turn: float, side: float) -> None:
    """A table with a vase of twigs, an orange and a book; a chair at its left (side -1) or right end."""
    wood = courses(b.noise, rgb("8a5c34"), rgb("c08e5a"), rgb("4a2f18"), 2.0, 0.18)
    leg = mottled(b.noise, rgb("6a4426"), rgb("946a40"), 8.0, 4.0)
    foot = b.ground(x, z)
    right, away = level_axes(turn)
    b.shapes.append(box(plus(foot, (0.0, -0.7, 0.0)), 1.3, 0.05, 0.8, turn, wood))
    for s, t in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        post = plus(plus(foot, right, 0.58 * s), away, 0.33 * t)
        b.shapes.append(Rod(post, plus(post, (0.0, -0.68, 0.0)), 0.035, leg))
    top = plus(foot, (0.0, -0.75, 0.0))
    clay = striped(b.noise, rgb("2f5f7a"), rgb("d8d0c0"), 0.16)
    vase = plus(top, right, -0.3)
    b.shapes.append(Ball(plus(vase, (0.0, -0.14, 0.0)), 0.15, clay))
    twig = mottled(b.noise, rgb("4a3a24"), rgb("6d7a3c"), 20.0)
    for lean in (-0.3, 0.0, 0.35):
        heading = unit((lean, -1.0, b.between(-0.2, 0.2)))
        add_branches(b, plus(vase, (0.0, -0.24, 0.0)), heading, 0.2, 0.011, 3, twig)
    peel = mottled(b.noise, rgb("b5451f"), rgb("e8963a"), 12.0)
    b.shapes.append(Ball(plus(plus(top, right, 0.3), (0.0, -0.09, 0.0)), 0.09, peel))
    book = mottled(b.noise, rgb("6a2430"), rgb("a0404c"), 10.0)
    b.shapes.append(box(plus(top, right, 0.05), 0.26, 0.05, 0.2, turn + 0.4, book))
    seat = plus(plus(foot, right, 0.95 * side), away, -0.1)
    b.shapes.append(box(plus(seat, (0.0, -0.42, 0.0)), 0.42, 0.04, 0.42, turn, leg))
    for s, t, tall in ((-1, -1, 0.42), (-1, 1, 0.95), (1, -1, 0.42), (1, 1, 0.95)):
        post = plus(plus(seat, right, 0.18 * s), away, 0.18 * t)
        b.shapes.append(Rod(post, plus(post, (0.0, -tall, 0.0)), 0.02, leg))
    rail = plus(plus(seat, away, 0.18), (0.0, -0.72, 0.0))
    b.shapes.append(box(rail, 0.36, 0.2, 0.02, turn, leg))
    b.shadow(x, z, 0.6)


def add_sofa(b: Builder, x: float, z: float, turn: float, tones: str) -> None:
    """Seat, back, two arms and a cushion, in woven cloth."""
    tone = colours(tones)
    cloth = courses(b.noise, tone[0], tone[1], scaled(tone[0], 0.8), 0.05, 0.05)
    seat = courses(b.noise, scaled(tone[0], 1.25), scaled(tone[1], 1.25), tone[0], 0.05, 0.05)
    foot = b.ground(x, z)
    right, away = level_axes(turn)
    b.shapes.append(box(foot, 1.3, 0.3, 0.7, turn, cloth))
    for half in (-0.31, 0.31):
        b.shapes.append(box(plus(plus(foot, right, half), (0.0, -0.3, 0.0)), 0.6, 0.14, 0.72, turn, seat))
    b.shapes.append(box(plus(foot, away, 0.33), 1.3, 0.85, 0.2, turn, cloth))
    b.shapes.extend(box(plus(foot, right, s * 0.7), 0.18, 0.6, 0.75, turn, cloth) for s in (-1.0, 1.0))
    pillow = courses(b.noise, rgb("d0883a"), rgb("e8c070"), rgb("8a3a2a"), 0.12, 0.12)
    b.shapes.append(box(plus(plus(foot, right, -0.35), (0.0, -0.44, 0.0)), 0.36, 0.34, 0.14, turn + 0.5, pillow))
    b.shadow(x, z, 0.8)


def add_lamp(b: Builder, x: float, z: float, ceiling: float) -> None:
    """A floor lamp, and a pendant on a thin cord."""
    metal = mottled(b.noise, rgb("2c2a28"), rgb("5a5650"), 9.0)
    glow = mottled(b.noise, rgb("f4dca0"), rgb("fff4d6"), 6.0)
    foot = b.ground(x, z)
    b.shapes.append(Rod(foot, plus(foot, (0.0, -1.5, 0.0)), 0.02, metal))
    b.shapes.append(Ball(plus(foot, (0.0, -1.6, 0.0)), 0.2, glow))
    cord = (b.between(-0.5, 0.5), ceiling, 3.4)
    b.shapes.append(Rod(cord, plus(cord, (0.0, 0.45, 0.0)), 0.008, metal))
    b.shapes.append(Ball(plus(cord, (0.0, 0.52, 0.0)), 0.12, glow))


def add_pictures(b: Builder, side: float, back: float) -> None:
    """Two framed landscapes on the back wall."""
    frame = mottled(b.noise, rgb("3a2a1c"), rgb("6a5034"), 9.0)
    for x, y, half, tones in ((0.25, -0.35, 0.42, "3a6a8a d8c890"), (1.3, -0.2, 0.28, "8a4a3a e0d0a0")):
        low, high = colours(tones)
        at = (side * x, y, back - 0.04)
        b.shapes.append(box(plus(at, (0.0, half * 0.8, 0.0)), 2 * half, 1.6 * half, 0.05, 0.0, frame))
        art = mottled(b.noise, low, high, 2.5, 0.4, 0.9)
        size = (-0.85 * half, 0.85 * half, -0.65 * half, 0.65 * half)
        b.shapes.append(Card(plus(at, (0.0, 0.0, -0.03)), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), art, size))
