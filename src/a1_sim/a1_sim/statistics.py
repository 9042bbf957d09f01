"""Intervals of success rates and of their paired differences. Pure."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

Z95 = 1.959963984540054


def wilson(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a rate; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_difference(
    first: Sequence[bool], second: Sequence[bool]
) -> tuple[float, tuple[float, float]]:
    """Rate of `first` less rate of `second` on the same layouts, with its 95% interval.

    Newcombe's hybrid score interval for paired proportions (1998, method 10): Wilson's intervals
    of both rates, joined with the correlation of the pairs.
    """
    assert len(first) == len(second)
    count = len(first)
    if count == 0:
        return 0.0, (-1.0, 1.0)
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    both, only_a = int((a & b).sum()), int((a & ~b).sum())
    only_b, neither = int((~a & b).sum()), int((~a & ~b).sum())
    rate_a, rate_b = (both + only_a) / count, (both + only_b) / count
    low_a, high_a = wilson(both + only_a, count)
    low_b, high_b = wilson(both + only_b, count)
    phi = _correlation(both, only_a, only_b, neither)
    difference = rate_a - rate_b
    down = _joined(rate_a - low_a, high_b - rate_b, phi)
    up = _joined(high_a - rate_a, rate_b - low_b, phi)
    return difference, (max(-1.0, difference - down), min(1.0, difference + up))


def percentile(values: Sequence[float], percent: float) -> float:
    """Percentile of the values; NaN without any."""
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def _joined(a: float, b: float, phi: float) -> float:
    return sqrt(max(0.0, a * a - 2.0 * phi * a * b + b * b))


def _correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if margins == 0:
        return 0.0
    count = both + only_a + only_b + neither
    product = float(both * neither - only_a * only_b)
    if product > 0:
        product = max(product - count / 2, 0.0)
    return product / sqrt(margins)
