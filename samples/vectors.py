"""Vectors in the world: x right, y down, z forward, metres.

a, b: vectors. by, times: factors.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Vec: TypeAlias = tuple[float, float, float]

RIGHT: Vec = (1.0, 0.0, 0.0)
UP: Vec = (0.0, -1.0, 0.0)


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


def level_axes(turn: float) -> tuple[Vec, Vec]:
    """The x and the z axis, turned by `turn` radians about the vertical."""
    return (math.cos(turn), 0.0, math.sin(turn)), (-math.sin(turn), 0.0, math.cos(turn))


def project(points: Array, axis: Vec) -> Array:
    """Nx3 points along one axis -> N."""
    return points[:, 0] * axis[0] + points[:, 1] * axis[1] + points[:, 2] * axis[2]


def rotated_point(point: Vec, axis: Vec, angle: float) -> Vec:
    """A point rotated about an axis through the origin (Rodrigues). axis: unit vector. angle: radians."""
    aside = scaled(cross(axis, point), math.sin(angle))
    along = scaled(axis, dot(axis, point) * (1 - math.cos(angle)))
    return plus(plus(scaled(point, math.cos(angle)), aside), along)
