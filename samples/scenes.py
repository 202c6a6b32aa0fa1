"""Stereo pictures of small made-up worlds, with their exact disparity: a ray caster in plain NumPy.

Two pinhole eyes look along +z, the right one moved along +x (a rectified pair). World: x right, y down, z forward,
in metres. A ray is (dx, dy, 1), so the ray parameter of a hit is its depth z and the disparity is focal * baseline / z.
Colour is the mean of 2x2 rays a pixel; disparity comes from the ray through the pixel's centre, so it never blends near
and far. Textures belong to the surfaces, so both eyes see the same paint.

    scene = render(seed=3)            # Scene(left, right, disparity, ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from samples.indoor import indoor
from samples.outdoor import outdoor
from samples.ray_caster import Eye, cast, draw_view, pixel_grid
from samples.vectors import Array
from samples.world import World

Kind: TypeAlias = Literal["outdoor", "indoor"]

NEAREST = 2.0  # metres: the depth that has max_disparity; nothing in a world is nearer


@dataclass(frozen=True)
class Scene:
    """A rendered stereo pair and its truth.

    left, right: HxWx3 uint8 RGB.
    disparity: HxW float32, px, left frame, larger = nearer; (x, y) lies at (x - disparity, y) in the right view.
    Sky pixels hold the disparity of infinity, -convergence.
    right_disparity: the same for the right frame: (x, y) lies at (x + right_disparity, y) in the left view.
    sky: HxW bool, left frame. occluded: HxW bool, left frame, hidden in the right view or outside it.
    """

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    disparity: NDArray[np.float32]
    right_disparity: NDArray[np.float32]
    sky: NDArray[np.bool_]
    occluded: NDArray[np.bool_]


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
    return stereo_pair(world, width, height, convergence, max_disparity)


def stereo_pair(world: World, width: int, height: int, convergence: float, max_disparity: float) -> Scene:
    """Both views of a world. width, height, convergence, max_disparity: as of render."""
    focal = 0.95 * max(width, height)
    baseline = max_disparity * NEAREST / focal
    left = Eye(0.0, focal, (width - 1) / 2, 0.53 * height)
    right = Eye(baseline, focal, (width - 1) / 2 + convergence, left.cy)

    def disparity_of(depth: Array) -> Array:
        return focal * baseline / depth - convergence

    px, py = pixel_grid(width, height)
    depth, index = cast(world, left, px, py)
    right_depth, _ = cast(world, right, px, py)
    disparity = disparity_of(depth)
    right_x = px - disparity
    behind, _ = cast(world, right, right_x, py)
    occluded = (right_x < 0) | (right_x > width - 1) | (disparity_of(behind) > disparity + 0.05)
    return Scene(
        left=draw_view(world, left, width, height),
        right=draw_view(world, right, width, height),
        disparity=disparity.astype(np.float32),
        right_disparity=disparity_of(right_depth).astype(np.float32),
        sky=index < 0,
        occluded=occluded,
    )
