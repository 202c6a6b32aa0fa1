"""The device that networks run on, chosen once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from redweb_builder.errors import SettingsError


def choose_device(choice: str) -> torch.device:
    """ "auto" = CUDA where there is one, else CPU; "cpu" and "cuda" as they say.

    Raises SettingsError where "cuda" is asked for and there is none.
    """
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if choice == "cuda" and not torch.cuda.is_available():
        raise SettingsError("--device cuda: no CUDA device can be used here; leave --device at auto or cpu")
    return torch.device(choice)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 autocast on CUDA; plain float32 on CPU, where RAFT-small gains nothing."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def memory_format(device: torch.device) -> torch.memory_format:
    """channels_last on CUDA, where it is what convolutions want under autocast."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format
