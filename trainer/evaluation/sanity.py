"""Some labels of a set, judged before a network is trained on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.data.check import readable_samples
from trainer.data.depth_set import DepthSet
from trainer.data.splits import evenly_spaced
from trainer.evaluation.metrics import lower_is_nearer, mean_of, ordinal, wkdr_unequal
from trainer.types import DataError, DepthSample

LEAST_JUDGED = 5  # samples; of fewer nothing is said about the polarity
INVERTED = 0.6  # share of pairs in which the lower pixel is farther; some 0.25 in photographs


def check_labels(data: DepthSet, indices: Sequence[int], most: int = 40, refuse: bool = True) -> list[str]:
    """Read up to `most` samples, evenly chosen, and say in plain sentences what is wrong with their labels.

    data: the set. indices: the samples to choose from. refuse: raise DataError for labels that are upside down, or of
    which none says anything, instead of a sentence. Faults are labels without a known pixel, labels of one value, and
    inverted polarity: in photographs lower usually is nearer, so a set whose labels say the opposite is most likely
    read upside down. All samples are read where none of those chosen has a label of several values.
    """
    chosen = [sample for _, sample in readable_samples(data, evenly_spaced(indices, most), [])]
    empty, flat, prior = [], [], []
    for sample in chosen:
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
            notes.append(f"{data.name}: {len(keys)} of {len(chosen)} labels that were read {fault} (first: {keys[0]})")
    if chosen and not prior and not any(_has_values(sample) for _, sample in readable_samples(data, indices, [])):
        useless = (
            f"{data.name}: there is nothing to learn from it, for not one of its {len(indices)} labels to train on has "
            "pixels of different depth"
        )
        if refuse:
            raise DataError(
                f"{useless}. A lower --min-confidence leaves more labels, and so does a run without --measured-only; "
                "--check none trains all the same"
            )
        notes.append(f"WARNING: {useless}")
    if len(prior) >= LEAST_JUDGED and mean_of(prior) > INVERTED:
        inverted = (
            f"{data.name}: its labels say that lower pixels are FARTHER in {100 * mean_of(prior):.0f} % of pairs; "
            "in photographs it is some 25 %. Its polarity is inverted, or its pictures are upside down: check that "
            "what is near is near"
        )
        if refuse:
            raise DataError(f"{inverted}. If that is how these pictures are, --check none trains on them")
        notes.append(f"WARNING: {inverted}")
    return notes


def _has_values(sample: DepthSample) -> bool:
    """Whether a label has known pixels of more than one value."""
    known = sample.disparity[np.isfinite(sample.disparity)]
    return known.size > 0 and float(np.ptp(known)) > 0
