"""The processes that train together, one a GPU; `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint import state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from a1_core.errors import A1Error

# Decoding a data set is the first process's work, for hours; torchrun ends whoever waits for a
# process that has died.
_PATIENCE = timedelta(days=1)
_WHOLE = state_dict.StateDictOptions(full_state_dict=True, cpu_offload=True)
_FROM_FIRST = state_dict.StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


@dataclass(frozen=True, kw_only=True)
class Workers:
    """All processes, as one of them sees them.

    Attributes:
        rank: its number; 0 writes and prints.
        ranks: how many there are.
        device: that it computes on.
        sharded: each keeps its share of weights, gradients and moments (FSDP2) instead of all of
            them (DDP).
    """

    rank: int
    ranks: int
    device: torch.device
    sharded: bool = False

    @classmethod
    def alone(cls, device: torch.device | str = "cpu") -> Workers:
        """One process."""
        return cls(rank=0, ranks=1, device=torch.device(device))

    @classmethod
    @contextmanager
    def gathered(cls, *, sharded: bool = False) -> Iterator[Workers]:
        """Those that `torchrun` started, connected; without it this process alone.

        Raises:
            A1Error: `sharded`, but there is nobody to share with.
        """
        here = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", here) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        if "WORLD_SIZE" not in os.environ:
            if sharded:
                raise A1Error("--shard: this process is alone; start it with torchrun")
            yield cls.alone(device)
            return
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=_PATIENCE)
        try:
            yield cls(
                rank=distributed.get_rank(),
                ranks=distributed.get_world_size(),
                device=device,
                sharded=sharded,
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

    def wrap(self, module: nn.Module, precision: torch.dtype) -> nn.Module:
        """A module whose gradients, after a backward pass, are the mean over all processes.

        Sharded parameters are other ones than before: make optimisers afterwards.

        Args:
            precision: of the gathered weights of a sharded module.
        """
        if self.ranks == 1:
            return module
        if self.sharded:
            # As one piece: layers are stepped by halves, so none has a forward of its own.
            policy = MixedPrecisionPolicy(
                param_dtype=precision, reduce_dtype=torch.float32, cast_forward_inputs=False
            )
            mesh = init_device_mesh(self.device.type, (self.ranks,))
            fully_shard(module, mesh=mesh, mp_policy=policy)
            return module
        # Which readouts a step uses depends on its losses and exits.
        return DistributedDataParallel(module, find_unused_parameters=True, broadcast_buffers=False)

    def with_exchange(self, module: nn.Module, wanted: bool) -> AbstractContextManager[None]:
        """Unless it is wanted, backward passes of a wrapped module add up gradients only here."""
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(wanted)
        elif isinstance(module, DistributedDataParallel) and not wanted:
            return module.no_sync()
        return nullcontext()

    def weights(self, network: nn.Module) -> dict[str, Any]:
        """All of them whole, on the first process; all call it."""
        if not self.sharded:
            return network.state_dict()
        return state_dict.get_model_state_dict(network, options=_WHOLE)

    def set_weights(self, network: nn.Module, weights: dict[str, Any]) -> None:
        """The inverse of `weights`; `weights` are read on the first process."""
        if self.sharded:
            state_dict.set_model_state_dict(network, weights, options=_FROM_FIRST)
        else:
            network.load_state_dict(weights)

    def moments(self, network: nn.Module, optimiser: Optimizer) -> dict[str, Any]:
        """State of an optimiser of the network's parameters, like `weights`."""
        if not self.sharded:
            return optimiser.state_dict()
        return state_dict.get_optimizer_state_dict(network, optimiser, options=_WHOLE)

    def set_moments(
        self, network: nn.Module, optimiser: Optimizer, moments: dict[str, Any]
    ) -> None:
        """The inverse of `moments`."""
        if self.sharded:
            # What has never had a gradient has no moments.
            some = replace(_FROM_FIRST, strict=False)
            state_dict.set_optimizer_state_dict(network, optimiser, moments, options=some)
        else:
            optimiser.load_state_dict(moments)

    def added(self, value: Tensor) -> Tensor:
        """The sum over all processes, on all of them."""
        if self.ranks > 1:
            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Until all are here."""
        if self.ranks > 1:
            distributed.barrier()
