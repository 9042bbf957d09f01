"""Thresholds that lose least for what they cost, found on recorded ticks: no distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from a1_core.calibration import exits_taken
from a1_core.errors import ThresholdsError

SWEEPS = 20


def least_loss_thresholds(
    V_KN: NDArray[np.floating],
    loss_KN: NDArray[np.floating],
    cost_K: NDArray[np.floating],
    price: float,
) -> NDArray[np.float64]:
    """Thresholds eta [K] under which a tick's cost and `price` times its loss are least in sum.

    One threshold at a time is set to the best of all recorded discrepancies while the others stand,
    from the deepest exit to the first, until nothing changes. That is a descent, so the result is
    a minimum but need not be the least of all.

    Args:
        V_KN: discrepancies; NaN never leaves, the first row is not read.
        loss_KN: of leaving at each exit, 0 or more, whatever the discrepancy says.
        cost_K: of leaving at each exit, in units of `price`'s cost of a loss of 1.

    Raises ThresholdsError for shapes that do not fit, losses that are not finite, or a price that
    is not positive.
    """
    values_KN = np.asarray(V_KN, dtype=np.float64)
    loss_KN = np.asarray(loss_KN, dtype=np.float64)
    K = len(cost_K)
    if values_KN.ndim != 2 or values_KN.shape != loss_KN.shape or len(values_KN) != K:
        raise ThresholdsError(
            f"V has shape {values_KN.shape}, losses {loss_KN.shape}; give [{K}, N] of both"
        )
    if not (np.isfinite(loss_KN).all() and np.isfinite(price) and price > 0.0):
        raise ThresholdsError(f"price is {price}, or a loss is not finite; give finite numbers")
    paid_KN = np.asarray(cost_K, dtype=np.float64)[:, None] + price * loss_KN
    eta_K = np.full(K, -np.inf)
    eta_K[-1] = np.inf
    for _ in range(SWEEPS):
        before_K = eta_K.copy()
        for k in range(K - 2, 0, -1):
            eta_K[k] = _best_threshold(values_KN, paid_KN, eta_K, k)
        if np.array_equal(before_K, eta_K):
            break
    return eta_K


def _best_threshold(
    values_KN: NDArray[np.float64],
    paid_KN: NDArray[np.float64],
    eta_K: NDArray[np.float64],
    k: int,
) -> float:
    """Of exit k, while the others stand."""
    without_K = eta_K.copy()
    without_K[k] = -np.inf
    otherwise_N = exits_taken(values_KN, without_K)
    asked = np.flatnonzero((otherwise_N > k) & np.isfinite(values_KN[k]))
    asked = asked[np.argsort(values_KN[k, asked], kind="stable")]
    value_A = values_KN[k, asked]
    change_A = np.cumsum(paid_KN[k, asked] - paid_KN[otherwise_N[asked], asked])
    # Ticks that tie leave together.
    last_of_tie = np.flatnonzero(np.append(np.diff(value_A) > 0.0, True)[: len(value_A)])
    if not len(last_of_tie):
        return -np.inf
    best = last_of_tie[np.argmin(change_A[last_of_tie])]
    return float(value_A[best]) if change_A[best] < 0.0 else -np.inf
