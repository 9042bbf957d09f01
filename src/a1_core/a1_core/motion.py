"""Paths over time that end at rest: a cubic spline on an even grid, and a braking profile.

Both answer `state(t_s)` and `states(t_N)` with position, velocity and acceleration, in rad and s
(gripper columns: opening 0..1), hold their end for ever and start at t = 0. Columns are the arm
joints, then the grippers, as in `RobotSpec.action_names`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
State = tuple[Floats, Floats, Floats]


class Path(Protocol):
    """A motion that begins at t = 0 and is at rest from `duration_s` on."""

    duration_s: float

    def state(self, t_s: float) -> State:
        """Position, velocity and acceleration [D] at one time."""

    def states(self, t_N: Floats) -> State:
        """Position, velocity and acceleration [N, D] at many times."""


# Positions that differ by less (rad; of grippers' 0..1) are the same place.
STILL = 1e-5
LOOK_S = 0.005


def settles_s(path: Path, joints: int) -> float:
    """When (s) the first `joints` columns are where they will stay, to LOOK_S; not too late."""
    t_N = LOOK_S * np.arange(int(path.duration_s / LOOK_S) + 1)
    q_NJ = path.states(t_N)[0][:, :joints]
    end_J = path.state(path.duration_s)[0][:joints]
    moving = np.flatnonzero((np.abs(q_NJ - end_J) > STILL).any(axis=1))
    return float(t_N[moving[-1]]) if len(moving) else 0.0


class Spline:
    """Piecewise cubic on an even grid.

    Args:
        spacing_s: length of every segment.
        coefficients_S4D: of 1, t, t^2, t^3 in each segment's own time; the end is at rest.
    """

    def __init__(self, spacing_s: float, coefficients_S4D: Floats) -> None:
        self.spacing_s = spacing_s
        self._coefficients = coefficients_S4D
        self._segments = len(coefficients_S4D)
        self.duration_s = spacing_s * self._segments
        last = coefficients_S4D[-1]
        powers = spacing_s ** np.arange(4)
        self._end_D = powers @ last
        self._rest_D = np.zeros_like(self._end_D)

    def state(self, t_s: float) -> State:
        if t_s >= self.duration_s:
            return self._end_D, self._rest_D, self._rest_D
        t_s = max(t_s, 0.0)
        segment = min(int(t_s / self.spacing_s), self._segments - 1)
        u = t_s - segment * self.spacing_s
        c0, c1, c2, c3 = self._coefficients[segment]
        return (
            c0 + u * (c1 + u * (c2 + u * c3)),
            c1 + u * (2.0 * c2 + (3.0 * u) * c3),
            2.0 * c2 + (6.0 * u) * c3,
        )

    def states(self, t_N: Floats) -> State:
        t_N = np.clip(t_N, 0.0, self.duration_s)
        segments = np.minimum((t_N / self.spacing_s).astype(np.intp), self._segments - 1)
        u = (t_N - segments * self.spacing_s)[:, None]
        c0, c1, c2, c3 = np.moveaxis(self._coefficients[segments], 1, 0)
        q = c0 + u * (c1 + u * (c2 + u * c3))
        qd = c1 + u * (2.0 * c2 + 3.0 * u * c3)
        qdd = 2.0 * c2 + 6.0 * u * c3
        ended = t_N >= self.duration_s
        qd[ended], qdd[ended] = 0.0, 0.0
        return q, qd, qdd


class Brake:
    """The fastest stop of every joint for itself, within acceleration and jerk limits.

    Three phases a joint: jerk towards braking, hold, jerk back to zero. Columns behind the arm's
    are grippers and stop at once.

    Args:
        q_D, qd_D, qdd_D: state at t = 0.
        acceleration_J, jerk_J: limits of the arm joints, which are the first J columns.
    """

    def __init__(
        self, q_D: Floats, qd_D: Floats, qdd_D: Floats, acceleration_J: Floats, jerk_J: Floats
    ) -> None:
        arm = len(acceleration_J)
        v_J, a_J = qd_D[:arm], qdd_D[:arm]
        # Direction of the motion that is left when the acceleration is taken back first.
        sign_J = np.where(v_J + a_J * np.abs(a_J) / (2.0 * jerk_J) >= 0.0, 1.0, -1.0)
        v_J, a_J = sign_J * v_J, sign_J * a_J
        peak_J = np.sqrt(np.maximum(jerk_J * v_J + a_J * a_J / 2.0, 0.0))
        peak_J = np.maximum(np.minimum(peak_J, acceleration_J), -a_J)
        ramp_J = (a_J + peak_J) / jerk_J
        back_J = peak_J / jerk_J
        left_J = v_J + (a_J * a_J - 2.0 * peak_J * peak_J) / (2.0 * jerk_J)
        hold_J = np.divide(left_J, peak_J, out=np.zeros_like(v_J), where=peak_J > 0.0)
        durations_3D = np.zeros((3, len(q_D)))
        durations_3D[:, :arm] = ramp_J, np.maximum(hold_J, 0.0), back_J
        jerks_3D = np.zeros_like(durations_3D)
        jerks_3D[0, :arm], jerks_3D[2, :arm] = -sign_J * jerk_J, sign_J * jerk_J
        self._starts_4D = np.zeros((4, len(q_D)))
        np.cumsum(durations_3D, axis=0, out=self._starts_4D[1:])
        self.duration_s = float(self._starts_4D[3].max())
        moving_D = np.arange(len(q_D)) < arm
        self._coefficients_44D = _phases(
            q_D, qd_D * moving_D, qdd_D * moving_D, durations_3D, jerks_3D
        )
        self._columns = np.arange(len(q_D))

    def state(self, t_s: float) -> State:
        q, qd, qdd = self.states(np.array([t_s]))
        return q[0], qd[0], qdd[0]

    def states(self, t_N: Floats) -> State:
        t_N = np.clip(t_N, 0.0, self.duration_s)
        phase_ND = (t_N[:, None, None] >= self._starts_4D[1:]).sum(axis=1)
        u = t_N[:, None] - self._starts_4D[phase_ND, self._columns]
        c0, c1, c2, c3 = (self._coefficients_44D[phase_ND, k, self._columns] for k in range(4))
        return (
            c0 + u * (c1 + u * (c2 + u * c3)),
            c1 + u * (2.0 * c2 + 3.0 * u * c3),
            2.0 * c2 + 6.0 * u * c3,
        )


def _phases(q: Floats, qd: Floats, qdd: Floats, durations_3D: Floats, jerks_3D: Floats) -> Floats:
    """Coefficients [4 phases, 4 powers, D]; the last phase is rest."""
    phases = []
    for t, jerk in zip(durations_3D, jerks_3D, strict=True):
        phases.append((q, qd, qdd / 2.0, jerk / 6.0))
        q = q + t * (qd + t * (qdd / 2.0 + t * jerk / 6.0))
        qd = qd + t * (qdd + t * jerk / 2.0)
        qdd = qdd + t * jerk
    rest = np.zeros_like(q)
    phases.append((q, rest, rest, rest))
    return np.array(phases)


class Still:
    """At rest at one place."""

    duration_s = 0.0

    def __init__(self, q_D: Floats) -> None:
        self._q_D = q_D
        self._rest_D = np.zeros_like(q_D)

    def state(self, t_s: float) -> State:
        return self._q_D, self._rest_D, self._rest_D

    def states(self, t_N: Floats) -> State:
        q = np.repeat(self._q_D[None], len(t_N), axis=0)
        return q, np.zeros_like(q), np.zeros_like(q)
