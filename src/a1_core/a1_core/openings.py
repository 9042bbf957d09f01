"""What grippers are asked to open to while a plan is played: steps, not how the fingers travel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.row_clock import RowClock

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class Openings:
    """Asked openings over the time of a plan.

    Attributes:
        begins_K: when each is asked for (s), ascending; the first holds before its time too.
        openings_KG: 0 closed .. 1 open.
    """

    begins_K: Floats
    openings_KG: Floats

    @classmethod
    def still(cls, opening_G: Floats) -> Openings:
        """The same all the time."""
        return cls(begins_K=np.zeros(1), openings_KG=np.array(opening_G, dtype=np.float64)[None])

    @classmethod
    def of_rows(cls, rows_HG: Floats, clock: RowClock) -> Openings:
        """Every row's opening, from when the clock reads that row."""
        first = min(max(0, int(clock.first + 1e-9)), len(rows_HG) - 1)
        row_K = np.arange(first, len(rows_HG))
        begins_K = clock.times(row_K.astype(np.float64))
        return cls(begins_K=begins_K, openings_KG=np.clip(rows_HG[row_K], 0.0, 1.0))

    def over(self, t_N: Floats) -> NDArray[np.float64]:
        """Openings [N, G] asked for at each time (s)."""
        step_N = np.searchsorted(self.begins_K, np.asarray(t_N) + 1e-9, side="right") - 1
        return np.array(self.openings_KG[np.maximum(step_N, 0)])

    def until(self, t_s: float, kept_s: float, later: Openings) -> Openings:
        """From `t_s` on, which becomes time 0: these for `kept_s`, then `later`'s."""
        if kept_s <= 0.0:
            return later
        own_K = np.append(
            t_s, self.begins_K[(self.begins_K > t_s) & (self.begins_K < t_s + kept_s)]
        )
        then_K = np.append(kept_s, later.begins_K[later.begins_K > kept_s])
        return Openings(
            begins_K=np.append(own_K - t_s, then_K),
            openings_KG=np.concatenate([self.over(own_K), later.over(then_K)]),
        )

    @property
    def settles_s(self) -> float:
        """When the last one is asked for that differs from the one before; 0 where none does."""
        changes = np.flatnonzero((np.diff(self.openings_KG, axis=0) != 0.0).any(axis=1))
        return float(self.begins_K[changes[-1] + 1]) if len(changes) else 0.0
