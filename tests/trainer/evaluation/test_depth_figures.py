"""The columns of Eigen et al. 2014."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluation.metrics import depth_figures, depth_sums


def test_the_papers_columns_by_hand() -> None:
    truth = np.array([[1.0, 2.0, 4.0, 9.0]], np.float32)
    guess = np.array([[1.2, 2.0, 2.0, 5.0]], np.float32)
    valid = np.array([[True, True, True, False]])
    figures = depth_figures([depth_sums(guess, truth, valid)])
    d = np.log([1.2, 1.0, 0.5])
    wanted = {
        "d1": 2 / 3,
        "d2": 2 / 3,
        "d3": 2 / 3,
        "AbsRel": (0.2 + 0 + 0.5) / 3,
        "SqRel": (0.04 + 0 + 1) / 3,
        "RMSE": np.sqrt((0.04 + 4) / 3),
        "RMSElog": np.sqrt((d**2).mean()),
        "SI": d.std(),
    }
    assert figures == pytest.approx(wanted, rel=1e-6)
    twice = depth_figures([depth_sums(guess, truth, valid), depth_sums(3 * truth, truth, valid)])
    assert twice["SI"] == pytest.approx(d.std() / np.sqrt(2), rel=1e-6)  # a factor a picture is no error of it
    assert twice["AbsRel"] == pytest.approx((wanted["AbsRel"] + 2) / 2, rel=1e-6)
