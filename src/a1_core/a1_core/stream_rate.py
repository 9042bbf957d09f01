"""How often a stream comes, by its own stamps, and whether that is as often as promised.

Stamps are on the clock of whoever made them: a simulation that runs slowly keeps its promises, and
a stream that loses messages on the way does not.
"""

from __future__ import annotations

import math
from collections import deque

from a1_core.times import NS_PER_S

INTERVALS = 32
LEAST_INTERVALS = 8
TOLERANCE = 0.1
"""A stream may come so much more seldom than promised: two clocks are never the same."""


class StampRate:
    """Rate over the last INTERVALS messages of one stream."""

    def __init__(self) -> None:
        self._stamps_ns: deque[int] = deque(maxlen=INTERVALS + 1)

    def note(self, stamp_ns: int) -> None:
        """Count a message; a stamp that goes back begins anew, as after a clock jump."""
        if self._stamps_ns and stamp_ns < self._stamps_ns[-1]:
            self._stamps_ns.clear()
        self._stamps_ns.append(stamp_ns)

    @property
    def hz(self) -> float:
        """Messages a second of the stamps' clock; NaN while too few have come to tell."""
        intervals = len(self._stamps_ns) - 1
        if intervals < LEAST_INTERVALS:
            return math.nan
        span_ns = self._stamps_ns[-1] - self._stamps_ns[0]
        return intervals * NS_PER_S / span_ns if span_ns > 0 else math.nan


def falls_short(hz: float, promised_hz: float) -> bool:
    """Whether a rate is under what was promised; False where the rate is not known (NaN)."""
    return hz < (1.0 - TOLERANCE) * promised_hz
