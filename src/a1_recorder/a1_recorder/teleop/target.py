"""Where a person wants the arm: a joint target that follows wishes within limits, and its rows.

Pure: times come as arguments. The player makes the motion of the arm out of the rows; what is done
here keeps them within reach of it, and makes every chunk end at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.spec import OperatingLimits

Floats = NDArray[np.float64]

ROW_S = 0.05
# A chunk goes on as wished for so long and then comes to rest: what a lost chunk or two may cost.
LOOKAHEAD_ROWS = 6
MOST_ROWS = 60
# Slower than this at the end of a chunk is rest (rad/s): the player brings it to an end.
REST_RAD_S = 0.01
# Kept from the ends of the operating ranges (rad).
RANGE_MARGIN = 5e-3
# Share of the acceleration that a goal is approached with; the rest is for corrections.
APPROACH = 0.7
# How soon the target is at a goal, and the arm at the target (s): a lag is made up for gently.
GOAL_S, FOLLOW_S = 0.1, 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """What the arm joints shall do next.

    Attributes:
        feed_J: velocity (rad/s).
        goal_J: position to be at (rad), moving with `feed_J`; None where only velocity counts.
        soon_s: time constant of the approach to it.
    """

    feed_J: Floats
    goal_J: Floats | None = None
    soon_s: float = GOAL_S


class Target:
    """Position and velocity of the target; the gripper is none of its business.

    Args:
        limits: of the robot.
        velocity_share, acceleration_share: how much of them a person gets, (0, 1].
    """

    def __init__(
        self, limits: OperatingLimits, *, velocity_share: float, acceleration_share: float
    ) -> None:
        self._velocity_J = velocity_share * limits.velocity
        self._acceleration_J = acceleration_share * limits.acceleration
        self._lower_J = limits.position_lower + RANGE_MARGIN
        self._upper_J = limits.position_upper - RANGE_MARGIN
        self.start(np.zeros_like(limits.velocity), np.zeros_like(limits.velocity))

    def start(self, q_J: Floats, qd_J: Floats) -> None:
        """Be where the arm is commanded to be, as fast as it is commanded to move."""
        self.q_J = np.array(q_J, np.float64)
        self.qd_J = np.array(qd_J, np.float64)

    @property
    def stopping_place(self) -> Floats:
        """Where it would come to rest, were nothing wished any more (rad)."""
        return self.q_J + self.qd_J * np.abs(self.qd_J) / (2.0 * self._acceleration_J)

    def advance(self, wish: Wish, dt_s: float) -> None:
        """Follow a wish for `dt_s`."""
        if dt_s > 0.0:
            self.q_J, self.qd_J = self._step(self.q_J, self.qd_J, wish, 0.0, dt_s)

    def rows(self, wish: Wish, from_J: Floats, moving_J: Floats) -> Floats:
        """Rows [H, J], ROW_S apart: from where the arm is commanded to be after the target.

        The target goes on as wished for a while and comes to rest, the rows with it. They begin
        with the commanded motion, so that the player need not bend it to get onto them.

        Args:
            from_J, moving_J: commanded position and velocity (rad, rad/s) at the first row.
        """
        stop = Wish(feed_J=np.zeros_like(from_J))
        target = (self.q_J, self.qd_J)
        arm = (np.array(from_J, np.float64), np.array(moving_J, np.float64))
        rows = [arm[0]]
        for row in range(MOST_ROWS):
            ahead = row < LOOKAHEAD_ROWS
            follow = Wish(feed_J=target[1], goal_J=target[0], soon_s=FOLLOW_S)
            arm = self._step(*arm, follow, 0.0, ROW_S)
            target = self._step(*target, wish if ahead else stop, row * ROW_S, ROW_S)
            rows.append(arm[0])
            if not ahead and (np.abs(arm[1]) < REST_RAD_S).all() and not target[1].any():
                break
        return np.array(rows)

    def _step(
        self, q_J: Floats, qd_J: Floats, wish: Wish, after_s: float, dt_s: float
    ) -> tuple[Floats, Floats]:
        most_J = self._acceleration_J * dt_s
        change_J = self._wanted(q_J, wish, after_s) - qd_J
        # All joints alike, so that the direction stays.
        change_J = change_J / max(1.0, float((np.abs(change_J) / most_J).max()))
        after_J = qd_J + change_J
        moved_J = q_J + 0.5 * (qd_J + after_J) * dt_s
        lower_J = np.minimum(self._lower_J, q_J)
        upper_J = np.maximum(self._upper_J, q_J)
        kept_J = np.clip(moved_J, lower_J, upper_J)
        return kept_J, np.where(kept_J == moved_J, after_J, 0.0)

    def _wanted(self, q_J: Floats, wish: Wish, after_s: float) -> Floats:
        """The velocity of a wish, `after_s` after it was made, slow enough to stop in time."""
        wanted_J = wish.feed_J
        if wish.goal_J is not None:
            away_J = wish.goal_J + after_s * wish.feed_J - q_J
            wanted_J = wanted_J + self._approach(away_J, wish.soon_s)
        share = float((np.abs(wanted_J) / self._velocity_J).max())
        wanted_J = wanted_J / max(1.0, share)
        brake_J = 2.0 * APPROACH * self._acceleration_J
        down_J = np.sqrt(brake_J * np.maximum(q_J - self._lower_J, 0.0))
        up_J = np.sqrt(brake_J * np.maximum(self._upper_J - q_J, 0.0))
        return np.clip(wanted_J, -down_J, up_J)

    def _approach(self, away_J: Floats, soon_s: float) -> Floats:
        """Velocity towards a goal from which it can still stop there."""
        far_J = np.abs(away_J)
        soon_J = np.sqrt(2.0 * APPROACH * self._acceleration_J * far_J)
        return np.sign(away_J) * np.minimum(soon_J, far_J / soon_s)
