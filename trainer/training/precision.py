"""Which numbers the forward pass computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from redweb_builder.errors import SettingsError


def chosen_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The number type of the forward pass on a device.

    wanted: "auto" = bf16 where the hardware computes in it, else float32; otherwise as named. Raises SettingsError for
    "fp16" without a CUDA device.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise SettingsError("--precision fp16 needs a CUDA device; take bf16 or float32")
    if wanted != "auto":
        return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()  # there is no public function
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """A lower precision inside; weights, losses and optimiser steps stay in float32.

    device: where the network lies. precision: of the forward pass.
    """
    return nullcontext() if precision is torch.float32 else torch.autocast(device.type, precision)
