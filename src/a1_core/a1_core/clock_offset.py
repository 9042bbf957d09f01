"""Whether the computer that stamps a stream has the same time as this one.

No message arrives before it was sent: the least of (this clock at arrival - stamp) over many
messages is how far the sender's clock lies behind this one, plus the quickest way over the network,
which is a millisecond or two. A slow or busy way makes some messages late, hardly ever all. A
sender's clock that is ahead shows in most messages; in a few it is a simulated clock come late.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from a1_core.times import NS_PER_S

MESSAGES = 200
LEAST_MESSAGES = 8
# Stamps so far in the future (s) are no matter of a clock that ticks.
AHEAD_S = 0.05
MEND = "synchronise the computers' clocks (chrony, ptp), or set use_sim_time alike on all nodes"


class ClockOffset:
    """The least age on arrival of the last MESSAGES messages of one stream."""

    def __init__(self) -> None:
        self._ages_ns: deque[int] = deque(maxlen=MESSAGES)

    def note(self, age_ns: int) -> None:
        """Count a message: this node's clock at its arrival less its stamp."""
        self._ages_ns.append(age_ns)

    def forget(self) -> None:
        """Begin anew, as after a jump of this node's clock."""
        self._ages_ns.clear()

    @property
    def seconds(self) -> float | None:
        """How far the sender's clock lies behind, at most; None while too few have come to tell."""
        if len(self._ages_ns) < LEAST_MESSAGES:
            return None
        return min(self._ages_ns) / NS_PER_S

    def problem(self, limit_s: float) -> str:
        """What is wrong and what to do, when messages are old by more than half of what makes them
        useless (`limit_s`) the moment they arrive, or come from the future; else empty."""
        if (behind_s := self.seconds) is None:
            return ""
        ahead_s = -median(self._ages_ns) / NS_PER_S
        if ahead_s > AHEAD_S:
            return f"its stamps are {ahead_s * 1e3:.0f} ms ahead of this computer's clock; {MEND}"
        if behind_s > limit_s / 2.0:
            return f"its stamps are {behind_s * 1e3:.0f} ms behind this computer's clock; {MEND}"
        return ""
