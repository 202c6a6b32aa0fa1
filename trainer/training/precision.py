"""Which numbers the forward pass computes in."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from redweb_builder.errors import SettingsError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}  # by name, in state.pt
GAIN = 1.2  # bf16 has to be so many times as fast as float32: it costs digits, and a measurement has noise
ROUNDS = 3


def chosen_precision(wanted: str, device: torch.device, network: nn.Module, crop: tuple[int, int]) -> torch.dtype:
    """The number type of the forward pass on a device.

    wanted: "auto" = bf16 where the hardware computes in it and a measurement says that it is faster, else float32;
    otherwise as named. network: to be measured, on any device; it is left as it was. crop: height and width of its
    input, px. Raises SettingsError for "fp16" without a CUDA device.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise SettingsError("--precision fp16 needs a CUDA device; take bf16 or float32")
    if wanted != "auto":
        return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]
    if not _computes_in_bf16(device):
        return torch.float32
    seconds = {kind: _seconds_a_step(network, crop, device, kind) for kind in (torch.float32, torch.bfloat16)}
    return torch.bfloat16 if GAIN * seconds[torch.bfloat16] < seconds[torch.float32] else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """A lower precision inside; weights, losses and optimiser steps stay in float32.

    device: where the network lies. precision: of the forward pass.
    """
    return nullcontext() if precision is torch.float32 else torch.autocast(device.type, precision)


def _computes_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())  # there is no public function


def _seconds_a_step(network: nn.Module, crop: tuple[int, int], device: torch.device, precision: torch.dtype) -> float:
    """The shortest of some passes there and back on one picture; the first, which prepares, does not count."""
    was_training = network.training
    network.to(device).eval()  # so that no statistics of batch norms change
    image = torch.full((1, 3, *crop), 0.5, device=device).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(1 + ROUNDS):
        started = time.perf_counter()
        with autocast(device, precision):
            depth = network(image)
        depth.float().sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
        network.zero_grad(set_to_none=True)
    network.train(was_training)
    return min(seconds[1:])
