"""A straight joint motion from rest to rest, as rows for the player."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import A1Error
from a1_core.spec import OperatingLimits


def go_to_rows(
    start_D: NDArray[np.floating],
    goal_D: NDArray[np.floating],
    limits: OperatingLimits,
    *,
    period_s: float,
    speed: float = 0.5,
) -> NDArray[np.float64]:
    """Minimum-jerk rows [H, D] from start to goal, one every `period_s`, grippers included.

    Args:
        start_D, goal_D: arm joints in rad, then grippers 0..1.
        speed: share of the velocity, acceleration and jerk limits to use, (0, 1].

    Raises A1Error for a speed outside (0, 1].
    """
    if not 0.0 < speed <= 1.0:
        raise A1Error(f"speed is {speed}; give a share above 0, at most 1")
    start_D, goal_D = np.asarray(start_D, np.float64), np.asarray(goal_D, np.float64)
    away_D = np.abs(goal_D - start_D)
    away_J, away_G = away_D[: limits.joints], away_D[limits.joints :]
    # Peaks of 10 u^3 - 15 u^4 + 6 u^5: slope 15/8, second derivative 10/sqrt(3), third 60.
    duration_s = max(
        float((1.875 * away_J / (speed * limits.velocity)).max()),
        float(np.sqrt(10.0 / np.sqrt(3.0) * away_J / (speed * limits.acceleration)).max()),
        float(np.cbrt(60.0 * away_J / (speed * limits.jerk)).max()),
        float(away_G.max(initial=0.0) / limits.gripper_velocity),
        period_s,
    )
    count = int(np.ceil(duration_s / period_s))
    u = (np.arange(count + 1) / count)[:, None]
    rows: NDArray[np.float64] = start_D + (10.0 * u**3 - 15.0 * u**4 + 6.0 * u**5) * (
        goal_D - start_D
    )
    return rows
