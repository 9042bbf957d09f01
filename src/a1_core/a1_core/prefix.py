"""Real-time chunking: what a new chunk takes over from the plan in execution, and how firmly.

The first rows of a new chunk will have been executed before it arrives: they are committed, so the
chunk is made around them. After them a soft mask holds it to the old plan, less and less, until it
is free. The mask is that of real-time chunking (Black, Galliker, Levine 2025, equation 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import is_gripper, rows_in_space
from a1_core.errors import A1Error
from a1_core.plan_in_hand import ToldPlan
from a1_core.spec import RobotSpec

SOFT_ROWS = 4
"""Rows behind the committed ones over which a chunk lets go of the old plan, by default."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prefix:
    """Rows of the plan in execution, on the row times of the chunk that is to be made.

    Attributes:
        rows_HD: float32 [H, D], robot units, the policy's action space, offsets from the state of
            the new observation; of no meaning where the weight is 0, unless they are a guess.
        weight_HD: float32 [H, D] in [0, 1]: 1 in committed rows, which lead; 0 where it is free.
        guess: the flow begins at the rows, with noise added again, rather than at noise alone: a
            warm start across ticks.

    Raises A1Error for shapes that differ and for values that are not finite or out of range.
    """

    rows_HD: NDArray[np.float32]
    weight_HD: NDArray[np.float32]
    guess: bool = False

    def __post_init__(self) -> None:
        if self.rows_HD.ndim != 2 or self.weight_HD.shape != self.rows_HD.shape:
            raise A1Error(
                f"Prefix.rows_HD {self.rows_HD.shape} and weight_HD {self.weight_HD.shape} do not "
                "fit; give [H, D] for both"
            )
        if not np.isfinite(self.rows_HD).all():
            raise A1Error("Prefix.rows_HD is not finite; give 0 where the weight is 0")
        if not ((self.weight_HD >= 0.0) & (self.weight_HD <= 1.0)).all():
            raise A1Error("Prefix.weight_HD has values outside [0, 1]; clip them")

    @property
    def committed_rows(self) -> int:
        """Leading rows of weight 1."""
        free = np.flatnonzero((self.weight_HD < 1.0).any(axis=1))
        return int(free[0]) if len(free) else len(self.weight_HD)


def soft_mask(horizon: int, committed: int, free_from: int) -> NDArray[np.float32]:
    """Weights [H] of the old plan: 1 on committed rows, 0 from row `free_from` on, falling between.

    With d committed rows and c = (free_from - i) / (free_from - d + 1), row i between them has the
    weight c * (e^c - 1) / (e - 1). The paper's `free_from` is H - s with s rows executed a chunk.
    """
    row_H = np.arange(horizon)
    share_H = np.clip((free_from - row_H) / max(free_from - committed + 1, 1), 0.0, 1.0)
    falling_H = share_H * np.expm1(share_H) / np.expm1(1.0)
    return np.where(row_H < committed, 1.0, falling_H).astype(np.float32)


def make_prefix(
    plan: ToldPlan,
    spec: RobotSpec,
    *,
    stamp_ns: int,
    state_D: NDArray[np.floating],
    delay_ns: int,
    soft_rows: int,
    guess: bool = False,
) -> Prefix:
    """What a chunk observed at `stamp_ns` in `state_D` keeps of the plan.

    Rows due before `delay_ns` have passed are committed, at most half of the chunk. Over the next
    `soft_rows` the mask falls, but not beyond the plan's end, after which nothing is known. A
    gripper is held to committed rows alone: an opening between two plans' belongs to neither.
    """
    policy = spec.policy
    time_H = stamp_ns + policy.period_ns * np.arange(policy.horizon)
    committed = min(math.ceil(delay_ns / policy.period_ns), policy.horizon // 2)
    known = int((time_H <= plan.end_ns).sum())
    free_from = max(committed, min(committed + soft_rows, known))
    rows_HD = rows_in_space(
        plan.rows_at(time_H),
        state_D,
        action_space=policy.action_space,
        delta_base=policy.delta_base,
        names=spec.action_names,
    )
    weight_HD = np.repeat(
        soft_mask(policy.horizon, committed, free_from)[:, None], spec.dim, axis=1
    )
    grippers = np.array([is_gripper(name) for name in spec.action_names])
    weight_HD[committed:, grippers] = 0.0
    return Prefix(rows_HD=rows_HD.astype(np.float32), weight_HD=weight_HD, guess=guess)
