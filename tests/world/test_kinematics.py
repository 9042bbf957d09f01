"""The arm's kinematics, against the robot's published geometry and against themselves."""

import numpy as np
import pytest

from a1_world.kinematics import ArmKinematics, down, hand_yaw
from a1_world.layout import READY_Q

# FR3 with hand in its usual pose [0, -45, 0, -135, 0, 90, 45] degrees: from its DH parameters.
POSE_Q = np.radians([0.0, -45.0, 0.0, -135.0, 0.0, 90.0, 45.0])
POSE_TIP_M = [0.30689, 0.0, 0.48688]


def test_tip_of_the_usual_pose():
    np.testing.assert_allclose(ArmKinematics().tip_pose(POSE_Q)[0], POSE_TIP_M, atol=1e-4)


def test_ready_pose_points_down():
    position, rotation = ArmKinematics().tip_pose(READY_Q)
    np.testing.assert_allclose(position, [0.44, 0.0, 0.26], atol=1e-3)
    np.testing.assert_allclose(rotation, down(0.0), atol=1e-3)


@pytest.mark.parametrize("yaw", [-0.8, 0.0, 0.8])
def test_inverse_reaches_and_has_one_answer(yaw):
    arm, rng = ArmKinematics(), np.random.default_rng(0)
    for _ in range(20):
        wanted = rng.uniform([0.42, -0.25, 0.02], [0.66, 0.25, 0.30])
        answers = []
        for _ in range(2):
            start = READY_Q + rng.uniform(-0.2, 0.2, 7)
            q, error = arm.solve(start, wanted, down(yaw), iterations=200)
            assert error < 1e-4
            answers.append(q)
        assert np.abs(answers[0] - answers[1]).max() < 2e-3
        position, rotation = arm.tip_pose(answers[0])
        np.testing.assert_allclose(position, wanted, atol=1e-4)
        assert hand_yaw(rotation) == pytest.approx(yaw, abs=1e-3)
