"""Rates, ages, latencies and counts for /diagnostics. Pure: time is an argument."""

from collections import Counter, deque

import numpy as np

from a1_core.clock_offset import ClockOffset
from a1_core.stream_rate import StampRate
from a1_core.times import NS_PER_S

WINDOW = 200


class StreamStatistics:
    """One input stream on the steady clock: how often, how lately, what was thrown away."""

    def __init__(self) -> None:
        self.received = 0
        self.dropped = 0
        self.stamps = StampRate()
        self.clock = ClockOffset()
        self._arrivals_ns: deque[int] = deque(maxlen=32)

    def note(self, now_ns: int, accepted: bool, stamp_ns: int) -> None:
        """Count a message; one that is not accepted counts as dropped."""
        self.received += 1
        self.dropped += not accepted
        self._arrivals_ns.append(now_ns)
        if accepted:
            self.stamps.note(stamp_ns)

    def rate_hz(self, now_ns: int) -> float:
        """Rate over the last messages; falls towards 0 while the stream is silent."""
        if len(self._arrivals_ns) < 2:
            return 0.0
        first, last = self._arrivals_ns[0], self._arrivals_ns[-1]
        intervals = len(self._arrivals_ns) - 1
        mean_ns = (last - first) / intervals
        span_ns = max(last - first, now_ns - first - mean_ns)
        return intervals * NS_PER_S / span_ns if span_ns > 0 else 0.0

    def silence_s(self, now_ns: int) -> float:
        """Time since the last message; infinite before the first."""
        if not self._arrivals_ns:
            return float("inf")
        return (now_ns - self._arrivals_ns[-1]) / NS_PER_S


class InferenceStatistics:
    """The last inferences: latencies by name in ms, exits taken, and what was refused."""

    def __init__(self) -> None:
        self.chunks = 0
        self.cut_short = 0
        self.exits: Counter[int] = Counter()
        self.refusals: Counter[str] = Counter()
        self._latencies: dict[str, deque[float]] = {}

    def note_chunk(
        self, exit_layer: int, latencies_ms: dict[str, float], *, cut_short: bool = False
    ) -> None:
        """Count a chunk that was published; `cut_short` by the deadline, whatever exits said."""
        self.chunks += 1
        self.cut_short += cut_short
        self.exits[exit_layer] += 1
        for name, value in latencies_ms.items():
            self._latencies.setdefault(name, deque(maxlen=WINDOW)).append(value)

    def note_refusal(self, code: str) -> None:
        """Count an observation that was refused, or an output that was not published."""
        self.refusals[code] += 1

    def quantiles_ms(self) -> dict[str, str]:
        """Median and 95th percentile by name, as text."""
        out = {}
        for name, values in self._latencies.items():
            median, high = np.percentile(list(values), [50, 95])
            out[f"{name} p50 / p95 [ms]"] = f"{median:.1f} / {high:.1f}"
        return out
