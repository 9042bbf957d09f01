"""Which row of a chunk is played when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TAIL_ROWS = 2.0


@dataclass(frozen=True, kw_only=True)
class RowClock:
    """Row phase x over the time t (s) since the splice; x = 3.5 is halfway between rows 3 and 4.

    Rows pass at an even pace until the last TAIL_ROWS; over those the pace falls smoothly to
    zero, which takes twice their time, so that a plan comes to rest on its last row.

    Attributes:
        first: phase at t = 0; below 0 when row 0 is due later.
        last: phase of the last row, horizon - 1.
        period_s: time a row takes: the chunk's period times the slow-down.
    """

    first: float
    last: float
    period_s: float

    @property
    def tail(self) -> float:
        """Phase at which the pace begins to fall."""
        return max(self.first, self.last - TAIL_ROWS)

    @property
    def duration_s(self) -> float:
        return (self.tail - self.first + 2.0 * (self.last - self.tail)) * self.period_s

    def phases(self, t_N: NDArray[np.floating]) -> NDArray[np.float64]:
        """Row phase at every time [N]."""
        even_N = self.first + t_N / self.period_s
        rows = self.last - self.tail
        if rows <= 0.0:
            return np.minimum(even_N, self.last)
        u = np.clip((even_N - self.tail) / (2.0 * rows), 0.0, 1.0)
        # The integral of 1 - smoothstep(u), which is 1/2 at u = 1.
        slowing_N = self.tail + 2.0 * rows * (u - u**3 + u**4 / 2.0)
        return np.where(even_N < self.tail, even_N, slowing_N)

    def times(self, rows_N: NDArray[np.floating]) -> NDArray[np.float64]:
        """When (s) rows [N] are reached, none behind the last; 0 for those that are already."""
        t_K = np.linspace(0.0, self.duration_s, 64 * (int(self.last - self.tail) + 1) + 1)
        # Exact where the pace is even; over the tail a line between times close together.
        even_N = (np.asarray(rows_N) - self.first) * self.period_s
        times_N = np.where(rows_N <= self.tail, even_N, np.interp(rows_N, self.phases(t_K), t_K))
        return np.maximum(times_N, 0.0)

    def phase(self, t_s: float) -> float:
        """Row phase at one time."""
        even = self.first + t_s / self.period_s
        tail = self.tail
        if even < tail:
            return even
        rows = self.last - tail
        if rows <= 0.0:
            return min(even, self.last)
        u = min((even - tail) / (2.0 * rows), 1.0)
        return tail + 2.0 * rows * (u - u**3 + u**4 / 2.0)
