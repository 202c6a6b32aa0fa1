"""The device that networks run on, chosen once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from redweb_builder.errors import SettingsError


def choose_device(choice: str) -> torch.device:
    """The device of a name in config.DEVICES.

    choice: "auto" = CUDA where it is available, else CPU; "cpu"; "cuda". Raises SettingsError for "cuda" where it is
    not available.
    """
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if choice == "cuda" and not torch.cuda.is_available():
        raise SettingsError("--device cuda: no CUDA device can be used here; leave --device at auto or cpu")
    return torch.device(choice)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Context of a network's call: bf16 autocast on CUDA, float32 on CPU, where RAFT-small gains nothing by it.

    device: where the network lies.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def memory_format(device: torch.device) -> torch.memory_format:
    """channels_last on CUDA, where convolutions under autocast are faster with it; contiguous on CPU.

    device: where the network lies.
    """
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format
