"""The device that networks run on, chosen once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from redweb_builder.config import AUTO_PRECISION
from redweb_builder.errors import SettingsError
from redweb_builder.process import available_cores

TORCH_TYPES = {"float32": torch.float32, "bf16": torch.bfloat16}  # by config.PRECISIONS


def choose_device(choice: str) -> torch.device:
    """The device of a name.

    choice: "auto" = CUDA where it is available, else CPU; "cpu"; "cuda"; "cuda:N" = the N-th of several, from 0. Raises
    SettingsError for a CUDA device that is not available.
    """
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if choice.startswith("cuda"):
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (torch.device(choice).index or 0) >= there:
            usable = f"only {there}" if there else "no"
            raise SettingsError(f"--device {choice}: {usable} CUDA device can be used here; take auto or cpu")
    return torch.device(choice)


def limit_threads(cores: int | None) -> None:
    """Keep the networks on the CPU to some cores.

    cores: how many; None = those that this process may use, which PyTorch does not ask a container for.
    """
    torch.set_num_threads(cores or min(torch.get_num_threads(), available_cores()))


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep PyTorch to one thread inside the context, for the calling thread alone.

    Pairs run side by side already. PyTorch rounds a small network by the number of its threads, so a label would depend
    on the number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Context of a call of the small networks: bf16 autocast on CUDA, float32 on CPU.

    device: where the network lies.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def choose_precision(wanted: str, device: torch.device) -> str:
    """The precision of a flow network's convolutions, "float32" or "bf16".

    wanted: of config.PRECISIONS. device: where the network runs. "auto" is bf16 on CUDA and float32 on CPU, with AMX or
    without, so that processors of several kinds build one set, and its labels do not pay for the speed.
    """
    if wanted != AUTO_PRECISION:
        return wanted
    return "bf16" if device.type == "cuda" else "float32"
