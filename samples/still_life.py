"""Still lifes: objects of any shape, size and texture before a backdrop, on a table or in the air.

In rooms and landscapes what lies lower is nearer. Here nothing tells depth but occlusion, texture gradients and
shading. Photographs are among the textures, as on boxes, books and posters.

rng: random generator of the world. b: the builder that collects shapes. pictures: textures, HxWx3 uint8. at: the middle
of an object, metres. size: metres. distance: of the backdrop, metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from samples.shapes import Ball, Card, Outline, Rod, Shape, Solid, box, rotated
from samples.textures import Paint, courses, mottled, printed, striped
from samples.vectors import RIGHT, Array, Vec, cross, dot, level_axes, plus, scaled, unit
from samples.world import Builder, Light, World, new_builder

Pictures = Sequence[NDArray[np.uint8]]
SIDES = 12  # of a cone


def still_life(rng: np.random.Generator, pictures: Pictures) -> World:
    """A backdrop, and before it objects on a table, slanted posters, or objects in the air."""
    b = new_builder(rng, float(rng.uniform(0.35, 1.1)), (0.0, 0.0))
    towards = unit((b.between(-1, 1), b.between(-1, 0.3), -b.between(0.3, 1)))
    strength = b.between(0.15, 0.7)
    light = Light(
        (1.0,) * 3, (0.7,) * 3, (1.0,) * 3, (strength,) * 3, (b.between(0.5, 0.8),) * 3, towards, 80.0, 0.0, 0.1
    )
    distance = b.between(3.2, 6.5)
    add_backdrop(b, distance, pictures)
    arrangement = rng.choice(["table", "posters", "air"], p=[0.5, 0.2, 0.3])
    if arrangement == "table":
        add_table(b, distance, pictures)
    elif arrangement == "posters":
        for _ in range(int(rng.integers(2, 6))):
            add_poster(b, (b.between(-1.4, 1.4), b.between(-1.1, 1.1), b.between(2.2, distance - 0.4)), pictures)
    else:
        for _ in range(int(rng.integers(4, 14))):
            z = b.between(2.2, distance - 0.3)
            add_object(b, (b.between(-0.5, 0.5) * z, b.between(-0.4, 0.4) * z, z), b.between(0.06, 0.2) * z, pictures)
    pitch = b.between(-0.1, 0.45) if arrangement == "table" else b.between(-0.2, 0.2)  # radians, downwards
    shapes = [rotated(shape, RIGHT, pitch, (0.0, 0.0, distance / 2)) for shape in b.shapes]
    return World(shapes, light, b.noise, [])


def add_backdrop(b: Builder, distance: float, pictures: Pictures) -> None:
    """A wall that is turned a little, at times with a second one that meets it in a corner."""
    turn = b.between(-0.5, 0.5)
    across, away = level_axes(turn)
    b.shapes.append(Card((0.0, 0.0, distance), across, (0.0, 1.0, 0.0), any_paint(b, pictures, 3.0)))
    if b.rng.random() < 0.3:
        corner = (float(b.rng.choice([-1.0, 1.0])) * b.between(0.8, 1.8), 0.0, distance)
        b.shapes.append(Card(corner, away, (0.0, 1.0, 0.0), any_paint(b, pictures, 3.0)))


def add_table(b: Builder, distance: float, pictures: Pictures) -> None:
    """A table up to the backdrop, and objects that stand on it, some of them on a plinth."""
    b.shapes.append(Card((0.0, b.height, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), any_paint(b, pictures, 1.5)))
    for _ in range(int(b.rng.integers(3, 11))):
        z = b.between(2.2, distance - 0.3)
        x, size = b.between(-0.55, 0.55) * z, b.between(0.05, 0.17) * z
        lift = b.between(0.0, 0.7) if b.rng.random() < 0.25 else 0.0
        if lift:
            b.shapes.append(_block(b, (x, b.height - lift / 2, z), (size * 1.4, lift / 2, size * 1.2), pictures))
        add_object(b, (x, b.height - lift - size, z), size, pictures)


def add_object(b: Builder, at: Vec, size: float, pictures: Pictures) -> None:
    """A ball, a block, a cone, a pot, a stick or a card. size: half of its height."""
    paint = any_paint(b, pictures, size * 2)
    kinds: list[Callable[[], Shape]] = [
        lambda: Ball(at, size, paint),
        lambda: _block(b, at, (size * b.between(0.3, 1.6), size, size * b.between(0.3, 1.2)), pictures),
        lambda: _tumbled_block(b, at, (size * b.between(0.3, 1.2), size, size * b.between(0.2, 0.8)), pictures),
        lambda: _cone(at, size, b.between(0.3, 0.9) * size, 0.0, paint),
        lambda: _cone(at, size, b.between(0.4, 1.0) * size, b.between(0.4, 1.0) * size, paint),
        lambda: Rod(at, plus(at, _direction(b), size * 3), size * b.between(0.03, 0.2), paint),
        lambda: _card(b, at, size, paint),
    ]
    b.shapes.append(kinds[int(b.rng.integers(len(kinds)))]())


def add_poster(b: Builder, at: Vec, pictures: Pictures) -> None:
    """A large slanted card with a picture on it, whole or cut."""
    b.shapes.append(_card(b, at, b.between(0.5, 1.1), any_paint(b, pictures, 1.5, 0.8)))


def any_paint(b: Builder, pictures: Pictures, size: float, share: float = 0.5) -> Paint:
    """A random texture. size: of what has it. share: of textures that are pictures, where there are any."""
    if len(pictures) and b.rng.random() < share:
        picture = pictures[int(b.rng.integers(len(pictures)))]
        return printed(picture, size * b.between(0.5, 2.0), (b.between(0, 5), b.between(0, 5)))
    low, high, joint = (any_colour(b) for _ in range(3))
    if b.rng.random() < 0.3:  # of one colour, nearly
        low, high = high, scaled(high, b.between(0.8, 0.95))
    width = size * b.between(0.1, 0.8)
    paints = (
        mottled(b.noise, low, high, b.between(0.5, 6.0) / size, b.between(0.3, 4.0), b.between(0.1, 0.9)),
        striped(b.noise, low, high, width),
        courses(b.noise, low, high, joint, width, width * b.between(0.2, 1.0)),
    )
    return paints[int(b.rng.integers(len(paints)))]


def any_colour(b: Builder) -> Vec:
    """A random colour."""
    value, chroma = b.between(0.15, 1.0), b.between(0.0, 0.8)
    red, green, blue = (value * (1 - chroma * b.between(0, 1)) for _ in range(3))
    return red, green, blue


def _direction(b: Builder) -> Vec:
    x, y, z = b.rng.normal(size=3).tolist()
    return unit((x, y, z))


def _block(b: Builder, at: Vec, half: Vec, pictures: Pictures) -> Solid:
    """An upright box about its middle, turned about the vertical. half: its sides."""
    turn, paint = b.between(-math.pi, math.pi), any_paint(b, pictures, 2 * max(half))
    return box(plus(at, (0.0, half[1], 0.0)), 2 * half[0], 2 * half[1], 2 * half[2], turn, paint)


def _tumbled_block(b: Builder, at: Vec, half: Vec, pictures: Pictures) -> Solid:
    """A box about its middle, turned about any axis. half: its sides."""
    x = _direction(b)
    z = unit(cross(x, _direction(b)))
    faces = tuple(
        (scaled(axis, sign), side) for axis, side in zip((x, cross(z, x), z), half, strict=True) for sign in (1.0, -1.0)
    )
    return Solid(at, faces, math.hypot(*half), any_paint(b, pictures, 2 * max(half)))


def _cone(at: Vec, half: float, bottom: float, top: float, paint: Paint) -> Solid:
    """An upright cone, cut off where `top` is not 0. half: of its height. bottom, top: radii at its ends."""
    tilt = math.hypot(2 * half, bottom - top)
    faces = [((0.0, 1.0, 0.0), half), ((0.0, -1.0, 0.0), half)]
    for number in range(SIDES):
        angle = 2 * math.pi * number / SIDES
        level = 2 * half / tilt
        normal = (math.cos(angle) * level, (top - bottom) / tilt, math.sin(angle) * level)
        faces.append((normal, dot(normal, (math.cos(angle) * bottom, half, math.sin(angle) * bottom))))
    return Solid(at, tuple(faces), math.hypot(half, max(bottom, top)) * 1.1, paint)


def _card(b: Builder, at: Vec, size: float, paint: Paint) -> Card:
    """A slanted card: a rectangle, an ellipse, or one with a jagged edge."""
    across = unit((1.0, b.between(-0.4, 0.4), b.between(-0.8, 0.8)))
    lean = unit((b.between(-0.4, 0.4), 1.0, b.between(-1.0, 0.2)))  # what leans stands on its nearer side
    down = unit(plus(lean, across, -dot(lean, across)))
    half = size * b.between(0.5, 1.8)
    outlines: tuple[Outline | None, ...] = (None, ellipse(half, size), _jagged(b, half, size))
    return Card(at, across, down, paint, (-half, half, -size, size), outlines[int(b.rng.integers(3))])


def ellipse(half: float, size: float) -> Outline:
    """An ellipse. half, size: its radii, metres."""
    return lambda a, b: (a / half) ** 2 + (b / size) ** 2 <= 1


def _jagged(b: Builder, half: float, size: float) -> Outline:
    teeth, depth = b.between(1.0, 6.0) / half, b.between(0.3, 1.5)

    def belongs(across: Array, down: Array) -> NDArray[np.bool_]:
        tooth = np.abs((across * teeth) % 2 - 1)
        return np.asarray(down > size * (depth * tooth - 1))

    return belongs
