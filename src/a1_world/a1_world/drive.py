"""Plays joint rows on a world as a controller would, with disturbances when asked."""

from __future__ import annotations

import numpy as np

from a1_core.plan_in_hand import rows_at
from a1_world.kinematics import ArmKinematics
from a1_world.sample import PERIOD_S
from a1_world.world import World

CONTROL_S = 0.02
BLEND_S = 0.15
# Disturbances never command the tip below this height (m): no pressing on the table.
LOWEST_COMMAND_M = 0.014
GRIPPERS = np.arange(8) == 7


class Driver:
    """Follows rows from the present command on: a step between plans fades within BLEND_S.

    Attributes:
        wanted: joints [7] (rad) last commanded, without the disturbance.
    """

    def __init__(self, world: World, disturbance: Disturbance | None = None) -> None:
        self._world, self._disturbance = world, disturbance
        self._command = world.joint_positions
        self.wanted = self._command

    def play(
        self,
        rows_HD: np.ndarray,
        duration_s: float,
        *,
        begin_s: float = 0.0,
        stop_when_over: bool = True,
    ) -> None:
        """Follow `rows_HD` (absolute [H, 8], row r due r * 0.1 s - begin_s from now) for
        duration_s; the last row is kept."""
        elapsed_N = CONTROL_S * np.arange(round(duration_s / CONTROL_S) + 1)
        target_ND = rows_at(rows_HD, (begin_s + elapsed_N) / PERIOD_S, GRIPPERS)
        jump = self._command - target_ND[0, :7]
        offset = np.zeros(7)
        for elapsed, target in zip(elapsed_N[1:], target_ND[1:], strict=True):
            q = target[:7] + jump * max(1.0 - elapsed / BLEND_S, 0.0)
            gripper = float(target[7])
            self.wanted = q
            if self._disturbance is not None:
                offset, gripper = self._disturbance.apply(q, offset, gripper)
            self._command = q + offset
            self._world.set_command(self._command, gripper)
            self._world.step(CONTROL_S)
            if stop_when_over and (self._world.success() or self._world.failed()):
                return


class Disturbance:
    """Unwanted motion: a wandering velocity of all joints, shoves of the tip, fingers that slip.

    With `noise` 1 joints wander at about 0.03 rad/s and a shove of 0.17 m/s comes every 3 s.
    """

    def __init__(self, rng: np.random.Generator, noise: float) -> None:
        self._rng, self._noise = rng, noise
        self._arm = ArmKinematics()
        self._wander, self._shove = np.zeros(7), np.zeros(3)
        self._shove_left = self._slip_left = 0
        self._slip_to = 0.0

    def apply(self, q: np.ndarray, offset: np.ndarray, gripper: float) -> tuple[np.ndarray, float]:
        """The next offset from command `q` (both [7] rad) and the gripper target that arrives."""
        rng, noise = self._rng, self._noise
        self._wander = 0.95 * self._wander + rng.normal(0.0, 0.010 * noise, 7)
        if self._shove_left == 0 and rng.random() < 0.006 * noise:
            self._shove_left = int(rng.integers(10, 30))
            self._shove = rng.normal(0.0, 0.10, 3)
        if self._slip_left == 0 and rng.random() < 0.002 * noise:
            self._slip_left = int(rng.integers(8, 25))
            self._slip_to = float(rng.random() < 0.7)
        offset = offset + self._wander * CONTROL_S
        if self._shove_left > 0:
            self._shove_left -= 1
            offset = self._moved(q, offset, self._shove * CONTROL_S)
        if self._slip_left > 0:
            self._slip_left -= 1
            gripper = self._slip_to
        low = LOWEST_COMMAND_M - self._arm.tip_pose(q + offset)[0][2]
        if low > 0.0:
            offset = self._moved(q, offset, np.array([0.0, 0.0, low]))
        return offset, gripper

    def _moved(self, q: np.ndarray, offset: np.ndarray, by_m: np.ndarray) -> np.ndarray:
        position, rotation = self._arm.tip_pose(q + offset)
        return self._arm.step_towards(q + offset, position + by_m, rotation, 0.0)[0] - q
