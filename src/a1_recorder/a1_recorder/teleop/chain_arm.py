"""The kinematics of one arm from the chain of frames in its robot's spec: any arm can be steered.

Damped least squares on the tip's pose, as in Buss, "Introduction to inverse kinematics" (2004).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from a1_core.kinematics import Chain

Floats = NDArray[np.float64]

DAMPING = 0.002
# Metres that a radian counts as.
ROTATION_WEIGHT_M = 0.3


class ChainArm:
    """Tip pose from joints, and joints a step nearer to a pose; the arm's base frame, m and rad.

    Args:
        chain: of the arm.
        lower_J, upper_J: joint ranges that a step keeps to (rad).
        posture_J: what a redundant arm drifts to (rad).
    """

    def __init__(
        self, chain: Chain, *, lower_J: Floats, upper_J: Floats, posture_J: Floats
    ) -> None:
        self._places = chain.origins_N6[:, :3]
        self._frames = Rotation.from_euler("xyz", chain.origins_N6[:, 3:]).as_matrix()
        self._axes = chain.axes_J3
        self._lower_J, self._upper_J, self._posture_J = lower_J, upper_J, posture_J

    def tip_pose(self, q: Floats) -> tuple[Floats, Floats]:
        """Position [3] and rotation matrix [3, 3] of the tip for joints `q` [J]."""
        position, rotation, _, _ = self._follow(q)
        return position, rotation

    def step_towards(
        self, q: Floats, position: Floats, rotation: Floats, posture_gain: float
    ) -> tuple[Floats, float]:
        """The new joints [J], and the pose error before the step (m, rotations weighted)."""
        here, frame, joints_J3, axes_J3 = self._follow(q)
        turn = Rotation.from_matrix(rotation @ frame.T).as_rotvec()
        error = np.concatenate([position - here, ROTATION_WEIGHT_M * turn])
        moved = np.cross(axes_J3, here - joints_J3)
        jacobian = np.vstack([moved.T, ROTATION_WEIGHT_M * axes_J3.T])
        rest = posture_gain * (self._posture_J - q)
        normal = jacobian @ jacobian.T + DAMPING**2 * np.eye(6)
        change = rest + jacobian.T @ np.linalg.solve(normal, error - jacobian @ rest)
        return np.clip(q + change, self._lower_J, self._upper_J), float(np.linalg.norm(error))

    def _follow(self, q: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Tip position and rotation, then place and axis [J, 3] of every joint."""
        turns = Rotation.from_rotvec(self._axes * np.asarray(q, np.float64)[:, None]).as_matrix()
        place, frame = np.zeros(3), np.eye(3)
        joints, axes = [], []
        for origin, rotation, axis, turn in zip(
            self._places[:-1], self._frames[:-1], self._axes, turns, strict=True
        ):
            place = place + frame @ origin
            frame = frame @ rotation
            joints.append(place)
            axes.append(frame @ axis)
            frame = frame @ turn
        tip = place + frame @ self._places[-1]
        return tip, frame @ self._frames[-1], np.array(joints), np.array(axes)
