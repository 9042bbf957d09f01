"""Rows of a data set as the chunks that a policy is trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import ActionSpace, DeltaBase, is_gripper
from a1_core.errors import DatasetError
from a1_core.spec import RobotSpec


def chunk_at(
    action_TD: NDArray[np.float32], state_TD: NDArray[np.float32], at: int, spec: RobotSpec
) -> NDArray[np.float32]:
    """The chunk [H, D] of frame `at` in the spec's action space; row r is the action of at + r.

    Rows beyond the episode's end repeat its last action. Frames are a policy's period apart.

    Raises DatasetError for an action space that absolute joint positions cannot be turned into.
    """
    policy = spec.policy
    rows = np.minimum(np.arange(at, at + policy.horizon), len(action_TD) - 1)
    chunk_HD = action_TD[rows].astype(np.float32)
    if policy.action_space is ActionSpace.JOINT_POSITION:
        return chunk_HD
    if policy.action_space is not ActionSpace.JOINT_DELTA:
        raise DatasetError(
            f"{spec.path}: policy.action_space is {policy.action_space.name.lower()}; a data set "
            "of joint positions serves joint_position and joint_delta"
        )
    joints = np.array([not is_gripper(name) for name in spec.action_names])
    base_HD = np.broadcast_to(state_TD[at], chunk_HD.shape)
    if policy.delta_base is DeltaBase.PREVIOUS_ROW:
        base_HD = np.concatenate([state_TD[at : at + 1], chunk_HD[:-1]])
    return np.where(joints, chunk_HD - base_HD, chunk_HD).astype(np.float32)


def frames_apart(fps: int, spec: RobotSpec, where: object) -> int:
    """How many frames of a data set make one period of the robot's policy.

    Raises DatasetError where that is no whole number.
    """
    apart = fps * spec.policy.period_s
    if abs(apart - round(apart)) > 1e-6 or round(apart) < 1:
        raise DatasetError(
            f"{where}: fps is {fps}, {spec.robot}'s policy wants a row every "
            f"{spec.policy.period_s} s; import it to bags and export these at the policy's rate"
        )
    return round(apart)
