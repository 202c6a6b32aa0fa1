"""The guided filter against linear functions of the guide, which it must give back."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.segmentation.guided_filter import guided_filter


def test_a_linear_function_of_the_guide_comes_back_at_its_size() -> None:
    smooth = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    guide = cv2.resize(smooth, (150, 117), interpolation=cv2.INTER_CUBIC)
    weighted = (guide / 255 @ (0.2, -0.5, 0.7)).astype(np.float32)
    constant = np.full((5, 7), 0.25, np.float32)
    first, second = guided_filter(guide, [cv2.resize(weighted, (38, 29)), constant], 12, 1e-6)
    assert first.dtype == np.float32
    assert np.abs(first - weighted).mean() < 0.01  # the reduced map lies off by parts of a pixel
    np.testing.assert_allclose(second, 0.25, atol=1e-4)


def test_in_a_guide_without_contrast_a_map_is_averaged() -> None:
    """Grey guides and guides of one colour have no inverse variance; the damping stands in for it."""
    maps = np.random.default_rng(0).random((24, 32)).astype(np.float32)
    (flat,) = guided_filter(np.full((96, 128, 3), 90, np.uint8), [maps], 16, 1e-4)
    assert abs(float(flat.mean()) - float(maps.mean())) < 0.02
    assert np.ptp(flat) < 0.5 * np.ptp(maps)
