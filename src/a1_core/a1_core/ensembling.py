"""Temporal ensembling: the mean of all chunks that say something about the same moment.

As in ACT (Zhao et al. 2023): the i-th prediction of a moment, counted from the oldest, weighs
exp(-decay * i). Rows are joints and gripper openings, which may be averaged; rotations may not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from a1_core.plan_in_hand import ToldPlan


def ensembled(
    newest: ToldPlan, earlier: Sequence[ToldPlan], *, decay: float
) -> NDArray[np.float64]:
    """The rows [H, D] to send for the newest prediction.

    Args:
        newest: the newest prediction.
        earlier: predictions of before, oldest first; each counts up to its last row.
        decay: of the weights; 0 is the plain mean, above 0 older predictions weigh more.
    """
    horizon = len(newest.rows_HD)
    time_H = newest.stamp_ns + newest.period_ns * np.arange(horizon)
    sum_HD, weight_H, order_H = np.zeros_like(newest.rows_HD), np.zeros(horizon), np.zeros(horizon)
    for prediction in (*earlier, newest):
        says_H = time_H <= prediction.end_ns
        share_H = np.where(says_H, np.exp(-decay * order_H), 0.0)
        sum_HD += share_H[:, None] * prediction.rows_at(time_H)
        weight_H += share_H
        order_H += says_H
    return sum_HD / weight_H[:, None]
