"""The processes of a run: one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


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

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            dist.barrier()

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as it is trained: gradients are averaged over the processes."""
        if self.world == 1:
            return network
        if device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)

    def holding_back(self, model: nn.Module, last: bool) -> AbstractContextManager[object]:
        """While gradients are accumulated they are exchanged once, with the last part."""
        return nullcontext() if last or self.world == 1 else model.no_sync()  # type: ignore[operator]


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
