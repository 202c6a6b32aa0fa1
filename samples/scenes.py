"""Stereo pictures of small made-up worlds, with their exact disparity: a ray caster in plain NumPy.

Two pinhole eyes look along +z, the right one moved along +x (a rectified pair). World: x right, y down, z forward,
in metres. A ray is (dx, dy, 1), so the ray parameter of a hit is its depth z and the disparity is focal * baseline / z.
Colour is the mean of 2x2 rays a pixel; disparity comes from the one ray through the pixel's centre, so it is never a
blend of near and far. Textures belong to the surfaces, so both eyes see the same paint.

    scene = render(seed=3)            # Scene(left, right, disparity, ...)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Colours: TypeAlias = NDArray[np.float32]
Vec: TypeAlias = tuple[float, float, float]
Paint: TypeAlias = Callable[[Colours, Colours, Colours], Colours]  # (u, v, footprint) in metres -> Nx3 in [0, 1]
Outline: TypeAlias = Callable[[Array, Array], NDArray[np.bool_]]  # (a, b) on a card in metres -> is it there?
Kind: TypeAlias = Literal["outdoor", "indoor"]

NEAREST = 2.0  # metres: the depth that has max_disparity; nothing in a world is nearer
SUBPIXELS = (-0.25, 0.25)


@dataclass(frozen=True)
class Scene:
    """A rendered stereo pair and its truth.

    left, right: HxWx3 uint8 RGB.
    disparity: HxW float32, px, left frame, larger = nearer; (x, y) is seen at (x - disparity, y) in the right view.
    Sky pixels hold the disparity of infinity, -convergence.
    right_disparity: the same for the right frame: (x, y) is seen at (x + right_disparity, y) in the left view.
    sky: HxW bool, left frame. occluded: HxW bool, left frame, hidden in the right view or outside it.
    """

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    disparity: NDArray[np.float32]
    right_disparity: NDArray[np.float32]
    sky: NDArray[np.bool_]
    occluded: NDArray[np.bool_]


# ---------------------------------------------------------------- vectors and noise


def dot(a: Vec, b: Vec) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vec, b: Vec) -> Vec:
    """Vector product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def unit(a: Vec) -> Vec:
    """The vector of length 1 in the same direction."""
    return scaled(a, 1 / math.sqrt(dot(a, a)))


def plus(a: Vec, b: Vec, times: float = 1.0) -> Vec:
    """The sum a + times * b."""
    return (a[0] + times * b[0], a[1] + times * b[1], a[2] + times * b[2])


def scaled(a: Vec, by: float) -> Vec:
    """The vector times a number."""
    return (a[0] * by, a[1] * by, a[2] * by)


def project(points: Array, axis: Vec) -> Array:
    """Nx3 points along one axis -> N."""
    return points[:, 0] * axis[0] + points[:, 1] * axis[1] + points[:, 2] * axis[2]


def rgb(hexadecimal: str) -> Vec:
    """'8090a0' -> (0.5, 0.56, 0.63)."""
    r, g, b = bytes.fromhex(hexadecimal)
    return (r / 255, g / 255, b / 255)


@dataclass(frozen=True)
class Noise:
    """Value noise on a 256x256 lattice of random numbers in [-1, 1]."""

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
        """Sum of octaves, each twice as fine; those too fine for a pixel `footprint` (metres) fade out."""
        total = np.zeros(u.shape, np.float32)
        for octave in range(octaves):
            f = frequency * 2.03**octave
            fade = np.broadcast_to(np.clip(1.5 - 2 * f * np.asarray(footprint, np.float32), 0, 1), u.shape)
            seen = np.flatnonzero(fade)
            if seen.size:
                layer = self.once(u[seen] * f + 17.3 * octave, v[seen] * f + 5.1 * octave)
                total[seen] += gain**octave * fade[seen] * layer
        return total


# ---------------------------------------------------------------- paints


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


# ---------------------------------------------------------------- shapes


class Shape(Protocol):
    """What the ray caster needs of a shape."""

    @property
    def paint(self) -> Paint:
        """Colour of the surface."""

    def corners(self) -> list[Vec]:
        """Points whose hull holds the shape; empty: it may be anywhere in the picture."""

    def hit(self, eye: float, dx: Array, dy: Array) -> Array:
        """Depth z where the ray from (eye, 0, 0) along (dx, dy, 1) first meets the shape; inf where it does not."""

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """For Nx3 points on the shape: u, v (metres on the surface) and Nx3 unit normals."""


@dataclass(frozen=True)
class Card:
    """A flat piece: the points origin + a * across + b * down for which outline(a, b) holds (all, without one)."""

    origin: Vec
    across: Vec
    down: Vec
    paint: Paint
    size: tuple[float, float, float, float] | None = None  # a from, a to, b from, b to
    outline: Outline | None = None

    def corners(self) -> list[Vec]:
        """The four corners; none when unbounded."""
        if self.size is None:
            return []
        a0, a1, b0, b1 = self.size
        return [plus(plus(self.origin, self.across, a), self.down, b) for a in (a0, a1) for b in (b0, b1)]

    def hit(self, eye: float, dx: Array, dy: Array) -> Array:
        """See Shape."""
        n = cross(self.across, self.down)
        o = plus((eye, 0.0, 0.0), self.origin, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = -dot(n, o) / (dx * n[0] + dy * n[1] + n[2])
        inside = np.isfinite(z) & (z > 0)
        z = np.where(inside, z, 1.0)
        a = dot(o, self.across) + z * (dx * self.across[0] + dy * self.across[1] + self.across[2])
        b = dot(o, self.down) + z * (dx * self.down[0] + dy * self.down[1] + self.down[2])
        if self.size is not None:
            inside &= (a >= self.size[0]) & (a <= self.size[1]) & (b >= self.size[2]) & (b <= self.size[3])
        if self.outline is not None:
            inside &= self.outline(a, b)
        return np.where(inside, z, np.inf)

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See Shape."""
        local = points - np.asarray(self.origin)
        n = unit(cross(self.across, self.down))
        return project(local, self.across), project(local, self.down), np.broadcast_to(np.asarray(n), points.shape)


@dataclass(frozen=True)
class Ball:
    """A sphere."""

    centre: Vec
    radius: float
    paint: Paint

    def corners(self) -> list[Vec]:
        """The corners of the cube around it."""
        sides = (-self.radius, self.radius)
        return [plus(self.centre, (x, y, z)) for x in sides for y in sides for z in sides]

    def hit(self, eye: float, dx: Array, dy: Array) -> Array:
        """See Shape."""
        o = plus((eye, 0.0, 0.0), self.centre, -1)
        a = dx * dx + dy * dy + 1
        b = o[0] * dx + o[1] * dy + o[2]
        root = b * b - a * (dot(o, o) - self.radius**2)
        return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See Shape; u runs around, v from pole to pole."""
        n = (points - np.asarray(self.centre)) / self.radius
        u = np.arctan2(n[:, 0], -n[:, 2]) * self.radius
        return u, np.arcsin(np.clip(n[:, 1], -1, 1)) * self.radius, n


@dataclass(frozen=True)
class Rod:
    """A round bar with round ends from start to end: trunk, post, wire, branch."""

    start: Vec
    end: Vec
    radius: float
    paint: Paint

    def corners(self) -> list[Vec]:
        """The corners of the cubes around both ends."""
        return Ball(self.start, self.radius, self.paint).corners() + Ball(self.end, self.radius, self.paint).corners()

    def hit(self, eye: float, dx: Array, dy: Array) -> Array:
        """See Shape; the capsule of https://iquilezles.org/articles/intersectors/ for rays of any length."""
        along = plus(self.end, self.start, -1)
        o = plus((eye, 0.0, 0.0), self.start, -1)
        length2, ahead = dot(along, along), dot(along, o)
        dd = dx * dx + dy * dy + 1
        forward = along[0] * dx + along[1] * dy + along[2]
        a = length2 * dd - forward * forward
        b = length2 * (o[0] * dx + o[1] * dy + o[2]) - ahead * forward
        root = b * b - a * (length2 * dot(o, o) - ahead**2 - self.radius**2 * length2)
        z = (-b - np.sqrt(np.maximum(root, 0))) / np.maximum(a, 1e-12)
        where = ahead + z * forward
        z = np.where((root > 0) & (where > 0) & (where < length2), z, np.inf)
        for end in (self.start, self.end):
            z = np.minimum(z, Ball(end, self.radius, self.paint).hit(eye, dx, dy))
        return z

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See Shape; u runs around, v along."""
        axis = unit(plus(self.end, self.start, -1))
        local = points - np.asarray(self.start)
        v = project(local, axis)
        radial = local - v[:, None] * np.asarray(axis)
        n = radial / np.maximum(np.linalg.norm(radial, axis=1, keepdims=True), 1e-9)
        side = unit(cross(axis, (0.31, 0.17, 0.94)))
        u = np.arctan2(project(n, side), project(n, cross(axis, side))) * self.radius
        return u, v, n


@dataclass(frozen=True)
class Solid:
    """A convex body: the points p with normal . p <= offset for every face (normal, offset); box, prism, pyramid."""

    anchor: Vec
    faces: tuple[tuple[Vec, float], ...]
    reach: float  # no point is farther than this from the anchor
    paint: Paint

    def corners(self) -> list[Vec]:
        """The corners of the cube of `reach` around the anchor."""
        return Ball(self.anchor, self.reach, self.paint).corners()

    def hit(self, eye: float, dx: Array, dy: Array) -> Array:
        """See Shape."""
        enter, leave = np.zeros_like(dx), np.full_like(dx, np.inf)
        o = plus((eye, 0.0, 0.0), self.anchor, -1)
        for n, offset in self.faces:
            slope = n[0] * dx + n[1] * dy + n[2]
            slope = np.where(np.abs(slope) < 1e-12, 1e-12, slope)
            z = (offset - dot(n, o)) / slope
            enter = np.where(slope < 0, np.maximum(enter, z), enter)
            leave = np.where(slope > 0, np.minimum(leave, z), leave)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    def surface(self, points: Array) -> tuple[Array, Array, Array]:
        """See Shape; u is level, v runs down the face."""
        local = points - np.asarray(self.anchor)
        face = np.argmin([np.abs(project(local, n) - offset) for n, offset in self.faces], axis=0)
        normals = np.asarray([n for n, _ in self.faces])
        level = [unit(cross((0.0, 1.0, 0.0), n)) if abs(n[1]) < 0.99 else (1.0, 0.0, 0.0) for n, _ in self.faces]
        down = [cross(n, a) for (n, _), a in zip(self.faces, level, strict=True)]
        u = np.einsum("ij,ij->i", local, np.asarray(level)[face]) + 3.7 * face
        return u, np.einsum("ij,ij->i", local, np.asarray(down)[face]), normals[face]


def box(bottom: Vec, width: float, height: float, depth: float, turn: float, paint: Paint) -> Solid:
    """An upright box standing on the point `bottom`, turned by `turn` radians about the vertical."""
    centre = plus(bottom, (0.0, -height / 2, 0.0))
    x, z = (math.cos(turn), 0.0, math.sin(turn)), (-math.sin(turn), 0.0, math.cos(turn))
    faces = [(x, width / 2), ((0.0, 1.0, 0.0), height / 2), (z, depth / 2)]
    both = tuple((scaled(n, s), offset) for n, offset in faces for s in (1.0, -1.0))
    return Solid(centre, both, math.sqrt(width**2 + height**2 + depth**2) / 2, paint)


def gable(bottom: Vec, width: float, height: float, depth: float, turn: float, paint: Paint) -> Solid:
    """A gabled roof: a prism whose ridge runs along the (turned) x axis."""
    x, z = (math.cos(turn), 0.0, math.sin(turn)), (-math.sin(turn), 0.0, math.cos(turn))
    tilt = math.hypot(height, depth / 2)
    slopes = [plus(scaled(z, s * height / tilt), (0.0, -depth / 2 / tilt, 0.0)) for s in (1.0, -1.0)]
    faces = [(x, width / 2), (scaled(x, -1.0), width / 2), ((0.0, 1.0, 0.0), 0.0)]
    faces += [(n, height * depth / 2 / tilt) for n in slopes]
    return Solid(bottom, tuple(faces), math.sqrt((width / 2) ** 2 + max(height, depth / 2) ** 2) + 0.01, paint)


# ---------------------------------------------------------------- the world


@dataclass(frozen=True)
class Light:
    """Colours in [0, 1], the direction towards the sun, how far one sees through the haze (m), the share of clouds, and
    how much more of the shade's light comes from above than from below.
    """

    zenith: Vec
    horizon: Vec
    cloud: Vec
    sun: Vec
    shade: Vec
    towards: Vec
    visibility: float
    cloudiness: float
    from_above: float = 0.25


@dataclass(frozen=True)
class World:
    """Shapes, their light, and soft shadows on the ground: (x, z, radius)."""

    shapes: list[Shape]
    light: Light
    noise: Noise
    shadows: list[tuple[float, float, float]]


@dataclass(frozen=True)
class Eye:
    """A pinhole eye at (x, 0, 0): picture point (px, py) looks along ((px - cx) / focal, (py - cy) / focal, 1)."""

    x: float
    focal: float
    cx: float
    cy: float


def cast(world: World, eye: Eye, px: Array, py: Array) -> tuple[Array, NDArray[np.int16]]:
    """Depth z (inf: sky) and shape index (-1: sky) for rays through px (HxW) in rows py (H)."""
    dx, dy = (px - eye.cx) / eye.focal, (py - eye.cy) / eye.focal
    depth = np.full(dx.shape, np.inf)
    index = np.full(dx.shape, -1, np.int16)
    for k, shape in enumerate(world.shapes):
        corners = shape.corners()
        rows = slice(0, len(dy))
        if corners and min(c[2] for c in corners) > 0.1:
            top, bottom = (f(c[1] / c[2] for c in corners) for f in (min, max))
            rows = slice(int(np.searchsorted(dy, top)), int(np.searchsorted(dy, bottom, side="right")))
            first, last = (f((c[0] - eye.x) / c[2] for c in corners) for f in (min, max))
            r, c = np.nonzero((dx[rows] >= first) & (dx[rows] <= last))
        else:
            r, c = np.nonzero(np.ones_like(dx[rows], bool))
        if not r.size:
            continue
        r = r + rows.start
        z = shape.hit(eye.x, dx[r, c], dy[r])
        nearer = z < depth[r, c]
        depth[r[nearer], c[nearer]] = z[nearer]
        index[r[nearer], c[nearer]] = k
    return depth, index


def sky_colour(world: World, dx: Colours, dy: Colours) -> Colours:
    """Gradient from horizon to zenith with soft clouds; all of it at infinity."""
    light = world.light
    height = np.clip(-dy + 0.04, 0.02, None)
    colour = mix(light.horizon, light.zenith, np.sqrt(height / 0.55).astype(np.float32))
    u, v = dx / (height + 0.12), 1 / (height + 0.12)
    field = world.noise.fbm((u * 0.8).astype(np.float32), v.astype(np.float32), 0.0, 0.9, 5, 0.5)
    share = (np.clip((field - 0.5 + light.cloudiness) * 1.1, 0, 0.85) * np.clip(height * 6, 0, 1))[:, None]
    out: Colours = colour * (1 - share) + np.asarray(light.cloud, np.float32) * share
    return out


def ground_shade(world: World, points: Array) -> Colours:
    """Factor in [0.4, 1]: soft shadows, drawn out away from the sun, around what stands on the ground."""
    x, z = points[:, 0].astype(np.float32), points[:, 2].astype(np.float32)
    light = np.ones(len(points), np.float32)
    sx, _, sz = world.light.towards
    norm = math.hypot(sx, sz) + 1e-9
    for cx, cz, radius in world.shadows:
        near = np.flatnonzero((np.abs(x - cx) < 5 * radius) & (np.abs(z - cz) < 5 * radius))
        along = ((x[near] - cx) * -sx + (z[near] - cz) * -sz) / norm
        aside = ((x[near] - cx) * -sz + (z[near] - cz) * sx) / norm
        along = (along - 0.8 * radius) / (1.9 * radius)
        light[near] *= 1 - 0.55 * np.exp(-2 * (along**2 + (aside / radius) ** 2) ** 2)
    return np.maximum(light, 0.35)


def shade(world: World, shape: Shape, points: Array, footprint: Array) -> Colours:
    """Nx3 colours of points on a shape: paint, light from the sun and the sky, haze."""
    light = world.light
    u, v, n = shape.surface(points)
    toward_eye = -np.sign(np.einsum("ij,ij->i", n, points))
    slant = np.abs(np.einsum("ij,ij->i", n, points)) / np.linalg.norm(points, axis=1)
    colour = shape.paint(
        u.astype(np.float32),
        v.astype(np.float32),
        (footprint / np.sqrt(np.maximum(slant, 0.05))).astype(np.float32),
    )
    sun = np.maximum(project(n, light.towards) * toward_eye, 0).astype(np.float32)
    above = (1 - light.from_above * (1 + n[:, 1] * toward_eye)).astype(np.float32)
    if shape is world.shapes[0]:
        sun = sun * ground_shade(world, points)
        above = above * (0.4 + 0.6 * ground_shade(world, points))
    lit = sun[:, None] * np.asarray(light.sun, np.float32) + above[:, None] * np.asarray(light.shade, np.float32)
    haze = (1 - np.exp(-points[:, 2] / light.visibility)).astype(np.float32)[:, None]
    out: Colours = colour * lit * (1 - haze) + np.asarray(light.horizon, np.float32) * haze
    return out


def colour(world: World, eye: Eye, width: int, height: int) -> NDArray[np.uint8]:
    """The picture of one eye, 2x2 rays a pixel."""
    steps = np.asarray(SUBPIXELS)
    px = (np.arange(width)[:, None] + steps).ravel()
    py = (np.arange(height)[:, None] + steps).ravel()
    depth, index = cast(world, eye, np.broadcast_to(px, (len(py), len(px))), py)
    flat_depth, flat_index = depth.ravel(), index.ravel()
    order = np.argsort(flat_index, kind="stable")
    starts = np.searchsorted(flat_index[order], np.arange(-1, len(world.shapes) + 1))
    out = np.zeros((len(order), 3), np.float32)
    for k, (begin, end) in enumerate(pairwise(starts), start=-1):
        if begin == end:
            continue
        chosen = order[begin:end]
        dx, dy = (px[chosen % len(px)] - eye.cx) / eye.focal, (py[chosen // len(px)] - eye.cy) / eye.focal
        if k < 0:
            out[chosen] = sky_colour(world, dx.astype(np.float32), dy.astype(np.float32))
            continue
        z = flat_depth[chosen]
        points = np.stack([eye.x + z * dx, z * dy, z], axis=1)
        out[chosen] = shade(world, world.shapes[k], points, z / eye.focal)
    n = len(SUBPIXELS)
    mean = np.clip(out, 0, 1).reshape(height, n, width, n, 3).mean(axis=(1, 3))
    picture: NDArray[np.uint8] = np.rint(mean * 255).astype(np.uint8)
    return picture


# ---------------------------------------------------------------- building worlds


@dataclass
class Builder:
    """Collects shapes on a ground y = height + slope . (x, z); ground first."""

    rng: np.random.Generator
    noise: Noise
    height: float
    slope: tuple[float, float]
    shapes: list[Shape]
    shadows: list[tuple[float, float, float]]

    def between(self, low: float, high: float) -> float:
        """A uniform random number."""
        return float(self.rng.uniform(low, high))

    def ground(self, x: float, z: float) -> Vec:
        """The point of the ground at (x, z)."""
        return (x, self.height + self.slope[0] * x + self.slope[1] * z, z)

    def shadow(self, x: float, z: float, radius: float) -> None:
        """A soft shadow on the ground."""
        self.shadows.append((x, z, radius))


def new_builder(rng: np.random.Generator, height: float, slope: tuple[float, float]) -> Builder:
    """An empty world with its own noise."""
    table = rng.uniform(-1, 1, (256, 256)).astype(np.float32)
    return Builder(rng, Noise(table), height, slope, [], [])


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


def ridge(noise: Noise, base: float, swing: float, frequency: float, shift: float) -> Outline:
    """A mountain skyline over a: everything below -(base + swing * noise) in b."""

    at = np.linspace(-150, 150, 6001)
    wave = noise.fbm((at + shift).astype(np.float32), np.full(at.shape, shift, np.float32), 0.0, frequency, 6, 0.48)
    line = base + swing * wave.astype(np.float64)

    def outline(a: Array, b: Array) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = b > -np.interp(a, at, line)
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
    for one, two in pairwise(feet):
        b.shapes.extend(Rod(plus(one, (0.0, -h, 0.0)), plus(two, (0.0, -h, 0.0)), 0.025, wood) for h in (0.35, 0.65))


def add_power_line(b: Builder, x0: float, z0: float, x1: float, z1: float) -> None:
    """Poles with cross-arms and sagging wires."""
    wood = mottled(b.noise, rgb("4b3d31"), rgb("7d6a58"), 8.0, 5.0)
    wire = mottled(b.noise, rgb("22252a"), rgb("3a3e44"), 5.0)
    feet = [b.ground(x0 + (x1 - x0) * k / 3, z0 + (z1 - z0) * k / 3) for k in range(4)]
    for foot in feet:
        b.shapes.append(Rod(foot, plus(foot, (0.0, -4.2, 0.0)), 0.07, wood))
        b.shapes.append(Rod(plus(foot, (-0.6, -3.9, 0.0)), plus(foot, (0.6, -3.9, 0.0)), 0.045, wood))
    for one, two in pairwise(feet):
        for side in (-0.55, 0.55):
            knots = [sag(plus(one, (side, -3.97, 0.0)), plus(two, (side, -3.97, 0.0)), k / 8, 0.35) for k in range(9)]
            b.shapes.extend(Rod(p, q, 0.012, wire) for p, q in pairwise(knots))


def sag(one: Vec, two: Vec, share: float, depth: float) -> Vec:
    """A point of a hanging wire between two points."""
    return plus(plus(one, plus(two, one, -1), share), (0.0, 4 * depth * share * (1 - share), 0.0))


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


def colours(text: str) -> list[Vec]:
    """'8090a0 405060' -> two colours."""
    return [rgb(word) for word in text.split()]


def daylight(rng: np.random.Generator, day: dict[str, str]) -> Light:
    """The light of a day, with the sun somewhere behind or beside us."""
    zenith, horizon, cloud = colours(day["sky"])
    aside = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.5, 1.1))
    towards = unit((aside, -0.75, -float(rng.uniform(0.3, 0.9))))
    sun, shade_ = scaled(rgb(day["sun"]), 1.75), scaled(rgb(day["shade"]), 1.25)
    return Light(zenith, horizon, cloud, sun, shade_, towards, 90.0, float(rng.uniform(0.05, 0.4)))


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


# ---------------------------------------------------------------- indoors


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
    right, away = (math.cos(turn), 0.0, math.sin(turn)), (-math.sin(turn), 0.0, math.cos(turn))
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
    right, away = (math.cos(turn), 0.0, math.sin(turn)), (-math.sin(turn), 0.0, math.cos(turn))
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


# ---------------------------------------------------------------- the one screen


def render(
    seed: int,
    width: int = 480,
    height: int = 360,
    *,
    sky: bool = True,
    convergence: float = 0.0,
    max_disparity: float = 40.0,
    kind: Kind = "outdoor",
) -> Scene:
    """Render a stereo pair of the world made from `seed`; the same arguments give the same arrays.

    width, height: of one view, px. sky: False closes an outdoor view with a wooded slope (indoor has none).
    convergence: px subtracted from every disparity, as converged cameras do; sky then has -convergence.
    max_disparity: px, before convergence, of the nearest possible point (2 m); hills have 1 to 3 px at the default.
    kind: "outdoor" or "indoor". Raises ValueError for another kind or a size below 16 px.
    """
    if kind not in ("outdoor", "indoor"):
        raise ValueError(f'kind must be "outdoor" or "indoor", not {kind!r}')
    if min(width, height) < 16:
        raise ValueError(f"a view is at least 16x16 px, not {width}x{height}")
    rng = np.random.default_rng([seed, 2018])
    world = outdoor(rng, seed, sky) if kind == "outdoor" else indoor(rng, seed)
    focal = 0.95 * max(width, height)
    baseline = max_disparity * NEAREST / focal
    left = Eye(0.0, focal, (width - 1) / 2, 0.53 * height)
    right = Eye(baseline, focal, (width - 1) / 2 + convergence, left.cy)

    def disparity_of(depth: Array) -> Array:
        return focal * baseline / depth - convergence

    px, py = np.broadcast_to(np.arange(width, dtype=np.float64), (height, width)), np.arange(height, dtype=np.float64)
    depth, index = cast(world, left, px, py)
    right_depth, _ = cast(world, right, px, py)
    disparity = disparity_of(depth)
    seen_at = px - disparity
    behind, _ = cast(world, right, seen_at, py)
    occluded = (seen_at < 0) | (seen_at > width - 1) | (disparity_of(behind) > disparity + 0.05)
    return Scene(
        left=colour(world, left, width, height),
        right=colour(world, right, width, height),
        disparity=disparity.astype(np.float32),
        right_disparity=disparity_of(right_depth).astype(np.float32),
        sky=index < 0,
        occluded=occluded,
    )
