"""The device that networks run on, chosen once."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext

import torch


def choose_device(choice: str) -> torch.device:
    """ "auto" = CUDA where there is one, else CPU; "cpu" and "cuda" as they say.

    Raises ValueError where "cuda" is asked for and there is none.
    """
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if choice == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: no CUDA device can be used here; leave --device at auto or cpu")
    return torch.device(choice)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 autocast on CUDA; plain float32 on CPU, where RAFT-small gains nothing."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def memory_format(device: torch.device) -> torch.memory_format:
    """channels_last on CUDA, where it is what convolutions want under autocast."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def keep_freed_memory() -> None:
    """Ask glibc to keep large freed blocks for the next pair or training step, for the life of this process.

    By default every large array goes back to the system and is handed out again page by page, zeroed: a sixth of a
    build's time on CPU. Elsewhere than on glibc nothing happens.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
