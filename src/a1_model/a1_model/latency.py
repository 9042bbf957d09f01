"""What the segments of a tick are expected to take."""

from __future__ import annotations

_FALL = 0.05


class SegmentTimes:
    """Expected seconds from exit `before` to exit `after` (numbers; before = -1: from the call).

    From an exit to itself means from its signal to its chunk, where these are two things.

    An expectation rises at once with a slow tick and falls slowly, because a deadline is missed
    by the slow ticks, not by the mean. What keeps a tick from going deeper also falls, down to
    the measured time: one hiccup must not keep every later tick shallow.
    """

    def __init__(self) -> None:
        self._measured_s: dict[tuple[int, int], float] = {}
        self._expected_s: dict[tuple[int, int], float] = {}

    def set_measured(self, before: int, after: int, seconds: float) -> None:
        """Starts anew from a measurement on an idle machine."""
        self._measured_s[before, after] = self._expected_s[before, after] = seconds

    def expected_s(self, before: int, after: int) -> float:
        """A segment never met is taken for the sum of its parts; 0 when these are unknown."""
        known = self._expected_s.get((before, after))
        if known is not None:
            return known
        steps = range(max(before, 0), after)
        start = self._expected_s.get((-1, 0), 0.0) if before < 0 else 0.0
        return start + sum(self._expected_s.get((k, k + 1), 0.0) for k in steps)

    def finish_s(self, exit_index: int) -> float:
        """From an exit's signal to its chunk; 0 when that was never needed."""
        return self._expected_s.get((exit_index, exit_index), 0.0)

    def learn(self, before: int, after: int, seconds: float) -> None:
        """The segment was run and took this long."""
        old = self._expected_s.get((before, after), seconds)
        self._expected_s[before, after] = max(seconds, (1 - _FALL) * old + _FALL * seconds)

    def blocked(self, before: int, after: int) -> None:
        """The segment was not run, because it was expected to take too long."""
        floor = self._measured_s.get((before, after), 0.0)
        expected = self.expected_s(before, after)
        self._expected_s[before, after] = max(floor, (1 - _FALL) * expected)
