"""The processes of a run: one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from timm import layers as timm_layers
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
_LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "timed out waiting")  # gloo's words


@dataclass(frozen=True)
class Ranks:
    """rank: of this process, from 0. world: how many there are. local: this process's GPU on its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes, validates and speaks for all."""
        return self.rank == 0

    def local_device(self, device: torch.device) -> torch.device:
        """The GPU of this process, where several networks run on CUDA; else `device` itself.

        device: of the settings.
        """
        if device.type != "cuda" or self.world == 1:
            return device
        torch.cuda.set_device(self.local)
        return torch.device("cuda", self.local)

    def sum(self, values: Tensor) -> list[float]:
        """The sums of some numbers over all processes. values: those of this process, N of them."""
        if self.world > 1:
            values = values.detach().clone()
            dist.all_reduce(values)
        return [float(value) for value in values.tolist()]

    def broadcast(self, value: T) -> T:
        """The main process's value, on every process. value: anything picklable."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order, on each of them. value: of this process, anything picklable."""
        if self.world == 1:
            return [value]
        values: list[T | None] = [None] * self.world
        dist.all_gather_object(values, value)
        return cast("list[T]", values)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            dist.barrier()

    def lost_another(self, error: RuntimeError) -> bool:
        """Whether an error says that another process has ended or cannot be reached. error: of an exchange."""
        said = str(error).lower()
        return self.world > 1 and (isinstance(error, dist.DistError) or any(words in said for words in _LOST))

    def wrap_ddp(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network wrapped for training: its gradients are averaged over the processes. device: this process's
        own.
        """
        if self.world == 1:
            return network
        if device.type == "cuda":
            network = synchronised(network)
        devices = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(network, devices, find_unused_parameters=True)  # some encoders have a spare head

    def no_sync(self, model: nn.Module, last: bool) -> AbstractContextManager[object]:
        """A context in which gradients are not exchanged, unless `last`: the last part of a batch.

        model: from `wrap_ddp`.
        """
        return nullcontext() if last or self.world == 1 else model.no_sync()  # type: ignore[operator]


def synchronised(network: nn.Module) -> nn.Module:
    """Its batch norms over all processes. torch's own conversion would drop the activations that timm's norms hold.

    network: changed in place, and returned.
    """
    converted: nn.Module = timm_layers.convert_sync_batchnorm(network)  # type: ignore[attr-defined,no-untyped-call]
    return converted


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes of torchrun (gloo on CPU, NCCL on CUDA); alone without it. device: its type decides."""
    if "WORLD_SIZE" not in os.environ:
        yield Ranks()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()
