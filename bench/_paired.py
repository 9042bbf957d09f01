"""What something adds, where the machine is noisy: blocks without and with it in turns.

Neighbouring blocks see the same machine, so a pair of them is what is drawn again in the bootstrap:
B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993, chapters 8 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
DRAWS = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Added:
    """A difference, and the interval that holds it with CONFIDENCE."""

    value: float
    low: float
    high: float


def added(
    pairs: Sequence[tuple[Values, Values]],
    figure: Callable[[Values], float],
    *,
    draws: int = DRAWS,
) -> Added:
    """`figure`, such as a quantile, of all values with, less that of all without.

    A pair is (without, with). Its values are taken from the median of all of its own, the same for
    both sides, so that what the machine did meanwhile to both does not count. The interval is
    between percentiles of the same difference over pairs drawn again, with return.
    """
    rng = np.random.default_rng(0)
    levels = [float(np.median(np.concatenate(pair))) for pair in pairs]
    sides = [
        [pair[arm] - level for pair, level in zip(pairs, levels, strict=True)] for arm in (0, 1)
    ]

    def difference(chosen: Sequence[int]) -> float:
        without, with_it = (np.concatenate([side[k] for k in chosen]) for side in sides)
        return figure(with_it) - figure(without)

    found = [difference(c) for c in rng.integers(0, len(pairs), (draws, len(pairs)))]
    outside = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(found, [outside, 100 - outside])
    return Added(value=difference(range(len(pairs))), low=float(low), high=float(high))
