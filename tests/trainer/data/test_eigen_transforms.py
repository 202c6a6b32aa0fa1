"""The crops of Eigen et al. 2014."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trainer.data.eigen_transforms import Augmentation, Warp, apply_warp, random_warp
from trainer.data.transforms import transformed
from trainer.types import DepthSample


def frame() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (240, 320, 3), np.uint8), generator.random((240, 320, 2), np.float32)


def test_a_crop_is_exact_to_the_pixel() -> None:
    image, label = frame()
    for change, rows, columns in (
        (Warp(), np.s_[6:234], np.s_[8:312]),
        (Warp(top=0, left=16), np.s_[0:228], np.s_[16:320]),
        (Warp(top=12, left=3), np.s_[12:240], np.s_[3:307]),
    ):
        for flip, order in ((False, 1), (True, -1)):
            picture, maps = apply_warp(image, label, replace(change, flip=flip))
            np.testing.assert_array_equal(picture, image[rows, columns][:, ::order])
            np.testing.assert_array_equal(maps, label[rows, columns][:, ::order])


def test_depth_is_never_interpolated_and_is_unknown_outside() -> None:
    image, label = frame()
    for seed in range(5):
        torch.manual_seed(seed)
        _, maps = apply_warp(image, label, replace(random_warp(), angle=5.0))
        known = maps[np.isfinite(maps[..., 0])]
        assert np.isin(known[:, 0], label[..., 0]).all()
    _, maps = apply_warp(image, label, Warp(angle=5.0, top=0, left=0))
    assert np.isnan(maps).any()


def test_an_enlarged_picture_is_nearer_by_as_much() -> None:
    image, label = frame()
    label[..., 0], label[..., 1] = 0.5, 0
    sample = DepthSample("", image, label[..., 0], label[..., 1] > 0, 0.0)
    scales = []
    for seed in range(200):
        torch.manual_seed(seed)
        change = random_warp()
        scales.append(change.scale)
        assert 1 <= change.scale <= 1.5
        assert abs(change.angle) <= 5
        assert all(0.8 <= factor <= 1.2 for factor in change.colour)
        assert 0 <= change.top <= round(change.scale * 240) - 228
        assert 0 <= change.left <= round(change.scale * 320) - 304
        if seed < 3:
            torch.manual_seed(seed)
            crop, disparity, valid, *_ = transformed(sample, Augmentation())
            assert crop.shape == (3, 228, 304)
            np.testing.assert_allclose(disparity[valid], 0.5 * change.scale, rtol=1e-6)
    assert min(scales) < 1.02
    assert max(scales) > 1.48


def test_scale_rotation_and_colour_move_what_they_should() -> None:
    y, x = np.mgrid[0:240, 0:320]
    label = np.stack([y, x], -1).astype(np.float32)
    grey = np.full((240, 320, 3), 100, np.uint8)
    picture, maps = apply_warp(grey, label, Warp(scale=1.5, top=0, left=0, colour=(0.8, 1.0, 1.2)))
    assert picture[50, 50].tolist() == [80, 100, 120]
    assert maps[0, 0].tolist() == pytest.approx([0, 0], abs=1)  # the frame's corner is the crop's
    assert maps[-1, -1].tolist() == pytest.approx([227 / 1.5, 303 / 1.5], abs=1)
    middle = apply_warp(grey, label, Warp(angle=5.0))[1][114, 151 + 100]
    turned = np.array([119.5, 159.5]) + 100 * np.array([np.sin(np.radians(5)), np.cos(np.radians(5))])
    assert middle.tolist() == pytest.approx(turned.tolist(), abs=1.5)
