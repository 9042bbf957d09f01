"""Forward and inverse kinematics of the arm on a model without shapes: no rendering, no physics."""

from __future__ import annotations

from functools import lru_cache

import mujoco
import numpy as np

from a1_world.layout import READY_Q
from a1_world.scene import ARM_JOINTS, robot_spec

# Inverse kinematics: least squares on the pose error, and a pull of the redundant joint to READY_Q.
DAMPING = 0.002
ROTATION_WEIGHT_M = 0.3
POSTURE_GAIN = 0.35
# Kept from the ends of the model's joint ranges, so that solutions lie in the operating limits.
JOINT_MARGIN_RAD = 0.30


class ArmKinematics:
    """Tip pose from joints and joints from tip pose; base frame, m and rad."""

    def __init__(self) -> None:
        self._model = _arm_model()
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site("tip").id
        self._jacobian = np.zeros((6, 7))
        joints = [self._model.joint(name) for name in ARM_JOINTS]
        self.lower = np.array([joint.range[0] for joint in joints]) + JOINT_MARGIN_RAD
        self.upper = np.array([joint.range[1] for joint in joints]) - JOINT_MARGIN_RAD

    def tip_pose(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position [3] and rotation matrix [3, 3] of the tip for joints `q` [7]."""
        self._data.qpos[:] = q
        mujoco.mj_kinematics(self._model, self._data)
        return (
            self._data.site_xpos[self._site].copy(),
            self._data.site_xmat[self._site].reshape(3, 3).copy(),
        )

    def step_towards(
        self,
        q: np.ndarray,
        position: np.ndarray,
        rotation: np.ndarray,
        posture_gain: float = POSTURE_GAIN,
    ) -> tuple[np.ndarray, float]:
        """One damped least-squares step from `q` [7]: the new joints and the pose error before it.

        The error is in metres, rotations weighted by ROTATION_WEIGHT_M (metres a radian).
        `posture_gain` is the share of the way to READY_Q that the redundant motion takes.
        """
        here, frame = self.tip_pose(q)
        mujoco.mj_comPos(self._model, self._data)
        jacobian = self._jacobian
        mujoco.mj_jacSite(self._model, self._data, jacobian[:3], jacobian[3:], self._site)
        error = np.empty(6)
        error[:3] = position - here
        error[3:] = ROTATION_WEIGHT_M * rotation_vector(rotation @ frame.T)
        weighted = jacobian.copy()
        weighted[3:] *= ROTATION_WEIGHT_M
        rest = posture_gain * (READY_Q - q)
        normal = weighted @ weighted.T
        normal[np.diag_indices(6)] += DAMPING**2
        change = rest + weighted.T @ np.linalg.solve(normal, error - weighted @ rest)
        return np.clip(q + change, self.lower, self.upper), float(np.linalg.norm(error))

    def solve(
        self,
        q: np.ndarray,
        position: np.ndarray,
        rotation: np.ndarray,
        *,
        iterations: int = 60,
        tolerance_m: float = 1e-5,
    ) -> tuple[np.ndarray, float]:
        """Joints [7] for a tip pose, started at `q`, and the error left (metres, weighted)."""
        error = np.inf
        for _ in range(iterations):
            after, error = self.step_towards(q, position, rotation)
            done = error < tolerance_m and float(np.abs(after - q).max()) < 1e-4
            q = after
            if done:
                break
        return q, error


@lru_cache(maxsize=1)
def _arm_model() -> mujoco.MjModel:
    return robot_spec(kinematic=True).compile()


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Axis times angle [3] of a rotation matrix."""
    quat, vector = np.empty(4), np.empty(3)
    mujoco.mju_mat2Quat(quat, rotation.ravel())
    mujoco.mju_quat2Vel(vector, quat, 1.0)
    return vector


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] of axis times angle [3]."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.eye(3)
    quat, matrix = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quat, vector / angle, angle)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def down(yaw: float) -> np.ndarray:
    """Rotation of a hand that points straight down, its x axis at `yaw` from the base's x axis."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, sin, 0.0], [sin, -cos, 0.0], [0.0, 0.0, -1.0]])


def hand_yaw(rotation: np.ndarray) -> float:
    """Angle of the hand's x axis in the table's plane (rad)."""
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))
