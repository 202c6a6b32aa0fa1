"""Ray casting: depth and colour of a world from a pinhole eye.

world, eye: what is looked at, and from where. dx, dy: slopes of the rays, (dx, dy, 1) being their direction. points:
Nx3, metres, on a shape. footprint: N, metres that a pixel covers there. width, height: of a view, px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from samples.shapes import Shape
from samples.textures import Colours, mix
from samples.vectors import Array, project
from samples.world import World

SUBPIXELS = (-0.25, 0.25)  # px, offsets of the rays of a pixel along x and along y


@dataclass(frozen=True)
class Eye:
    """A pinhole eye at (x, 0, 0): picture point (px, py) looks along ((px - cx) / focal, (py - cy) / focal, 1)."""

    x: float
    focal: float
    cx: float
    cy: float


def pixel_grid(width: int, height: int) -> tuple[Array, Array]:
    """The places of a view's pixels, as `cast` takes them: columns HxW, rows H."""
    return np.broadcast_to(np.arange(width, dtype=np.float64), (height, width)), np.arange(height, dtype=np.float64)


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


def draw_view(world: World, eye: Eye, width: int, height: int) -> NDArray[np.uint8]:
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
