"""Time by stage, on a CPU by the clock and on a GPU by events (no synchronisation per stage)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch


class Stopwatch:
    """Adds up the time between marks.

    Args:
        device: of the work that is timed.
        clock: seconds, steady.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._cuda = device.type == "cuda"
        self.began = clock()
        self._last = self._now()
        # Moments are seconds or CUDA events.
        self._spans: list[tuple[str, Any, Any]] = []

    def mark(self, stage: str) -> None:
        """Everything since the last mark belonged to `stage`."""
        now = self._now()
        self._spans.append((stage, self._last, now))
        self._last = now

    def elapsed_s(self) -> float:
        """Seconds since the start, on the host."""
        return self._clock() - self.began

    def totals_ms(self) -> dict[str, float]:
        """Milliseconds by stage; on a GPU waits for the work to end."""
        if self._cuda:
            torch.cuda.synchronize()
        totals: dict[str, float] = defaultdict(float)
        for stage, start, end in self._spans:
            if self._cuda:
                totals[stage] += start.elapsed_time(end)
            else:
                totals[stage] += 1e3 * (end - start)
        return totals

    def _now(self) -> Any:
        if not self._cuda:
            return self._clock()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
