"""The processes of a run: one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from timm import layers as timm_layers
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """rank: of this process, from 0. world: how many there are. local: this process's GPU on its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes, validates and speaks for all."""
        return self.rank == 0

    def own(self, device: torch.device) -> torch.device:
        """The device of this process, where there are several of the kind."""
        if device.type != "cuda":
            return device
        torch.cuda.set_device(self.local)
        return torch.device("cuda", self.local)

    def mean(self, value: Tensor) -> float:
        """The mean of a scalar over all processes."""
        if self.world > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
        return float(value) / self.world

    def told(self, value: T) -> T:
        """What the leading process holds, on all of them: any picklable value."""
        if self.world == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            dist.barrier()

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as it is trained: gradients are averaged over the processes."""
        if self.world == 1:
            return network
        if device.type == "cuda":
            network = synchronised(network)
        own = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(network, own, find_unused_parameters=True)  # some encoders have a spare head

    def holding_back(self, model: nn.Module, last: bool) -> AbstractContextManager[object]:
        """While gradients are accumulated they are exchanged once, with the last part."""
        return nullcontext() if last or self.world == 1 else model.no_sync()  # type: ignore[operator]


def synchronised(network: nn.Module) -> nn.Module:
    """Its batch norms over all processes. torch's own conversion would drop the activations that timm's norms hold."""
    converted: nn.Module = timm_layers.convert_sync_batchnorm(network)  # type: ignore[attr-defined,no-untyped-call]
    return converted


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes of torchrun (gloo on CPU, NCCL on CUDA); alone without it."""
    if "WORLD_SIZE" not in os.environ:
        yield Ranks()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()
