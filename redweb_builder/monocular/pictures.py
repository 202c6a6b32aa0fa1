"""What every network here takes: pictures as floats. Bytes would pass through the arithmetic and give nonsense."""

from __future__ import annotations

import torch
from torch import Tensor


def checked_pictures(image: Tensor) -> Tensor:
    """A batch of pictures as networks take it: float64, as NumPy's numbers are, as float32. Raises ValueError for what
    is none.

    image: should be Bx3xHxW float RGB in [0, 1].

    The values are not looked at: that would keep a GPU waiting, and exports from following the network.
    """
    if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
        kind = str(image.dtype).removeprefix("torch.")
        raise ValueError(
            f"a network takes Bx3xHxW floats in [0, 1], RGB; got {'x'.join(map(str, image.shape))} {kind}. "
            "For bytes HxWx3: torch.from_numpy(picture).permute(2, 0, 1)[None] / 255"
        )
    return image.float() if image.dtype == torch.float64 else image
