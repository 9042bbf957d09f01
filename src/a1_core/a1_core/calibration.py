"""Thresholds from recorded discrepancies, so that a wanted share of samples leaves at each exit.

Counts are floors of exact rationals, thresholds are order statistics, ties leave together (<=).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import ThresholdsError

DISTRIBUTIONS = ("exponential", "gaussian", "gamma")
Fit = Literal["mass", "eq9", "least_loss"]
DISTRIBUTION_FITS = ("mass", "eq9")
"""Fits that aim at a distribution of exits."""
FITS = (*DISTRIBUTION_FITS, "least_loss")
NO_DISTRIBUTION = "none"
DEFAULT_SCALE = {"exponential": 1.0, "gaussian": 1.0, "gamma": 2.0}


def exit_distribution(
    kind: str,
    c: float,
    K: int,
    *,
    scale: float | None = None,
    can_fire: Sequence[bool] | None = None,
) -> tuple[Fraction, ...]:
    """Share of samples wanted at each of K exits, counted from k = 1; sums to exactly 1.

    Args:
        kind: exponential c^k; gaussian exp(-(k - c)^2 / (2 scale^2)), scale 1 by default; gamma,
            the density of shape c and scale 2 by default at k.
        c: the parameter; written decimals count as such, 0.7 is exactly 7/10.
        can_fire: which exits may leave; by default all but the first, which has no predecessor.

    Raises ThresholdsError for an unknown kind or a parameter out of range.
    """
    if kind not in DISTRIBUTIONS:
        raise ThresholdsError(f"distribution is '{kind}'; use one of {', '.join(DISTRIBUTIONS)}")
    width = DEFAULT_SCALE[kind] if scale is None else scale
    if not (math.isfinite(c) and math.isfinite(width) and width > 0.0):
        raise ThresholdsError(f"c is {c}, scale {width}; give finite numbers, scale above 0")
    if kind != "gaussian" and c <= 0.0:
        raise ThresholdsError(f"c of the {kind} distribution is {c}; give a number above 0")
    if K < 1 or (can_fire is not None and (len(can_fire) != K or not can_fire[-1])):
        raise ThresholdsError(f"{K} exits, can_fire {can_fire}; give one flag each, the last true")
    fires = [k > 0 or K == 1 for k in range(K)] if can_fire is None else list(can_fire)
    weights = [
        _weight(kind, c, k, width) if fire else Fraction(0) for k, fire in enumerate(fires, start=1)
    ]
    total = sum(weights, Fraction(0))
    if total == 0:
        raise ThresholdsError(f"c is {c}: every exit gets nothing; choose c between 1 and {K}")
    return tuple(weight / total for weight in weights)


def _weight(kind: str, c: float, k: int, scale: float) -> Fraction:
    if kind == "exponential":
        return Fraction(repr(float(c))) ** k
    if kind == "gaussian":
        return Fraction(math.exp(-((k - c) ** 2) / (2.0 * scale**2)))
    log = (c - 1.0) * math.log(k) - k / scale - math.lgamma(c) - c * math.log(scale)
    return Fraction(math.exp(log))


def fit_thresholds(
    V_KN: NDArray[np.floating],
    p_K: Sequence[Fraction | float],
    mode: Fit = "mass",
) -> NDArray[np.float64]:
    """Thresholds eta [K] for discrepancies of N samples.

    Exit by exit, among the samples that have not left: eta_k is the m-th smallest discrepancy,
    -inf for m = 0. `mass`: m = floor(N * p_k), so a share p_k of all samples leaves; `eq9`: the
    paper's formula read literally, m = floor(samples left * p_k). The last exit has +inf.

    Args:
        V_KN: discrepancies [K, N]; NaN never leaves. The first row is not read when p_K[0] is 0.
        p_K: shares, e.g. of `exit_distribution`; the sum may not exceed 1 by more than 1e-9.

    Raises ThresholdsError for shapes or shares that cannot be.
    """
    values_KN = np.asarray(V_KN, dtype=np.float64)
    if values_KN.ndim != 2 or values_KN.shape[0] != len(p_K) or values_KN.shape[1] < 1:
        raise ThresholdsError(
            f"V_KN has shape {values_KN.shape}; give [{len(p_K)}, N >= 1], a row for each exit"
        )
    if mode not in DISTRIBUTION_FITS:
        raise ThresholdsError(f"fit mode is '{mode}'; use one of {', '.join(DISTRIBUTION_FITS)}")
    shares = [_share(p) for p in p_K]
    if sum(shares) > 1 + Fraction(1, 10**9):
        raise ThresholdsError(f"p_K sums to {float(sum(shares))}; give shares that sum to 1")
    if len(shares) > 1 and shares[0] != 0:
        raise ThresholdsError("p_K[0] is not 0: the first exit has no predecessor and cannot leave")
    total = values_KN.shape[1]
    left_N = np.ones(total, dtype=bool)
    eta_K = np.full(len(shares), -np.inf)
    eta_K[-1] = np.inf
    for k, share in enumerate(shares[:-1]):
        base = total if mode == "mass" else int(left_N.sum())
        candidates = values_KN[k][left_N]
        candidates = np.sort(candidates[np.isfinite(candidates)])
        count = min(math.floor(base * share), len(candidates))
        if count:
            eta_K[k] = candidates[count - 1]
            left_N &= ~(values_KN[k] <= eta_K[k])
    return eta_K


def _share(value: Any) -> Fraction:
    share = Fraction(value)
    if share < 0:
        raise ThresholdsError(f"p_K holds {float(share)}; shares are not negative")
    return share


def exits_taken(V_KN: NDArray[np.floating], eta_K: NDArray[np.floating]) -> NDArray[np.intp]:
    """Index of the exit each sample leaves at [N], by the rule that inference uses."""
    values_KN = np.asarray(V_KN, dtype=np.float64)
    fires_KN = values_KN <= np.asarray(eta_K, dtype=np.float64)[:, None]
    fires_KN[0] = False
    fires_KN[-1] = True
    return fires_KN.argmax(axis=0)


def realised_rates(V_KN: NDArray[np.floating], eta_K: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of samples that leave at each exit [K]; sums to 1."""
    taken_N = exits_taken(V_KN, eta_K)
    return np.bincount(taken_N, minlength=len(eta_K)) / len(taken_N)
