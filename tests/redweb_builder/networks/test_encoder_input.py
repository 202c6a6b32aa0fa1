"""The size at which a picture is shown to a depth network."""

from __future__ import annotations

import pytest

from redweb_builder.networks.encoder_input import fitting_size


@pytest.mark.parametrize(
    ("shape", "fitted"),
    [
        ((480, 640), (320, 448)),
        ((384, 384), (384, 384)),
        ((640, 480), (448, 320)),
        ((375, 1242), (320, 448)),  # KITTI: squeezed to 4 : 3
        ((1242, 375), (448, 320)),
        ((1, 100_000), (320, 448)),
    ],
)
def test_a_long_picture_is_squeezed(shape: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitting_size(*shape, 384) == fitted
