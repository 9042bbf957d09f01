"""Real time: how far the simulated clock should be by now, and how well it keeps up. Pure."""

from collections import deque

from a1_core.times import NS_PER_S

WINDOW_NS = 5 * NS_PER_S


class RealTimePacer:
    """Simulated time follows wall time; what cannot be caught up with is given up.

    A debt above `max_debt_ns` is forgiven, so a slow machine runs slower than real time instead
    of hurrying after it, and `factor` says how much slower.
    """

    def __init__(self, max_debt_ns: int = 100_000_000) -> None:
        self._max_debt_ns = max_debt_ns
        self._offset_ns: int | None = None
        self._marks: deque[tuple[int, int]] = deque()

    def target_ns(self, wall_ns: int, now_ns: int) -> int:
        """Where the simulated clock, at `now_ns`, should be when the steady clock is `wall_ns`."""
        if self._offset_ns is None:
            self._offset_ns = wall_ns - now_ns
        debt_ns = wall_ns - self._offset_ns - now_ns
        if debt_ns > self._max_debt_ns:
            self._offset_ns += debt_ns - self._max_debt_ns
        self._marks.append((wall_ns, now_ns))
        while wall_ns - self._marks[0][0] > WINDOW_NS:
            self._marks.popleft()
        return wall_ns - self._offset_ns

    @property
    def factor(self) -> float:
        """Simulated seconds a wall second over the last five; NaN before the first two looks."""
        if len(self._marks) < 2:
            return float("nan")
        (wall_0, sim_0), (wall_1, sim_1) = self._marks[0], self._marks[-1]
        return (sim_1 - sim_0) / (wall_1 - wall_0) if wall_1 > wall_0 else float("nan")
