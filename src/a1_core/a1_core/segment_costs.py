"""What a tick costs that leaves at an exit, and budgets for its mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a1_core.arrays import frozen_array
from a1_core.errors import ThresholdsError

BudgetKind = Literal["depth", "flops", "latency_ms", "rate_hz"]
BUDGETS = ("depth", "flops", "latency_ms", "rate_hz")


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentCosts:
    """Costs in one unit: layers, FLOPs or milliseconds.

    A tick that leaves at exit k costs reach_K[k], and check_K[j] for every exit j <= k that it
    looked at, k included.

    Attributes:
        reach_K: from the call up to exit k without a chunk from it or any other exit, ascending.
        check_K: the head's chunk at exit k and its comparison with the one before.
    """

    reach_K: NDArray[np.float64]
    check_K: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("reach_K", "check_K"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))
        reach_K, check_K = self.reach_K, self.check_K
        if reach_K.ndim != 1 or not len(reach_K) or reach_K.shape != check_K.shape:
            raise ThresholdsError(
                f"costs have shapes {reach_K.shape} and {check_K.shape}; give one of each an exit"
            )
        if not (np.isfinite(reach_K).all() and np.isfinite(check_K).all()):
            raise ThresholdsError("costs are not finite; measure them again")
        if (np.diff(reach_K) < 0.0).any() or (check_K < 0.0).any() or reach_K[0] < 0.0:
            raise ThresholdsError(
                f"costs are {reach_K.tolist()} to reach and {check_K.tolist()} to check the exits; "
                "a deeper exit costs no less to reach, and nothing is negative"
            )
        if self.full <= 0.0:
            raise ThresholdsError("full depth costs nothing; give costs above 0")

    @property
    def full(self) -> float:
        """Of a tick that goes straight to the last exit."""
        return float(self.reach_K[-1] + self.check_K[-1])

    def of_plan(self, plan: Sequence[int]) -> NDArray[np.float64]:
        """Cost [P] of leaving at each of the exits that are looked at (indices, ascending)."""
        chosen = list(plan)
        return self.reach_K[chosen] + np.cumsum(self.check_K[chosen])


def depth_costs(exits: Sequence[int], layers: int) -> SegmentCosts:
    """Share of the backbone's layers that have run at exits given as block indices from 0."""
    reach_K = (np.asarray(exits, dtype=np.float64) + 1.0) / layers
    if reach_K.max(initial=0.0) > 1.0:
        raise ThresholdsError(f"exits are {tuple(exits)} of {layers} layers; count blocks from 0")
    return SegmentCosts(reach_K=reach_K, check_K=np.zeros_like(reach_K))


def measured_costs(first_K: ArrayLike, next_K: ArrayLike) -> SegmentCosts:
    """From what can be timed: a tick that looks at one exit only, and one that looks at all.

    Args:
        first_K: from the call to the chunk of exit k when no other exit is looked at.
        next_K: from the chunk of exit k - 1 to that of exit k; the first is not read.

    Looking at all exits up to k then costs first_K[0] + sum(next_K[1:k+1]), as measured, unless
    noise made a check look cheaper than nothing. The last exit's own check is counted to reach it.
    """
    first_K, next_K = np.asarray(first_K, np.float64), np.asarray(next_K, np.float64)
    if first_K.ndim != 1 or not len(first_K) or first_K.shape != next_K.shape:
        raise ThresholdsError(
            f"measured times have shapes {first_K.shape} and {next_K.shape}; give one of each an "
            "exit"
        )
    check_K = np.zeros_like(first_K)
    check_K[:-1] = np.maximum(next_K[1:] - np.diff(first_K), 0.0)
    reach_K = np.maximum.accumulate(np.maximum(first_K - check_K, 0.0))
    return SegmentCosts(reach_K=reach_K, check_K=check_K)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A bound on the mean tick.

    Attributes:
        kind: `depth`, share of the backbone's layers (with `depth_costs`); `flops`, share of a
            full-depth tick (with costs in FLOPs, or in anything else of which a share is meant);
            `latency_ms` and `rate_hz` (with costs in milliseconds).
        value: in the unit of its kind, above 0; shares at most 1.
    """

    kind: BudgetKind
    value: float

    def __post_init__(self) -> None:
        if self.kind not in BUDGETS:
            raise ThresholdsError(f"budget is '{self.kind}'; use one of {', '.join(BUDGETS)}")
        if not (math.isfinite(self.value) and self.value > 0.0):
            raise ThresholdsError(f"budget {self.kind} is {self.value}; give a number above 0")
        if self.kind in ("depth", "flops") and self.value > 1.0:
            raise ThresholdsError(
                f"budget {self.kind} is {self.value}; give a share of full depth, at most 1"
            )

    def limit(self, costs: SegmentCosts) -> float:
        """The largest mean cost allowed, in the unit of the costs."""
        if self.kind == "flops":
            return self.value * costs.full
        return 1000.0 / self.value if self.kind == "rate_hz" else self.value

    def in_own_unit(self, cost: float, costs: SegmentCosts) -> float:
        """A mean cost as this kind of budget would ask for it."""
        if self.kind == "flops":
            return cost / costs.full
        return 1000.0 / cost if self.kind == "rate_hz" else cost
