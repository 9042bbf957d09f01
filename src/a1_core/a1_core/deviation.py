"""How far a chunk is from the full-depth one, in units of the robot."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import ActionSpace, DeltaBase, is_gripper
from a1_core.errors import SpecError, ThresholdsError
from a1_core.forward_kinematics import ForwardKinematics
from a1_core.spec import RobotSpec

JOINT_SPACES = (ActionSpace.JOINT_POSITION, ActionSpace.JOINT_DELTA)


class DeviationMeter:
    """Largest deviation over the executed rows.

    Attributes:
        names: what is measured, with units: `tool_tip_m` (with a tip function) or `joint_rad`
            (the joint that is farthest off), then `gripper` for a robot that has one.
        rows: rows of a chunk that count.
        spec: of the robot.
    """

    def __init__(
        self, spec: RobotSpec, executed_s: float, tip: ForwardKinematics | None = None
    ) -> None:
        if spec.policy.action_space not in JOINT_SPACES:
            raise SpecError(
                f"{spec.path}: action_space is {spec.policy.action_space.name}; deviations are "
                "taken of joint rows, use joint_position or joint_delta"
            )
        if tip is not None and len(spec.arms) != 1:
            raise SpecError(
                f"{spec.path}: has {len(spec.arms)} arms, forward_kinematics serves one; leave it "
                "out and give the tolerance in rad"
            )
        horizon = spec.policy.horizon
        self.rows = min(horizon, math.ceil(executed_s / spec.policy.period_s - 1e-9)) or horizon
        self.spec, self._tip = spec, tip
        grippers = np.array([is_gripper(name) for name in spec.action_names])
        self._arm, self._gripper = np.flatnonzero(~grippers), np.flatnonzero(grippers)
        first = "joint_rad" if tip is None else "tool_tip_m"
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
        if self._tip is None:
            parts = [np.abs(joints - whole).max(axis=(-1, -2))]
        else:
            apart = self._tips(joints) - self._tips(whole)
            parts = [np.linalg.norm(apart, axis=-1).max(axis=-1)]
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

    def _tips(self, joints: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self._tip is not None
        flat = joints.reshape(-1, joints.shape[-1])
        return np.stack([self._tip(q) for q in flat]).reshape(*joints.shape[:-1], 3)
