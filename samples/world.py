"""A world to be rendered: shapes, light and shadows, and the builder that collects them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samples.shapes import Shape
from samples.textures import Noise
from samples.vectors import Vec


@dataclass(frozen=True)
class Light:
    """The light of a world.

    zenith, horizon, cloud: colours of the sky. sun, shade: colours of the light of sun and sky. All are RGB in [0, 1],
    the light up to 2. towards: unit vector to the sun. visibility: metres at which haze leaves 1/e. cloudiness: 0 to 1.
    from_above: how much more of the sky's light comes from above than from below.
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
    """What is rendered.

    shapes: the ground first. light: of them all. noise: of their textures. shadows: soft ones on the ground, (x, z,
    radius) in metres.
    """

    shapes: list[Shape]
    light: Light
    noise: Noise
    shadows: list[tuple[float, float, float]]


@dataclass
class Builder:
    """Collects shapes on a ground y = height + slope . (x, z).

    rng: random generator of the world. noise, shapes, shadows: as of World.
    """

    rng: np.random.Generator
    noise: Noise
    height: float
    slope: tuple[float, float]
    shapes: list[Shape]
    shadows: list[tuple[float, float, float]]

    def between(self, low: float, high: float) -> float:
        """A uniform random number in [low, high)."""
        return float(self.rng.uniform(low, high))

    def ground(self, x: float, z: float) -> Vec:
        """The point of the ground at (x, z)."""
        return (x, self.height + self.slope[0] * x + self.slope[1] * z, z)

    def shadow(self, x: float, z: float, radius: float) -> None:
        """Add a soft shadow on the ground: its place and radius, metres."""
        self.shadows.append((x, z, radius))


def new_builder(rng: np.random.Generator, height: float, slope: tuple[float, float]) -> Builder:
    """An empty world with its own noise. rng: of the world. height, slope: of the ground, see Builder."""
    table = rng.uniform(-1, 1, (256, 256)).astype(np.float32)
    return Builder(rng, Noise(table), height, slope, [], [])
