"""Thresholds against a second implementation, in float64 and written from the formulas alone."""

import math

import numpy as np
import pytest
from scipy import stats

from a1_core.calibration import exit_distribution, fit_thresholds

MATRICES = 1000


def shares(kind: str, c: float, scale: float, exits: int) -> np.ndarray:
    """p_k for k = 1..K, 0 for the first, which has no predecessor."""
    k = np.arange(1, exits + 1, dtype=np.float64)
    if kind == "exponential":
        p = c**k
    elif kind == "gaussian":
        p = stats.norm.pdf(k, loc=c, scale=scale)
    else:
        p = stats.gamma.pdf(k, c, scale=scale)
    if exits > 1:
        p[0] = 0.0
    return p / p.sum()


def whole(count: float) -> int:
    """Floor of a product of floats that stands for an exact one: 28.999999999999996 is 29."""
    nearest = round(count)
    return nearest if abs(count - nearest) < 1e-9 * max(1.0, count) else math.floor(count)


def thresholds(V: np.ndarray, p: np.ndarray, mode: str) -> list[float]:
    """Order statistics by ranks: in each row, those already gone are put behind all others."""
    exits, samples = V.shape
    gone = np.zeros(samples, dtype=bool)
    eta = []
    for k in range(exits - 1):
        row = np.where(gone | ~np.isfinite(V[k]), np.inf, V[k])
        ranked = row[np.lexsort((np.arange(samples), row))]
        there = int(np.isfinite(ranked).sum())
        count = whole((samples if mode == "mass" else int((~gone).sum())) * p[k])
        eta.append(float(ranked[min(count, there) - 1]) if count and there else -math.inf)
        gone |= row <= eta[-1]
    return [*eta, math.inf]


def random_matrix(rng: np.random.Generator) -> np.ndarray:
    """Plain, with ties, with all equal, with values that are not finite; also very few samples."""
    exits = int(rng.integers(1, 15))
    samples = int(rng.choice([1, 2, 3, 5, 17, 100, 401]))
    V = rng.lognormal(-3.0, 1.0, (exits, samples))
    match rng.integers(5):
        case 0:
            V = np.round(V, 2)
        case 1:
            V = rng.integers(0, 3, V.shape).astype(float)
        case 2:
            V[rng.random(V.shape) < 0.2] = rng.choice([np.nan, np.inf])
        case 3:
            V = np.repeat(V[:1], exits, axis=0)
    V[0] = np.nan
    return V


@pytest.mark.parametrize("mode", ["mass", "eq9"])
def test_equal_to_the_last_bit(mode: str) -> None:
    rng = np.random.default_rng(0)
    fired = 0
    for number in range(MATRICES):
        V = random_matrix(rng)
        kind = ("exponential", "gaussian", "gamma")[number % 3]
        scale = {"exponential": 1.0, "gaussian": 1.5, "gamma": 2.0}[kind]
        # Exponents with few digits give shares with small denominators, so floors at whole counts.
        c = round(float(rng.uniform(0.1, 1.5) * (6.0 if kind != "exponential" else 1.0)), 1)
        p = shares(kind, c, scale, len(V))
        requested = exit_distribution(kind, c, len(V), scale=scale)
        np.testing.assert_allclose(np.array(requested, float), p, rtol=1e-10, atol=1e-300)
        eta = fit_thresholds(V, requested, mode).tolist()
        assert eta == thresholds(V, p, mode), f"matrix {number}: {kind} {c}"
        fired += np.isfinite(eta).any()
    assert fired > MATRICES / 2
