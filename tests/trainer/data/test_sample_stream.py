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


def test_a_fraction_of_a_draw_is_carried_over_to_later_epochs() -> None:
    """0.44 draws an epoch are 44 in a hundred; which is which follows from the number of the draw alone."""
    sets = [Source(Given([RAMP] * 5), range(5)), Source(Given([RAMP] * 11), range(11), 0.04)]
    stream = SampleStream(sets, augmentation("none", 64), seed=3)
    orders = [stream._order(epoch) for epoch in range(100)]
    assert [len(order) for order in orders[:6]] == [5, 6, 5, 6, 5, 6]
    rows = np.concatenate(orders)
    assert np.bincount(rows[:, 0]).tolist() == [500, 44]
    assert stream.epoch_length == 5
    begins = np.cumsum([0, *map(len, orders)])
    epochs = [stream._epoch_of(n) for n in range(len(rows))]
    assert epochs == (np.searchsorted(begins, np.arange(len(rows)), side="right") - 1).tolist()


def test_a_whole_number_of_draws_is_the_same_in_every_epoch() -> None:
    """0.29 * 100 is 28.999999999999996 in floats; a set may also wait for many epochs."""
    sets = [Source(Given([RAMP] * 100), range(100), 0.29), Source(Given([RAMP]), range(1), 0.01)]
    stream = SampleStream(sets, augmentation("none", 64), seed=3)
    lengths = [len(stream._order(epoch)) for epoch in range(60)]
    assert [lengths.count(29), lengths.index(30)] == [59, 49]
    assert [stream._epoch_of(n) for n in (28, 29, 50 * 29, 50 * 29 + 1)] == [0, 1, 49, 50]


def test_epochs_without_a_draw_are_passed_over() -> None:
    sets = [Source(Given([RAMP] * 2), range(2), 0.15), Source(Given([RAMP] * 2), range(2), 0.15)]
    stream = SampleStream(sets, augmentation("none", 64), seed=3)
    assert stream.epoch_length == 1
    assert [stream._epoch_of(n) for n in range(6)] == [1, 1, 4, 4, 8, 8]
    assert [len(stream._order(epoch)) for epoch in (1, 4, 8)] == [2, 2, 2]


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
