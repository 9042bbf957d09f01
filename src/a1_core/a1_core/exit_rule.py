"""When to leave the network: one discrepancy for calibration and inference, one decision."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import ThresholdsError

METRICS = ("cosine", "l2", "mad", "max")
CHAINED = ("direct", "renoise")
"""Starts of the flow-matching head in which an exit goes on from the one looked at before."""
_WRITTEN = re.compile(r"(\w+)(?:\[:([1-9]\d*)\])?")


def starts_from_each_other(head: str, start: str) -> bool:
    """Whether a chunk depends on the exits looked at before it: then all have to be looked at."""
    return head == "fm" and start in CHAINED


@cache
def parse_metric(metric: str) -> tuple[str, int | None]:
    """Name and number of leading rows of a metric as it is written; None: all rows.

    "l2" is taken over whole chunks, "l2[:5]" over their first five rows: those that are executed
    before the next chunk takes over.

    Raises ThresholdsError for anything else.
    """
    written = _WRITTEN.fullmatch(metric)
    if written is None or written[1] not in METRICS:
        raise ThresholdsError(
            f"metric is '{metric}'; write one of {', '.join(METRICS)}, or one over the first rows "
            "of a chunk, e.g. l2[:5]"
        )
    return written[1], None if written[2] is None else int(written[2])


def metric_over(metric: str, rows: int) -> str:
    """A metric over the first `rows` rows, unless it says itself how many."""
    name, said = parse_metric(metric)
    return f"{name}[:{said or rows}]"


def discrepancy(
    a_HD: NDArray[np.floating],
    b_HD: NDArray[np.floating],
    metric: str,
    weights: NDArray[np.floating] | None = None,
) -> float:
    """One number for how far two chunks are apart.

    Args:
        a_HD, b_HD: chunks [H, D], real dimensions only, normalised (default) or robot units.
        metric: cosine (1 - cosine similarity of the flattened chunks, 0..2), l2 (root mean
            square), mad (mean absolute deviation) or max (largest absolute deviation), over all
            rows or the first, as `parse_metric` reads it.
        weights: per-dimension factors [D] applied to both chunks.

    Returns NaN when a value is not finite or there is no row; `decide` never leaves on NaN.
    """
    name, rows = parse_metric(metric)
    a = np.asarray(a_HD, dtype=np.float64)[:rows]
    b = np.asarray(b_HD, dtype=np.float64)[:rows]
    if weights is not None:
        a, b = a * weights, b * weights
    if a.size == 0:
        return math.nan
    if name == "cosine":
        norm = math.sqrt(float(np.vdot(a, a)) * float(np.vdot(b, b)))
        if norm == 0.0:
            return 0.0 if not (a.any() or b.any()) else 1.0
        distance = 1.0 - float(np.vdot(a, b)) / norm
        return 0.0 if distance < 0.0 else distance  # max() would turn NaN into 0
    difference = a - b
    if name == "l2":
        return math.sqrt(float(np.mean(difference * difference)))
    if name == "mad":
        return float(np.mean(np.abs(difference)))
    return float(np.max(np.abs(difference)))


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Thresholds of every exit and what they are bound to.

    Attributes:
        exits: block index of every exit, counted from 0, ascending.
        eta: threshold of every exit, units of the metric; the last is +inf (always leaves), an
            exit that never fires has -inf.
        metric: as `parse_metric` reads it.
        bindings: what the thresholds belong to, e.g. {"checkpoint": SHA-256, "head": "fm"}.
        digest: SHA-256 of the file they came from; empty when they came from none.
    """

    exits: tuple[int, ...]
    eta: tuple[float, ...]
    metric: str
    bindings: Mapping[str, str | int] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self) -> None:
        parse_metric(self.metric)
        if not self.exits or list(self.exits) != sorted(set(self.exits)) or self.exits[0] < 0:
            raise ThresholdsError(f"exits is {self.exits}; write ascending block indices from 0")
        if len(self.eta) != len(self.exits):
            raise ThresholdsError(
                f"eta has {len(self.eta)} values for {len(self.exits)} exits; write one each"
            )
        if any(math.isnan(value) for value in self.eta):
            raise ThresholdsError(f"eta is {self.eta}; NaN is no threshold: calibrate again")
        if self.eta[-1] != math.inf:
            raise ThresholdsError(
                f"eta of the last exit is {self.eta[-1]}; write .inf, the last exit always leaves"
            )
        object.__setattr__(self, "bindings", MappingProxyType(dict(self.bindings)))


def exits_that_matter(eta: Sequence[float] | NDArray[np.floating]) -> tuple[int, ...]:
    """Which exits have to be looked at, as indices: those that may leave, and the one before each.

    The others may be left out where an exit's chunk does not depend on the exits looked at before
    it; every tick leaves where it would have left, and no discrepancy that decides is another.

    Args:
        eta: thresholds as `Thresholds` has them.
    """
    last = len(eta) - 1
    fire = [k for k in range(1, last) if eta[k] != -math.inf]
    return tuple(sorted({last, *fire, *(k - 1 for k in fire)}))


def decide(delta: float, eta: float, is_first: bool, is_last: bool) -> bool:
    """Whether to leave at this exit.

    The last exit always leaves, the first one has no predecessor and never does (unless it is
    the last). Between them: delta <= eta; a NaN discrepancy does not leave.
    """
    if is_last:
        return True
    if is_first:
        return False
    return delta <= eta
