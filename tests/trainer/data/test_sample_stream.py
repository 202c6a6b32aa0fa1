"""Samples by number: how often, in which order, with which changes."""

from __future__ import annotations

import pickle

import numpy as np
import torch

from tests.trainer.memory_set import RAMP, Given
from trainer.data.sample_stream import SampleStream, Source, balanced
from trainer.data.transforms import augmentation


def test_an_epoch_holds_every_sample_as_often_as_its_weight_says() -> None:
    first, second = Given([RAMP] * 4), Given([RAMP] * 10)
    stream = SampleStream(
        [Source(first, range(4), 2.5), Source(second, range(10), 0.5)], augmentation("none", 64), seed=3
    )
    assert stream.epoch_length == 15
    rows = np.concatenate([stream._order(epoch) for epoch in range(40)])
    times = np.bincount(rows[rows[:, 0] == 0, 1])
    assert times.sum() == 400
    assert all(80 <= count <= 120 for count in times)
    assert len(np.unique(stream._order(0)[stream._order(0)[:, 0] == 1, 1])) == 5
    assert not (stream._order(0) == stream._order(1)).all()


def test_a_draw_depends_on_its_number_alone() -> None:
    data = Given([RAMP + shift for shift in range(6)])
    stream = SampleStream([Source(data, range(6))], augmentation("full", 64), seed=1)
    forth = [stream[n] for n in range(8)]
    torch.manual_seed(99)
    back = {n: SampleStream([Source(data, range(6))], augmentation("full", 64), seed=1)[n] for n in reversed(range(8))}
    for n, draw in enumerate(forth):
        assert torch.equal(draw.image, back[n].image)
        assert torch.equal(draw.disparity, back[n].disparity)
    assert not torch.equal(forth[0].image, forth[6].image)


def test_draws_can_be_sent_to_worker_processes() -> None:
    """As they are where workers are spawned, not forked."""
    stream = SampleStream([Source(Given([RAMP] * 4), range(4))], augmentation("full", 64), seed=1)
    first = stream[2]
    assert torch.equal(pickle.loads(pickle.dumps(stream))[2].image, first.image)


def test_balanced_sets_are_drawn_equally_often_times_their_weights() -> None:
    sets = [Source(Given([RAMP] * size), range(size), weight) for size, weight in ((4, 1.0), (40, 1.0), (10, 2.0))]
    stream = SampleStream(balanced(sets), augmentation("none", 64), seed=0)
    assert stream.epoch_length == 64
    assert [round(source.weight * len(source.indices)) for source in stream.sources] == [16, 16, 32]
