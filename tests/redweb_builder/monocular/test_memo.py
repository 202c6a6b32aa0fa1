"""A build shows each left view to the depth network once, and hears the same as without a memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from redweb_builder.config import BuildConfig
from redweb_builder.monocular import memo
from redweb_builder.monocular.memo import MemoizedDepth
from redweb_builder.networks.weights import Weights
from redweb_builder.pipeline import Prepared, prepare
from redweb_builder.rectification.eye_order import asked_order
from redweb_builder.rectification.group_order import with_group_orders
from redweb_builder.types import FloatMap, PairSource, Picture
from samples.scenes import Scene

SIDE = 128  # px, of the stored picture


class Counting:
    """A network whose depth is the brightness, and which counts its pictures."""

    name = "counting"
    weights = Weights(Path("none"), "path", "")

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def __call__(self, picture: Picture) -> FloatMap:
        self.seen.append(picture.tobytes())
        return np.asarray(picture.mean(2, dtype=np.float32))


def test_a_build_shows_each_picture_once(tmp_path: Path, rendered: Callable[..., Scene]) -> None:
    sources = []
    for number in range(3):
        scene = rendered(number)
        files = [tmp_path / f"{number}_{eye}.png" for eye in ("left", "right")]
        for file, view in zip(files, (scene.left, scene.right), strict=True):
            Image.fromarray(view).save(file)
        sources.append(PairSource(str(number), files[0], files[1], "files", ""))
    network = Counting()
    memory = MemoizedDepth(network)
    config = BuildConfig(max_side=SIDE)
    for source in with_group_orders(sources, tmp_path, partial(asked_order, network=memory), max_side=SIDE):
        prepared, plain = prepare(source, config, memory), prepare(source, config, Counting())
        assert isinstance(prepared, Prepared)
        assert isinstance(plain, Prepared)
        assert prepared.depth is not None
        assert plain.depth is not None
        assert np.array_equal(prepared.depth, plain.depth)
    assert len(network.seen) == len(set(network.seen)) == len(sources)
    memory(np.zeros((4, 4, 3), np.uint8))
    assert not memory._kept  # of a build of many pairs either


def test_the_memory_is_bounded() -> None:
    network = Counting()
    memory = MemoizedDepth(network)
    pictures = [np.full((4, 4, 3), value, np.uint8) for value in range(memo.MOST_KEPT + 10)]
    for _ in range(2):
        assert [memory(picture)[0, 0] for picture in pictures] == list(range(len(pictures)))
    assert len(network.seen) == len(pictures) + 10
