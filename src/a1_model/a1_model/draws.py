"""What is drawn and counted once for a whole batch, however it is cut into parts.

A batch may be spread over processes and, in each, over passes that accumulate gradients. Its parts
together give the gradient of the whole because they share the noise and the supervised exits, and
because means are taken over the whole batch's counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from a1_model.batch import OBJECTS, TrainBatch
from a1_model.config import ModelConfig
from a1_model.flow import sample_tau
from a1_model.plain import one_of

OBJECTIVES = ("all_exits", "random_exit")


@dataclass(frozen=True, eq=False)
class Totals:
    """Weights that the means are taken over: float32 [4 + O V], to be added over processes."""

    counts: Tensor

    @classmethod
    def of(cls, batch: TrainBatch) -> Totals:
        """Of a batch or a share of it."""
        tokens = batch.action_valid_B.new_zeros(1)
        if batch.fast_mask_BA is not None:
            tokens = batch.fast_mask_BA & batch.action_valid_B[:, None]
        sums = (
            (batch.row_weight_BH * batch.action_valid_B[:, None]).sum(),
            batch.end_valid_B.sum(),
            batch.points_valid_BOV[:, 0].any(-1).sum(),
            tokens.sum(),
            *batch.points_valid_BOV.sum(0).flatten(),
        )
        return cls(torch.stack([value.float() for value in sums]))

    @property
    def rows(self) -> Tensor:
        """Weights of the action rows."""
        return self.counts[0]

    @property
    def ends(self) -> Tensor:
        """Samples with an end label."""
        return self.counts[1]

    @property
    def pointed(self) -> Tensor:
        """Samples whose named object some camera sees."""
        return self.counts[2]

    @property
    def tokens(self) -> Tensor:
        """Action tokens."""
        return self.counts[3]

    @property
    def points_OV(self) -> Tensor:  # noqa: N802
        """Samples whose object each camera sees."""
        return self.counts[4:].unflatten(0, (len(OBJECTS), -1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """For B samples.

    Attributes:
        exits: numbers of the supervised exits, ascending.
        totals: of the whole batch.
        noise_BSHW, tau_BS: of the flow-matching loss, S draws a sample; W is
            `ModelConfig.noise_dim`. None without that loss.
    """

    exits: tuple[int, ...]
    totals: Totals
    noise_BSHW: Tensor | None
    tau_BS: Tensor | None

    def of_samples(self, rows: slice) -> Draws:
        """For some of the samples."""
        if self.noise_BSHW is None or self.tau_BS is None:
            return self
        return replace(self, noise_BSHW=self.noise_BSHW[rows], tau_BS=self.tau_BS[rows])

    def to(self, device: torch.device) -> Draws:
        """All tensors there."""
        moved = [None if x is None else x.to(device) for x in (self.noise_BSHW, self.tau_BS)]
        return replace(
            self,
            totals=Totals(self.totals.counts.to(device)),
            noise_BSHW=moved[0],
            tau_BS=moved[1],
        )


def make_draws(
    config: ModelConfig,
    samples: int,
    totals: Totals,
    generator: torch.Generator | None,
    wanted: Collection[str],
    objective: str = "all_exits",
) -> Draws:
    """For a whole batch.

    Args:
        samples: B.
        generator: on the CPU, so that every device sees the same numbers.
        wanted: names of losses.
        objective: "all_exits", or "random_exit": one, all with the same chance.

    Raises:
        ValueError: the objective is unknown.
    """
    one_of("objective", objective, OBJECTIVES)
    exits = tuple(range(len(config.exits)))
    if objective == "random_exit":
        exits = (int(torch.randint(len(exits), (), generator=generator)),)
    noise_BSHW = tau_BS = None
    if {"fm", "distil"} & set(wanted):
        shape = (samples, config.flow_draws, config.horizon, config.noise_dim)
        noise_BSHW = torch.randn(shape, generator=generator)
        tau_BS = sample_tau(shape[:2], generator)
    return Draws(exits=exits, totals=totals, noise_BSHW=noise_BSHW, tau_BS=tau_BS)
