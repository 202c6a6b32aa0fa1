"""Shapes that rays can hit: cards, balls, rods and convex solids.

eye: x of the eye, metres. dx, dy: N float64, slopes of the rays. points: Nx3, metres. bottom: the middle of the lower
side. width, height, depth: metres. turn: radians about the vertical. paint: colour of the surface.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from samples.textures import Paint
from samples.vectors import Array, Vec, cross, dot, level_axes, plus, project, rotated_point, scaled, unit

Outline: TypeAlias = Callable[[Array, Array], NDArray[np.bool_]]  # (a, b) on a card in metres -> belongs to it


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
    """A sphere. centre: its middle. radius: metres."""

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
    """A round bar with round ends from start to end: trunk, post, wire, branch. radius: metres."""

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
    """A convex body: the points p with normal . p <= offset for all faces, (normal, offset) each.

    Box, prism, pyramid. anchor: where p begins.
    """

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
    x, z = level_axes(turn)
    faces = [(x, width / 2), ((0.0, 1.0, 0.0), height / 2), (z, depth / 2)]
    both = tuple((scaled(n, s), offset) for n, offset in faces for s in (1.0, -1.0))
    return Solid(centre, both, math.sqrt(width**2 + height**2 + depth**2) / 2, paint)


def gable(bottom: Vec, width: float, height: float, depth: float, turn: float, paint: Paint) -> Solid:
    """A gabled roof: a prism whose ridge runs along the (turned) x axis."""
    x, z = level_axes(turn)
    tilt = math.hypot(height, depth / 2)
    slopes = [plus(scaled(z, s * height / tilt), (0.0, -depth / 2 / tilt, 0.0)) for s in (1.0, -1.0)]
    faces = [(x, width / 2), (scaled(x, -1.0), width / 2), ((0.0, 1.0, 0.0), 0.0)]
    faces += [(n, height * depth / 2 / tilt) for n in slopes]
    return Solid(bottom, tuple(faces), math.sqrt((width / 2) ** 2 + max(height, depth / 2) ** 2) + 0.01, paint)


def rotated(shape: Shape, axis: Vec, angle: float, about: Vec) -> Shape:
    """A shape rotated about an axis. axis: unit vector. angle: radians. about: a point of the axis."""

    def turned(v: Vec) -> Vec:
        return rotated_point(v, axis, angle)

    def moved(p: Vec) -> Vec:
        return plus(turned(plus(p, about, -1)), about)

    if isinstance(shape, Card):
        return replace(shape, origin=moved(shape.origin), across=turned(shape.across), down=turned(shape.down))
    if isinstance(shape, Ball):
        return replace(shape, centre=moved(shape.centre))
    if isinstance(shape, Rod):
        return replace(shape, start=moved(shape.start), end=moved(shape.end))
    if isinstance(shape, Solid):
        return replace(shape, anchor=moved(shape.anchor), faces=tuple((turned(n), offset) for n, offset in shape.faces))
    raise TypeError(f"{type(shape).__name__} cannot be rotated")
