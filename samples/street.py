"""Streets: a road between houses or trees, with cars, people, poles and signs, by day, night, snow and fog.

rng: random generator of the world. b: the builder that collects shapes. pictures: textures of some of the walls,
HxWx3 uint8. x, z: places on the road, metres; the road runs along z. half: of its width, metres. side: -1 = left, 1 =
right. length: along the road, metres. turn: radians about the vertical. green: two colours of leaves. snow: whether it
lies.
"""

from __future__ import annotations

import math

import numpy as np

from samples.outdoor import DAYS, add_hills, daylight
from samples.plants import add_bare_tree, add_fir, add_leafy_tree
from samples.shapes import Ball, Card, Rod, box, gable, rotated
from samples.still_life import Pictures, any_colour, ellipse
from samples.textures import Colours, Noise, Paint, colours, courses, mix, mottled, printed, rgb
from samples.vectors import UP, Vec, level_axes, plus, rotated_point, scaled, unit
from samples.world import Builder, Light, World, new_builder

FARTHEST = 70.0  # metres, of what stands at the road
SNOW = rgb("c8d0da"), rgb("f4f6f8")
BEYOND = ("4a5a2e 8c9a58", "6a6660 9a948c", "5a4a38 8a7a60")
WALLS = ("8d4f3c b8775c", "cfc3a8 f2ead6", "8a8f94 b4b8bc", "b09a70 d8c49a", "6a7a84 93a3ac")
SIGNS = ("b02020 d84040", "2040a0 4060c8", "d8c020 f0d840")
MOST_TURN = 0.4  # radians, from the road


def street(rng: np.random.Generator, pictures: Pictures) -> World:
    """A street, looked along or a little across."""
    slope = (float(rng.uniform(-0.02, 0.02)), float(rng.uniform(-0.04, 0.03)))
    b = new_builder(rng, float(rng.uniform(1.2, 2.4)), slope)
    day = DAYS[int(rng.integers(len(DAYS)))]
    weather = str(rng.choice(["clear", "night", "snow", "fog"], p=[0.64, 0.12, 0.12, 0.12]))
    half = b.between(2.5, 6.0)
    add_road(b, half, weather == "snow")
    for side in (-1.0, 1.0):
        add_side(b, side, half, _pair(day["green"]), pictures, weather == "snow")
    for _ in range(int(rng.integers(0, 5))):
        add_car(b, b.between(-0.7, 0.7) * half, b.between(6.0, 45.0), b.between(-0.1, 0.1))
    for _ in range(int(rng.integers(0, 5))):
        add_person(b, b.between(-1.5, 1.5) * half, b.between(3.5, 25.0))
    if rng.random() < 0.5:
        add_hills(b, colours(day["hill"]), True)
    turn = b.between(-MOST_TURN, MOST_TURN)
    shapes = [rotated(shape, UP, turn, (0.0, 0.0, 0.0)) for shape in b.shapes]
    shadows = []
    for x, z, radius in b.shadows:
        at = rotated_point((x, 0.0, z), UP, turn)
        shadows.append((at[0], at[2], radius))
    return World(shapes, _light(rng, day, weather), b.noise, shadows)


def _light(rng: np.random.Generator, day: dict[str, str], weather: str) -> Light:
    light = daylight(rng, day)
    overcast = float(rng.uniform(0.0, 1.0))
    sun, shade, visibility = scaled(light.sun, 1 - overcast), light.shade, 250.0
    zenith, horizon, cloud = light.zenith, light.horizon, light.cloud
    if weather == "night":
        sun, shade = scaled(sun, 0.1), scaled(shade, float(rng.uniform(0.2, 0.6)))
        zenith, horizon, cloud = (scaled(tone, 0.1) for tone in (zenith, horizon, cloud))
    if weather == "fog":
        visibility = float(rng.uniform(12.0, 50.0))
        zenith = cloud = horizon = (0.78, 0.79, 0.8)
    return Light(zenith, horizon, cloud, sun, shade, light.towards, visibility, light.cloudiness)


def add_road(b: Builder, half: float, snow: bool) -> None:
    """The ground: asphalt with lines, pavements, and what lies beyond."""
    beyond = SNOW if snow else _pair(BEYOND[int(b.rng.integers(len(BEYOND)))])
    tone = b.between(0.2, 0.55)
    asphalt = (scaled(SNOW[0], 0.8), SNOW[1]) if snow else ((tone * 0.85,) * 3, (tone * 1.15,) * 3)
    paint = _road(b.noise, half, b.between(1.0, 3.0), asphalt, beyond, bool(b.rng.random() < 0.7) and not snow)
    b.shapes.append(Card((0.0, b.height, 0.0), (1.0, b.slope[0], 0.0), (0.0, b.slope[1], 1.0), paint))


def _road(
    noise: Noise, half: float, pavement: float, asphalt: tuple[Vec, Vec], beyond: tuple[Vec, Vec], lines: bool
) -> Paint:
    """u is x on the road, v is z on it. pavement: its width. lines: whether there are any."""

    def paint(u: Colours, v: Colours, footprint: Colours) -> Colours:
        grain = noise.fbm(u, v, footprint, 0.6, 7, 0.8)
        colour = mix(*asphalt, 0.5 + 0.6 * grain)
        if lines:
            dashed = (np.abs(u) < 0.08 + footprint / 2) & (v % 9.0 < 4.0)
            edge = np.abs(np.abs(u) - 0.92 * half) < 0.06 + footprint / 2
            share = (0.8 * np.clip(0.14 / (0.14 + footprint), 0, 1) * (dashed | edge))[:, None]
            colour = colour * (1 - share) + np.float32(0.85) * share
        outer = np.abs(u) > half
        colour[outer] = mix(asphalt[1], scaled(asphalt[1], 1.4), 0.5 + 0.4 * grain[outer])
        outer = np.abs(u) > half + pavement
        colour[outer] = mix(beyond[0], beyond[1], 0.5 + 0.6 * grain[outer])
        return np.clip(colour, 0, 1).astype(np.float32)

    return paint


def add_side(b: Builder, side: float, half: float, green: tuple[Vec, Vec], pictures: Pictures, snow: bool) -> None:
    """What stands on one side of the road: a row of houses, of trees, or both; parked cars and poles before it."""
    houses, trees = b.between(-0.3, 1.2), b.between(-0.5, 0.8)  # shares
    distance, z = half + b.between(1.5, 6.0), b.between(3.0, 10.0)
    leaves = SNOW if snow else green
    while z < FARTHEST:
        length = b.between(6.0, 16.0)
        if b.rng.random() < houses:
            add_house(b, side, distance, z, length, pictures, snow)
        elif b.rng.random() < 0.5:
            hedge = mottled(b.noise, leaves[0], leaves[1], 3.0, 1.0, 0.8)
            at = b.ground(side * (distance + 1.0), z + length / 2)
            b.shapes.append(box(at, b.between(0.3, 3.0), b.between(0.6, 2.5), length, 0.0, hedge))
        if b.rng.random() < trees:
            add_tree(b, side * (half + b.between(0.5, 4.0)), z + b.between(1.0, 4.0), leaves)
        z += length + (0.0 if b.rng.random() < 0.5 else b.between(1.0, 8.0))
    parked, z = b.between(-0.3, 0.9), b.between(4.0, 12.0)
    while z < 40.0:
        if b.rng.random() < parked:
            add_car(b, side * (half - 1.0), z, b.between(-0.04, 0.04))
        z += b.between(5.0, 7.5)
    every, z = b.between(9.0, 35.0), b.between(4.0, 15.0)
    while z < FARTHEST:
        add_pole(b, side * (half + 0.4), z, side)
        z += every


def add_tree(b: Builder, x: float, z: float, green: tuple[Vec, Vec]) -> None:
    """A leafy tree, a bare one or a fir, of any height."""
    height = b.between(3.0, 10.0)
    kind = int(b.rng.integers(4))
    if kind == 0:
        add_bare_tree(b, x, z, height, 4)
    elif kind == 1:
        add_fir(b, x, z, height, green)
    else:
        add_leafy_tree(b, x, z, height, green)


def add_house(b: Builder, side: float, x: float, z: float, length: float, pictures: Pictures, snow: bool) -> None:
    """A house along the road, with windows or a printed wall, flat or under a roof. x: of its front."""
    height, depth = b.between(3.0, 14.0), b.between(6.0, 12.0)
    wall = _facade(b)
    if len(pictures) and b.rng.random() < 0.15:
        wall = printed(pictures[int(b.rng.integers(len(pictures)))], b.between(3.0, 10.0), (b.between(0, 3), 0.0))
    foot = plus(b.ground(side * (x + depth / 2), z + length / 2), (0.0, 0.5, 0.0))
    b.shapes.append(box(foot, depth, height + 0.5, length, 0.0, wall))
    if b.rng.random() < 0.5:
        red = rgb("6a3a30"), rgb("a35c48"), rgb("4a2a24")
        tiles = mottled(b.noise, SNOW[0], SNOW[1], 2.0) if snow else courses(b.noise, *red, 0.4, 0.28)
        along_road = 0.0 if b.rng.random() < 0.5 else math.pi / 2
        spans = (depth, length) if along_road == 0.0 else (length, depth)
        eaves = plus(foot, (0.0, -height - 0.5, 0.0))
        b.shapes.append(gable(eaves, spans[0] * 1.05, b.between(1.5, 4.0), spans[1] * 1.05, along_road, tiles))


def _facade(b: Builder) -> Paint:
    """A wall of brick or plaster with rows of windows."""
    low, high = _pair(WALLS[int(b.rng.integers(len(WALLS)))])
    brick = b.rng.random() < 0.4
    wall = courses(b.noise, low, high, rgb("c9bfae"), 0.5, 0.22) if brick else mottled(b.noise, low, high, 1, 1, 0.4)
    across, down, lit = b.between(1.6, 3.5), b.between(2.4, 3.4), b.between(0.0, 1.0) ** 3
    wide, tall = across * b.between(0.25, 0.7), down * b.between(0.35, 0.65)
    glass = colours("20282e 7088a0")

    def paint(u: Colours, v: Colours, footprint: Colours) -> Colours:
        colour = wall(u, v, footprint)
        column, row = np.floor(u / across), np.floor(v / down)
        inside = (u - column * across < wide) & (v - row * down < tall)
        tone = b.noise.once(column[inside] * 5.0 + 0.5, row[inside] * 7.0 + 0.5)
        colour[inside] = mix(glass[0], glass[1], 0.5 + 0.6 * tone)
        bright = np.flatnonzero(inside)[tone > 1 - 2 * lit]
        colour[bright] = np.asarray((1.6, 1.3, 0.8), np.float32)
        return colour

    return paint


def add_car(b: Builder, x: float, z: float, turn: float) -> None:
    """A car or a van: body, cabin of glass, four wheels."""
    tone = any_colour(b)
    body = mottled(b.noise, scaled(tone, 0.9), tone, 0.5, 1.0, 0.3)
    glass, tyre = _cloudy(b, "1c2228 5a6a78", 1.0), _cloudy(b, "101010 282828", 1.0)
    width, length, van = b.between(1.6, 1.9), b.between(3.6, 4.8), b.rng.random() < 0.25
    foot = b.ground(x, z)
    right, ahead = level_axes(turn)
    waist = b.between(0.65, 0.8) if not van else b.between(1.0, 1.3)
    b.shapes.append(box(plus(foot, (0.0, -0.25, 0.0)), width, waist, length, turn, body))
    cabin = plus(plus(foot, (0.0, -0.25 - waist, 0.0)), ahead, b.between(-0.4, 0.4) if not van else 0.0)
    share, tall = (b.between(0.45, 0.6), 0.5) if not van else (0.95, b.between(0.5, 0.9))
    b.shapes.append(box(cabin, width * 0.88, tall, length * share, turn, glass))
    b.shapes.append(box(plus(cabin, (0.0, -tall, 0.0)), width * 0.84, 0.05, length * share * 0.9, turn, body))
    for s in (-1.0, 1.0):
        for t in (-0.32, 0.32):
            hub = plus(plus(plus(foot, (0.0, -0.31, 0.0)), right, s * (width / 2 - 0.1)), ahead, t * length)
            b.shapes.append(Rod(hub, plus(hub, right, s * 0.08), 0.31, tyre))
    b.shadow(x, z, 1.4)


def add_person(b: Builder, x: float, z: float) -> None:
    """Somebody: two legs, a trunk, two arms and a head."""
    height = b.between(1.2, 1.9)
    cloth, trousers = (mottled(b.noise, any_colour(b), any_colour(b), 4.0) for _ in range(2))
    skin = _cloudy(b, "8a5c44 d8ac8c", 3.0)
    foot, stride = b.ground(x, z), b.between(0.0, 0.35)
    hip, neck = plus(foot, (0.0, -0.5 * height, 0.0)), plus(foot, (0.0, -0.8 * height, 0.0))
    for s in (-1.0, 1.0):
        b.shapes.append(Rod(plus(hip, (s * 0.08, 0, 0)), plus(foot, (s * (0.08 + stride / 2), 0, 0)), 0.075, trousers))
        hand = plus(hip, (s * b.between(0.2, 0.4), b.between(-0.3, 0.1), 0.0))
        b.shapes.append(Rod(plus(neck, (s * 0.18, 0.05, 0)), hand, 0.05, cloth))
    b.shapes.append(Rod(plus(hip, (0.0, -0.05, 0.0)), plus(neck, (0.0, 0.1, 0.0)), 0.17, cloth))
    b.shapes.append(Ball(plus(neck, (0.0, -0.12, 0.0)), 0.12, skin))
    b.shadow(x, z, 0.4)


def add_pole(b: Builder, x: float, z: float, side: float) -> None:
    """A street lamp, a sign or a bare pole."""
    metal = _cloudy(b, "4a4c50 8a8e94", 6.0)
    foot, height = b.ground(x, z), b.between(2.2, 7.0)
    top = plus(foot, (0.0, -height, 0.0))
    b.shapes.append(Rod(foot, top, b.between(0.03, 0.12), metal))
    kind = int(b.rng.integers(3))
    if kind == 0:
        arm = plus(top, unit((-side, -0.15, 0.0)), b.between(0.8, 2.0))
        b.shapes.append(Rod(top, arm, 0.04, metal))
        b.shapes.append(Ball(arm, 0.15, _cloudy(b, "d8d0b8 fff8e0", 2.0)))
    elif kind == 1:
        sign = _cloudy(b, SIGNS[int(b.rng.integers(len(SIGNS)))], 1.0)
        radius = b.between(0.25, 0.45)
        face = plus(top, (0.0, 0.0, -0.13))
        size = (-radius, radius, -radius, radius)
        outline = ellipse(radius, radius) if b.rng.random() < 0.5 else None
        b.shapes.append(Card(face, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), sign, size, outline))


def _pair(tones: str) -> tuple[Vec, Vec]:
    low, high = colours(tones)
    return low, high


def _cloudy(b: Builder, tones: str, frequency: float) -> Paint:
    low, high = _pair(tones)
    return mottled(b.noise, low, high, frequency)
