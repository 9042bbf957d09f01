"""The processes that train together, one a GPU; `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, kw_only=True)
class Workers:
    """All processes, as one of them sees them.

    Attributes:
        rank: its number; 0 writes and prints.
        ranks: how many there are.
        device: that it computes on.
    """

    rank: int
    ranks: int
    device: torch.device

    @classmethod
    def alone(cls, device: torch.device | str = "cpu") -> Workers:
        """One process."""
        return cls(rank=0, ranks=1, device=torch.device(device))

    @classmethod
    @contextmanager
    def gathered(cls) -> Iterator[Workers]:
        """Those that `torchrun` started, connected; without it this process alone."""
        here = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", here) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        if "WORLD_SIZE" not in os.environ:
            yield cls.alone(device)
            return
        distributed.init_process_group("nccl" if cuda else "gloo")
        try:
            yield cls(
                rank=distributed.get_rank(), ranks=distributed.get_world_size(), device=device
            )
        finally:
            distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Of `count` things, this one's."""
        return slice(count * self.rank // self.ranks, count * (self.rank + 1) // self.ranks)

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose gradients, after a backward pass, are the mean over all processes."""
        if self.ranks == 1:
            return module
        # Which readouts a step uses depends on its losses and exits.
        return DistributedDataParallel(module, find_unused_parameters=True, broadcast_buffers=False)

    def with_exchange(self, module: nn.Module, wanted: bool) -> AbstractContextManager[None]:
        """Unless it is wanted, backward passes of a wrapped module add up gradients only here."""
        if isinstance(module, DistributedDataParallel) and not wanted:
            return module.no_sync()
        return nullcontext()

    def added(self, value: Tensor) -> Tensor:
        """The sum over all processes, on all of them."""
        if self.ranks > 1:
            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Until all are here."""
        if self.ranks > 1:
            distributed.barrier()
