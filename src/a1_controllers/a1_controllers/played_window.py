"""A window of set-points as a function of time, for the thread or process that plays it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.player import Setpoint
from a1_core.times import NS_PER_S


@dataclass(frozen=True, kw_only=True, eq=False)
class PlayedWindow:
    """A window on the steady clock; between its points a cubic through positions and velocities."""

    begin_ns: int
    times_K: NDArray[np.float64]
    q_KD: NDArray[np.float64]
    qd_KD: NDArray[np.float64]

    def at(self, t_s: float) -> NDArray[np.float64]:
        """All columns [D] at `t_s` after the begin; the last point from the end on."""
        times = self.times_K
        if t_s >= times[-1]:
            return self.q_KD[-1]
        k = max(int(np.searchsorted(times, t_s, side="right")) - 1, 0)
        span = times[k + 1] - times[k]
        u = max(t_s - times[k], 0.0) / span
        a, b = self.q_KD[k], self.q_KD[k + 1]
        va, vb = self.qd_KD[k] * span, self.qd_KD[k + 1] * span
        return a + u * (va + u * (3.0 * (b - a) - 2.0 * va - vb + u * (2.0 * (a - b) + va + vb)))


def played(window: Sequence[Setpoint], begin_ns: int) -> PlayedWindow:
    """A window whose first set-point holds at `begin_ns` on the steady clock."""
    start_ns = window[0].time_ns
    return PlayedWindow(
        begin_ns=begin_ns,
        times_K=np.array([(point.time_ns - start_ns) / NS_PER_S for point in window]),
        q_KD=np.array([point.q_D for point in window]),
        qd_KD=np.array([point.qd_D for point in window]),
    )
