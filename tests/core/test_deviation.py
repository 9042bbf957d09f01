"""Deviations are those of the robot, over the rows that are executed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a1_core.chunk import ActionSpace, DeltaBase
from a1_core.deviation import DeviationMeter
from a1_core.errors import SpecError
from a1_core.spec import load_spec
from a1_world.kinematics import ArmKinematics

ROBOTS = Path(__file__).parents[2] / "config/robots"
K, N, H, D = 2, 3, 16, 8


@pytest.fixture
def chunks():
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.05, (K, N, H, D)), rng.normal(0, 0.05, (N, H, D))


@pytest.fixture
def states():
    return np.random.default_rng(1).uniform(-0.5, 0.5, (N, D)).astype(np.float32)


def test_joints_and_gripper_over_the_executed_rows(spec, chunks, states):
    actions, full = chunks
    meter = DeviationMeter(spec, 0.5, "rad")
    assert (meter.names, meter.unit, meter.rows) == (("joint_rad", "gripper"), "rad", 5)
    off = np.abs(actions - full)[:, :, :5]
    found = meter(actions, full, states)
    np.testing.assert_allclose(found[..., 0], off[..., :7].max(axis=(2, 3)))
    np.testing.assert_allclose(found[..., 1], off[..., 7].max(axis=2))
    assert DeviationMeter(spec, 0.0).rows == H
    assert DeviationMeter(spec, 99.0).rows == H


def test_deltas_from_the_previous_row_add_up(spec, chunks, states):
    actions, full = chunks
    policy = replace(spec.policy, delta_base=DeltaBase.PREVIOUS_ROW)
    found = DeviationMeter(replace(spec, policy=policy), 0.3, "rad")(actions, full, states)
    off = np.abs(np.cumsum((actions - full)[:, :, :3, :7], axis=2))
    np.testing.assert_allclose(found[..., 0], off.max(axis=(2, 3)))


def test_the_tip_is_where_the_spec_says(spec, chunks, states):
    actions, full = chunks
    arm = ArmKinematics()  # of the simulator's model, which knows nothing of the spec
    meter = DeviationMeter(spec, 0.2)
    assert (meter.names[0], meter.unit) == ("tool_tip_m", "m")
    assert meter.kinematics == spec.kinematics.digest

    def tip(q_J):
        return arm.tip_pose(q_J)[0]

    found = meter(actions, full, states)
    q = states[1, :7].astype(float)
    apart = [tip(q + actions[1, 1, r, :7]) - tip(q + full[1, r, :7]) for r in range(2)]
    assert found[1, 1, 0] == pytest.approx(max(np.linalg.norm(each) for each in apart), abs=1e-6)


def test_of_two_arms_the_tip_farther_off_counts():
    openarm = load_spec(ROBOTS / "openarm.yaml")
    horizon, dim = openarm.policy.horizon, openarm.dim
    full = np.repeat(np.append(openarm.home, [1.0, 1.0])[None, None], horizon, axis=1)
    actions = np.repeat(full[None], 2, axis=0)
    actions[0, 0, 3, 3] += 0.1  # left elbow
    actions[1, 0, 5, 10] += 0.2  # right elbow
    policy = replace(openarm.policy, action_space=ActionSpace.JOINT_POSITION)
    found = DeviationMeter(replace(openarm, policy=policy), 0.0)(actions, full, np.zeros((1, dim)))
    home = openarm.kinematics(openarm.home)
    for k, (row, column, arm) in enumerate([(3, 3, 0), (5, 10, 1)]):
        tips = openarm.kinematics(actions[k, 0, row, : len(openarm.home)])
        assert openarm.joint_names[column] in openarm.arms[arm].joints
        assert found[k, 0, 0] == pytest.approx(np.linalg.norm(tips[arm] - home[arm]))


def test_without_a_chain_joints_are_measured_and_metres_refused(spec):
    unknown = replace(spec, arms=(replace(spec.arms[0], chain=None),))
    assert DeviationMeter(unknown, 0.5).names[0] == "joint_rad"
    with pytest.raises(SpecError, match="kinematics are GAP"):
        DeviationMeter(unknown, 0.5, "m")


def test_spaces_without_joint_rows_are_refused(spec):
    policy = replace(spec.policy, action_space=ActionSpace.EE_POSE)
    with pytest.raises(SpecError, match="EE_POSE"):
        DeviationMeter(replace(spec, policy=policy), 0.5)
