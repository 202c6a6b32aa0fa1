"""Photograph and label changed together; the size of a prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from tests.trainer.memory_set import RAMP, Given
from trainer.data.transforms import augmentation, transformed


def test_photograph_and_label_move_together_and_no_value_is_made_up() -> None:
    label = np.full((96, 80), 40, np.float32)
    label[30:60, 20:50] = 200
    label[70:, :] = np.nan
    sample = replace(Given([label])[0], instances=np.where(label == 200, np.uint16(700), np.uint16(0)))
    torch.manual_seed(5)
    geometry = augmentation("full", 64).transforms[:4]
    seen = 0
    for _ in range(20):
        image, disparity, valid, _, _, instances = transformed(sample, v2.Compose(geometry))
        assert torch.equal(instances == 700, disparity == 200)
        assert set(disparity[valid].tolist()) <= {40.0, 200.0}
        assert not disparity[~valid].any()
        sharp = valid & ((image[0] == 40) | (image[0] == 200))
        agree = (image[0][sharp] == disparity[sharp]).float().mean()
        assert agree > 0.97
        seen += int((~valid).any())
    assert seen > 5


@pytest.mark.parametrize("kind", ["none", "flip-crop", "full"])
def test_a_label_that_is_made_smaller_lies_where_its_picture_does(kind: str) -> None:
    geometry = v2.Compose(augmentation(kind, 64).transforms[:4])
    torch.manual_seed(0)
    for ramp in (np.tile(np.arange(1.0, 193), (192, 1)), np.tile(np.arange(1.0, 193)[:, None], 192)):
        parts = [transformed(Given([ramp])[0], geometry) for _ in range(10)]
        apart = [(label - image[0])[valid] for image, label, valid, *_ in parts]  # px of the ramp, 2 to 3 of the crop's
        assert abs(float(torch.cat(apart).mean())) < 0.3


def test_crops_reach_every_part_of_a_long_picture() -> None:
    columns = np.tile(np.arange(330, dtype=np.float32), (100, 1))  # of KITTI's shape
    torch.manual_seed(0)
    crops = [transformed(Given([columns])[0], augmentation("flip-crop", 64))[1] for _ in range(20)]
    assert min(float(crop.min()) for crop in crops) < 10
    assert max(float(crop.max()) for crop in crops) > 320
    assert min(float(crop.max() - crop.min()) for crop in crops) > 330 / 2


def test_full_augmentation_gives_what_the_network_takes() -> None:
    sample = Given([RAMP])[0]
    torch.manual_seed(0)
    image, disparity, valid, sky, weight, instances = transformed(sample, augmentation("full", 96))
    assert (image.shape, image.dtype) == ((3, 96, 96), torch.uint8)
    assert disparity.shape == valid.shape == sky.shape == weight.shape == instances.shape == (96, 96)
    assert disparity.isfinite().all()
