"""What a batch costs a GPU besides arithmetic: transfers and waiting, counted by the calls that would make them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torchvision.models import optical_flow

from redweb_builder.matching.raft import Raft
from redweb_builder.monocular.estimator import load_depth
from redweb_builder.segmentation.segmenters import load_segmenter
from redweb_builder.types import StereoPair

CPU = torch.device("cpu")
UP, DOWN = {"to", "cuda"}, {"cpu", "numpy", "item", "tolist", "__bool__", "__float__", "nonzero"}


class CountedTransfers(TorchFunctionMode):
    """Counts the calls of our code by which tensors change their device, or by which Python waits for one.

    torchvision moves grids of coordinates to the device that they were made on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        moves = name in DOWN or (name in UP and any(isinstance(value, torch.device) for value in args))
        if moves and "redweb_builder" in sys._getframe(1).f_code.co_filename:
            self.calls[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def raft(tmp_path_factory: pytest.TempPathFactory) -> Raft:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "raft.pth"
    torch.save(optical_flow.raft_small(weights=None).state_dict(), file)
    return Raft("raft-small", Path(file), CPU)


@pytest.fixture
def pairs() -> list[StereoPair]:
    left, right = np.random.default_rng(0).integers(0, 256, (2, 96, 130, 3), np.uint8)
    return [StereoPair("a", left, right, True, (130, 96), "0")] * 3


@pytest.fixture
def transfers() -> Iterator[Counter[str]]:
    with CountedTransfers() as counted:
        yield counted.calls


def test_a_batch_of_pairs_goes_to_the_device_once_and_comes_back_once(
    raft: Raft, pairs: list[StereoPair], monkeypatch: pytest.MonkeyPatch, transfers: Counter[str]
) -> None:
    monkeypatch.setattr(raft, "batch", 3)
    raft(pairs)
    assert transfers == {"to": 1, "cpu": 1, "numpy": 1}


def test_regions_and_depth_take_one_transfer_each_way(pairs: list[StereoPair], transfers: Counter[str]) -> None:
    segmenter, depth = load_segmenter("builtin", None, CPU)[0], load_depth("builtin", CPU)
    assert depth is not None
    transfers.clear()
    segmenter(pairs[0].left)
    assert transfers == {"to": 1, "cpu": 1, "numpy": 1}
    transfers.clear()
    depth(pairs[0].left)
    assert transfers == {"to": 1, "cpu": 1, "numpy": 1}


def test_a_batch_that_does_not_fit_the_memory_is_halved(
    raft: Raft, pairs: list[StereoPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, sizes = raft._run, []

    def run(part: list[StereoPair], shape: tuple[int, int]) -> Any:
        sizes.append(len(part))
        if len(part) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(part, shape)

    monkeypatch.setattr(raft, "batch", 3)
    monkeypatch.setattr(raft, "_run", run)
    flows = raft(pairs)
    assert sizes == [3, 1, 2, 1, 1]
    assert len(flows) == 3
    assert (flows[0].forward == flows[2].forward).all()
