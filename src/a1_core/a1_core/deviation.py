"""How far a chunk is from the full-depth one, in units of the robot."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import JOINT_SPACES, ActionSpace, DeltaBase, is_gripper
from a1_core.errors import SpecError, ThresholdsError
from a1_core.spec import RobotSpec

EXECUTED_S = 0.5
"""First part of a chunk that is executed where nothing else is said: the policy node replans after
0.3 s, and a chunk takes some time to be made."""


def executed_rows(spec: RobotSpec, executed_s: float = EXECUTED_S) -> int:
    """Rows of a chunk that begin in its first `executed_s` seconds; all for 0."""
    horizon = spec.policy.horizon
    return min(horizon, math.ceil(executed_s / spec.policy.period_s - 1e-9)) or horizon


class DeviationMeter:
    """Largest deviation over the executed rows.

    Args:
        executed_s: first seconds of a chunk that count; 0: all of it.
        unit: "m": of the tool tip that is farthest off, by the spec's kinematics; "rad": of the
            joint that is; empty: m where the spec has kinematics.

    Attributes:
        names: what is measured, with units: `tool_tip_m` or `joint_rad`, then `gripper` for a
            robot that has one (the one that is farthest off).
        rows: rows of a chunk that count.
        spec: of the robot.
        kinematics: digest of the kinematics that are used; empty for joints.
    """

    def __init__(self, spec: RobotSpec, executed_s: float, unit: str = "") -> None:
        if spec.policy.action_space not in JOINT_SPACES:
            raise SpecError(
                f"{spec.path}: action_space is {spec.policy.action_space.name}; deviations are "
                "taken of joint rows, use joint_position or joint_delta"
            )
        if unit == "m" and spec.kinematics is None:
            raise SpecError(
                f"{spec.path}: kinematics are GAP, and deviations in m need them: write the chain "
                "of frames into a copy of the spec, or give the tolerance in rad"
            )
        self.rows = executed_rows(spec, executed_s)
        self.spec = spec
        self._tips = None if unit == "rad" else spec.kinematics
        self.kinematics = "" if self._tips is None else self._tips.digest
        grippers = np.array([is_gripper(name) for name in spec.action_names])
        self._arm, self._gripper = np.flatnonzero(~grippers), np.flatnonzero(grippers)
        first = "joint_rad" if self._tips is None else "tool_tip_m"
        self.names = (first, "gripper") if len(self._gripper) else (first,)

    @property
    def unit(self) -> str:
        """Of the first deviation."""
        return self.names[0].rpartition("_")[2]

    def __call__(
        self,
        actions_KNHD: NDArray[np.floating],
        full_NHD: NDArray[np.floating],
        state_ND: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Deviation [K, N, C] of every exit's chunk; robot units, C as in `names`."""
        rows = slice(self.rows)
        chunks = np.asarray(actions_KNHD, dtype=np.float64)[:, :, rows]
        full = np.asarray(full_NHD, dtype=np.float64)[:, rows]
        joints = self._joints(chunks[..., self._arm], state_ND)
        whole = self._joints(full[..., self._arm], state_ND)
        if self._tips is None:
            parts = [np.abs(joints - whole).max(axis=(-1, -2))]
        else:
            apart = self._tips(joints) - self._tips(whole)
            parts = [np.linalg.norm(apart, axis=-1).max(axis=(-1, -2))]
        if len(self._gripper):
            off = np.abs(chunks[..., self._gripper] - full[..., self._gripper])
            parts.append(off.max(axis=(-1, -2)))
        found = np.stack(parts, axis=-1)
        if not np.isfinite(found).all():
            raise ThresholdsError(
                "a chunk of the checkpoint holds values that are not finite; train it again"
            )
        return found

    def _joints(
        self, arm: NDArray[np.float64], state_ND: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Joint positions of rows [..., N, H, J]."""
        if self.spec.policy.action_space is ActionSpace.JOINT_POSITION:
            return arm
        if self.spec.policy.delta_base is DeltaBase.PREVIOUS_ROW:
            arm = np.cumsum(arm, axis=-2)
        return np.asarray(state_ND, dtype=np.float64)[:, None, self._arm] + arm
