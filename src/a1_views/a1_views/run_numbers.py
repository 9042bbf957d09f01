"""A run in numbers: the rows that a report shows, and compares two runs by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from a1_views.run import Run, overlaps_s, verdict_counts
from a1_views.svg import GOOD_VERDICTS
from a1_views.tick import NS_PER_S, compute_saved, quantiles_ms

NONE = "–"


def rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """What, then the value of every run."""
    return [(name, *(told(run) for run in runs)) for name, told in _ROWS]


def _quantiles(values: Sequence[float], unit: str, digits: int = 0) -> str:
    if not values:
        return NONE
    middle, high = np.percentile(values, [50, 95])
    return f"{middle:.{digits}f} / {high:.{digits}f} {unit}"


def _latency(run: Run) -> str:
    found = quantiles_ms(run.ticks).get("whole")
    return NONE if found is None else " / ".join(f"{value:.0f}" for value in found) + " ms"


def _inference(run: Run) -> str:
    return _quantiles([tick.total_ms for tick in run.ticks], "ms")


def _depth(run: Run) -> str:
    layers = [tick.exit_layer for tick in run.ticks]
    if not layers:
        return NONE
    return f"{np.mean(layers):.1f} of {run.ticks[-1].num_layers}, deepest {max(layers)}"


def _saved(run: Run) -> str:
    saved = compute_saved(run.ticks)
    return NONE if math.isnan(saved) else f"{100 * saved:.0f} %"


def _chunks(run: Run) -> str:
    rate = len(run.chunks) / run.duration_s if run.duration_s > 0 else 0.0
    return f"{len(run.chunks)}, {rate:.1f} a second"


def _taken(run: Run) -> str:
    counts = verdict_counts(run)
    taken = sum(counts[name] for name in GOOD_VERDICTS)
    return NONE if not run.chunks else f"{100 * taken / len(run.chunks):.0f} %"


def _staleness(run: Run) -> str:
    known = [chunk.staleness_ms for chunk in run.chunks]
    return _quantiles([value for value in known if value is not None], "ms")


def _to_motion(run: Run) -> str:
    return _quantiles(
        [(c.played_ns[0] - c.stamp_ns) / 1e6 for c in run.chunks if c.played_ns is not None], "ms"
    )


def _overlap(run: Run) -> str:
    return _quantiles([left_s for _, left_s in overlaps_s(run)], "s", 2)


def _tracking(run: Run) -> str:
    errors = [error for _, error in run.tracking if math.isfinite(error)]
    return NONE if not errors else f"{max(errors):.4f} rad"


def _stopped(run: Run) -> str:
    spans = [span for span in run.modes if span.name in ("STOPPED", "FAULT")]
    if not spans:
        return "none"
    length_s = sum(span.end_ns - span.begin_ns for span in spans) / NS_PER_S
    return f"{len(spans)}, {length_s:.1f} s in all"


def _counter(*names: str) -> Callable[[Run], str]:
    return lambda run: " / ".join(str(run.counters[name]) for name in names)


_ROWS: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("instruction", lambda run: run.instruction or NONE),
    ("outcome", lambda run: run.outcome or "nobody said"),
    ("length", lambda run: f"{run.duration_s:.1f} s"),
    ("chunks", _chunks),
    ("accepted", _taken),
    ("observations refused", lambda run: str(len(run.refusals))),
    ("mean exit layer", _depth),
    ("compute saved", _saved),
    ("inference p50 / p95", _inference),
    ("stamp to verdict p50 / p95 / p99", _latency),
    ("staleness of chunks p50 / p95", _staleness),
    ("observation to motion p50 / p95", _to_motion),
    ("overlap of chunks p50 / p95", _overlap),
    ("largest tracking error", _tracking),
    ("stops and faults", _stopped),
    ("underruns / clamped / slowed", _counter("underruns", "clamped", "slowed")),
    ("late control ticks", _counter("late_ticks")),
)
