"""A look at the labels of a set before a network is trained on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.data.depth_set import DepthSet
from trainer.data.splits import evenly_spaced
from trainer.evaluation.metrics import lower_is_nearer, ordinal, wkdr_unequal


def check_labels(data: DepthSet, indices: Sequence[int], most: int = 40) -> list[str]:
    """Read up to `most` samples, evenly chosen, and say in plain sentences what is wrong with them.

    data: the set. indices: the samples to choose from. Found are labels without a known pixel, labels that are all one
    value, and polarity that looks inverted: in photographs lower usually is nearer, so a set whose labels say the
    opposite is most likely read upside down.
    """
    chosen = evenly_spaced(indices, most)
    empty, flat, prior = [], [], []
    for index in chosen:
        sample = data[index]
        valid = np.isfinite(sample.disparity)
        if not valid.any():
            empty.append(sample.key)
        elif np.ptp(sample.disparity[valid]) == 0:
            flat.append(sample.key)
        else:
            guess = lower_is_nearer(*sample.disparity.shape)
            prior.append(wkdr_unequal(ordinal(guess, sample.disparity, valid, ratio=False, pairs=2000)))
    notes = []
    for keys, fault in ((empty, "have no known pixel"), (flat, "are all one value")):
        if keys:
            notes.append(f"{data.name}: {len(keys)} of {len(chosen)} labels looked at {fault} (first: {keys[0]})")
    if len(prior) >= 5 and np.nanmean(prior) > 0.6:
        notes.append(
            f"WARNING: {data.name}: its labels say that lower pixels are FARTHER in {100 * np.nanmean(prior):.0f} % of "
            "pairs; in photographs it is some 25 %. Its polarity looks inverted: check that what is near is near."
        )
    return notes
