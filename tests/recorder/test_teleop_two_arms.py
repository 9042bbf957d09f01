"""Two arms: sticks drive one at a time, leaders both, before the real controller core."""

from dataclasses import replace

import numpy as np
import pytest
from teleop_flight import CONFIG, LET_GO, Flight, held

from a1_core.chunk import Source
from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_core.verdict import VerdictCode
from a1_recorder.teleop.leader import Leader
from a1_recorder.teleop.settings import Settings, fitted_settings
from a1_recorder.teleop.steering import (
    JointSteering,
    LeaderSteering,
    TipSteering,
    load_arms,
    parts_of,
)
from a1_ros.parameters import specs_of

SPEC = load_spec(CONFIG / "robots/openarm.yaml")
ALOHA = load_spec(CONFIG / "robots/aloha.yaml")
TIPS = SPEC.kinematics
LEFT, RIGHT = slice(0, 7), slice(7, 14)
NEXT_ARM = replace(LET_GO, next_arm=True)


def joint_steering() -> JointSteering:
    return JointSteering(parts_of(SPEC), SPEC.operating_limits, 0.2)


def tip_steering() -> TipSteering:
    boxes = [SPEC.operating_limits.workspaces[arm.name] for arm in SPEC.arms]
    arms = load_arms("", SPEC)
    return TipSteering(parts_of(SPEC), arms, boxes, speed_m_s=0.1, turn_rad_s=0.4)


def test_a_stick_drives_one_arm_and_the_button_chooses_the_other():
    flight = Flight(joint_steering(), SPEC)
    flight.fly(held(joint=0.5, gripper=0.0), 1.0).fly(LET_GO, 2.0)
    assert flight.rests()
    moved = flight.arm_D[:14] - SPEC.home
    assert moved[0] > 0.03
    np.testing.assert_allclose(moved[1:], 0.0, atol=1e-6)
    np.testing.assert_array_equal(flight.arm_D[14:], [0.0, 1.0])
    flight.fly(NEXT_ARM, 0.5)
    assert "right arm is chosen" in flight.pilot.message
    before_D = flight.arm_D.copy()
    flight.fly(held(joint=0.5), 1.0)
    assert "right arm" in flight.pilot.message
    flight.fly(LET_GO, 2.0)
    np.testing.assert_allclose(flight.arm_D[LEFT], before_D[LEFT], atol=1e-6)
    assert flight.arm_D[7] - before_D[7] > 0.03
    np.testing.assert_array_equal(flight.arm_D[14:], [0.0, 1.0])
    assert set(flight.told_by(Source.TELEOP)) == {VerdictCode.ACCEPTED}


def test_the_arm_is_not_exchanged_while_it_is_driven():
    flight = Flight(joint_steering(), SPEC).fly(held(joint=0.5), 0.3)
    flight.fly(replace(held(joint=0.5), next_arm=True), 0.5)
    assert flight.pilot.arm == 0
    np.testing.assert_allclose(flight.arm_D[RIGHT], SPEC.home[RIGHT], atol=1e-6)


def test_each_tip_goes_where_the_stick_points():
    flight = Flight(tip_steering(), SPEC)
    # Elbows off their stops, where no direction is free.
    flight.fly(held(z=1.0), 1.0).fly(LET_GO, 2.0).fly(NEXT_ARM, 0.1)
    flight.fly(held(z=1.0), 1.0).fly(LET_GO, 2.0)
    for other, mine in ((0, 1), (1, 0)):
        before = TIPS(flight.arm_D[:14])
        flight.fly(held(x=1.0), 1.0).fly(LET_GO, 2.0)
        moved = TIPS(flight.arm_D[:14]) - before
        assert moved[mine][0] > 0.04
        assert np.abs(moved[mine][1:]).max() < 0.01
        np.testing.assert_allclose(moved[other], 0.0, atol=1e-6)
        flight.fly(NEXT_ARM, 0.1).fly(LET_GO, 0.1)
    assert set(flight.told_by(Source.TELEOP)) == {VerdictCode.ACCEPTED}


def test_leaders_are_mirrored_by_both_arms():
    steering = LeaderSteering(
        SPEC.joint_names,
        signs_J=np.ones(14),
        offsets_J=np.zeros(14),
        relative=True,
        max_apart=0.2,
    )
    leader_J = np.zeros(14)
    steering.hear(leader_J, np.array([0.25, 0.75]))
    flight = Flight(steering, SPEC, choose=False).fly(held(), 0.1)
    leader_J[[0, 7]] += 0.2, -0.1
    steering.hear(leader_J, np.array([0.25, 0.75]))
    flight.fly(held(), 2.0)
    wanted_J = SPEC.home.copy()
    wanted_J[[0, 7]] += 0.2, -0.1
    np.testing.assert_allclose(flight.arm_D[:14], wanted_J, atol=2e-3)
    np.testing.assert_allclose(flight.arm_D[14:], [0.25, 0.75], atol=1e-3)


def test_two_leaders_may_tell_on_a_topic_each_and_either_may_fall_silent():
    leader = Leader(
        ("l1", "r1"), grippers=["lg", "rg"], closed=[0.0, 1.0], open=[1.0, 0.0], timeout_s=0.1
    )
    leader.take(["l1", "lg"], [0.5, 0.25], 0)
    assert leader.joints(0) is None
    assert "r1, rg not in" in leader.complaint
    leader.take(["rg", "r1"], [0.25, 0.7], 50_000_000)
    assert leader.complaint == ""
    np.testing.assert_array_equal(leader.joints(60_000_000), [0.5, 0.7])
    np.testing.assert_array_equal(leader.openings(60_000_000), [0.25, 0.75])
    leader.take(["rg", "r1"], [0.25, 0.7], 120_000_000)
    assert leader.joints(120_000_000) is None


@pytest.mark.parametrize("spec", [SPEC, ALOHA], ids=["openarm", "aloha"])
def test_the_kinematics_of_the_spec_lead_back_to_where_they_came_from(spec):
    for part, arm in zip(parts_of(spec), load_arms("", spec), strict=True):
        limits = spec.operating_limits
        lower, upper = limits.position_lower[part.joints], limits.position_upper[part.joints]
        there = lower + 0.4 * (upper - lower)
        position, rotation = arm.tip_pose(there)
        q = there + 0.05
        for _ in range(60):
            q, missed_m = arm.step_towards(q, position, rotation, 0.0)
        assert missed_m < 1e-5
        np.testing.assert_allclose(arm.tip_pose(q)[0], position, atol=1e-5)


def test_the_tip_is_where_the_workspace_check_has_it():
    q_J = SPEC.home + 0.1
    for part, arm, tip in zip(parts_of(SPEC), load_arms("", SPEC), TIPS(q_J), strict=True):
        np.testing.assert_allclose(arm.tip_pose(q_J[part.joints])[0], tip, atol=1e-9)


def test_settings_of_two_arms():
    values = {spec.name: spec.default for spec in specs_of(Settings)}
    values |= {"leader.gripper": ["lg", "rg"], "leader.gripper_open": [1.0, 2.0]}
    settings = fitted_settings(values, SPEC.joint_names, 2)
    assert settings.leader_gripper_closed == (0.0, 0.0)
    assert settings.leader_gripper_open == (1.0, 2.0)
    assert len(settings.leader_signs) == 14


def test_kinematics_of_one_arm_are_refused_for_two():
    with pytest.raises(A1Error, match="makes one arm"):
        load_arms("a1_world.kinematics:ArmKinematics", SPEC)
