"""Pilot, target and steering before the real controller core, on a made-up clock."""

from itertools import pairwise

import numpy as np
import pytest
from teleop_flight import BOX, LET_GO, LIMITS, READY, SPEC, Flight, held, tip_steering

from a1_core.chunk import Source
from a1_core.verdict import VerdictCode
from a1_recorder.teleop.pilot import Phase
from a1_recorder.teleop.steering import JointSteering, LeaderSteering, load_arms, parts_of


def test_the_tip_goes_where_the_stick_points_and_stops_when_it_is_let_go():
    flight = Flight(tip_steering())
    before, rotation = flight.tip, load_arms("", SPEC)[0].tip_pose(SPEC.home)[1]
    flight.fly(held(x=1.0, z=-0.5), 1.5)
    assert flight.mode == "TRACKING"
    flight.fly(LET_GO, 1.2)
    moved = flight.tip - before
    assert 0.15 < moved[0] < 0.3
    assert moved[2] / moved[0] == pytest.approx(-0.5, abs=0.05)
    assert abs(moved[1]) < 0.01
    after = load_arms("", SPEC)[0].tip_pose(flight.arm_D[:7])[1]
    np.testing.assert_allclose(after, rotation, atol=0.02)
    assert flight.rests()
    assert flight.pilot.phase is Phase.IDLE
    assert set(flight.told_by(Source.TELEOP)) == {VerdictCode.ACCEPTED}
    assert flight.controller.admission.lock.source is Source.TELEOP


def test_what_is_driven_keeps_the_limits_and_has_no_jumps():
    flight = Flight(tip_steering())
    for x in (1.0, -1.0, 1.0):
        flight.fly(held(x=x, y=x, z=0.3, turn=-x), 0.7)
        flight.fly(LET_GO, 0.1)
    for before, after in pairwise(flight.path):
        assert (np.abs(after.qd_D[:7]) <= LIMITS.velocity * 1.001).all()
        assert (np.abs(after.qdd_D[:7]) <= LIMITS.acceleration * 1.001).all()
        assert (np.abs(after.qdd_D - before.qdd_D)[:7] <= LIMITS.jerk * 0.02 * 1.001).all()
    assert set(flight.told_by(Source.TELEOP)) == {VerdictCode.ACCEPTED}


def test_the_tip_stops_at_the_wall_and_comes_back():
    flight = Flight(tip_steering()).fly(held(x=1.0), 1.5).fly(held(z=-1.0), 5.0)
    assert -0.001 < flight.tip[2] - BOX.lower[2] < 0.03
    flight.fly(held(z=1.0), 1.0)
    assert flight.tip[2] > BOX.lower[2] + 0.08


def test_at_the_edge_of_its_reach_the_arm_stops_and_does_not_slide():
    flight = Flight(tip_steering())
    x, y, _ = flight.tip
    flight.fly(held(z=-1.0), 4.0)
    stuck = flight.tip
    assert stuck[2] > 0.1  # the elbow is at its end here, far above the table
    assert abs(stuck[0] - x) < 0.01
    assert abs(stuck[1] - y) < 0.01
    flight.fly(held(z=1.0), 1.0)
    assert flight.tip[2] > stuck[2] + 0.08


def test_a_take_over_corrects_a_policy_in_motion_and_gives_back_on_release():
    flight = Flight(tip_steering()).fly(LET_GO, 1.0, policy=True)
    assert flight.path[-1].qd_D[0] > 0.2
    flight.fly(held(z=1.0), 0.2, policy=True)
    assert "take-over" in flight.pilot.message
    assert not flight.told_by(Source.TELEOP)
    flight.fly(LET_GO, 0.2, policy=True).verdicts.clear()
    flight.fly(held(z=1.0, take_over=True), 1.0, policy=True)
    assert set(flight.told_by(Source.TAKEOVER)) == {VerdictCode.ACCEPTED}
    # A pause of the person is no end of the correction.
    height = flight.tip[2]
    flight.fly(held(take_over=True), 1.5, policy=True)
    assert flight.tip[2] == pytest.approx(height, abs=0.03)
    assert set(flight.told_by(Source.POLICY)) == {VerdictCode.NOT_SOURCE}
    flight.verdicts.clear()
    flight.fly(LET_GO, 1.5, policy=True)
    codes = flight.told_by(Source.POLICY)
    assert codes[-1] is VerdictCode.ACCEPTED
    assert codes == sorted(codes, key=lambda code: code is VerdictCode.ACCEPTED)
    assert flight.path[-1].qd_D[0] > 0.2
    assert flight.pilot.message == "given back"
    for before, after in pairwise(flight.path):
        assert (np.abs(after.qdd_D - before.qdd_D)[:7] <= LIMITS.jerk * 0.02 * 1.001).all()


def test_a_take_over_of_a_moment_is_given_back_once_its_chunk_was_judged():
    flight = Flight(tip_steering()).fly(LET_GO, 0.5, policy=True)
    given_back_at: list[int] = []
    flight.gives_back = lambda: given_back_at.append(len(flight.told_by(Source.TAKEOVER)))
    flight.fly(held(take_over=True), 0.06).fly(LET_GO, 1.5, policy=True)
    assert given_back_at == [len(flight.told_by(Source.TAKEOVER))]
    assert given_back_at[0] > 0
    assert flight.told_by(Source.POLICY)[-1] is VerdictCode.ACCEPTED


def test_a_silent_joystick_stops_the_arm_and_keeps_it_taken_over():
    flight = Flight(tip_steering()).fly(LET_GO, 0.5, policy=True)
    flight.fly(held(x=1.0, take_over=True), 0.5, policy=True)
    flight.fly(None, 2.0, policy=True)
    assert flight.rests()
    assert flight.told_by(Source.POLICY)[-1] is VerdictCode.NOT_SOURCE
    assert "a1/give_back" in flight.pilot.message
    # It comes back with the button down: that is no press.
    flight.fly(held(x=1.0, take_over=True), 0.5, policy=True)
    assert flight.rests()
    flight.fly(LET_GO, 0.2).fly(held(take_over=True), 0.3).fly(LET_GO, 1.5, policy=True)
    assert flight.told_by(Source.POLICY)[-1] is VerdictCode.ACCEPTED


def test_a_moment_of_silence_needs_another_press():
    flight = Flight(tip_steering()).fly(held(x=1.0), 0.5).fly(None, 0.06)
    flight.fly(held(x=1.0), 1.5)
    assert flight.rests()
    assert "press again" in flight.pilot.message
    # Let go and pressed again while the arm still stops: it goes on.
    flight.fly(LET_GO, 0.06).fly(held(x=1.0), 0.5).fly(LET_GO, 0.06).fly(held(x=1.0), 0.3)
    assert flight.pilot.phase is Phase.DRIVING
    assert len({source for source, _ in flight.verdicts}) == 1


def test_a_button_that_is_held_when_the_arm_is_armed_moves_nothing():
    flight = Flight(tip_steering())
    flight.controller.disarm(flight.now)
    flight.fly(held(x=1.0), 0.5)
    assert "DISARMED" in flight.pilot.message
    assert flight.controller.arm(READY, flight.now).ok
    flight.fly(held(x=1.0), 0.5)
    assert flight.rests()
    assert not flight.verdicts
    flight.fly(LET_GO, 0.1).fly(held(x=1.0), 0.5)
    assert flight.mode == "TRACKING"


def test_a_silent_or_stopped_controller_ends_the_session():
    flight = Flight(tip_steering()).fly(held(x=1.0), 0.5)
    flight.controller.stop("stop was called", flight.now)
    flight.fly(held(x=1.0), 0.3)
    assert flight.pilot.phase is Phase.IDLE
    assert "STOPPED" in flight.pilot.message
    other = Flight(tip_steering()).fly(held(x=1.0), 0.5)
    other.heard_controller = False
    other.fly(held(x=1.0), 2.0)
    assert other.rests()
    assert "silent" in other.pilot.message


def test_joints_and_gripper():
    flight = Flight(JointSteering(parts_of(SPEC), LIMITS, 0.2)).fly(
        held(joint=1.0, gripper=0.0), 1.0
    )
    assert 0.2 < flight.arm_D[0] < 0.4
    np.testing.assert_allclose(flight.arm_D[1:7], SPEC.home[1:], atol=1e-6)
    assert flight.arm_D[7] == 0.0
    assert set(flight.told_by(Source.TELEOP)) == {VerdictCode.ACCEPTED}


def test_a_joint_stops_at_the_wall_at_the_end_of_its_range_and_comes_back():
    flight = Flight(JointSteering(parts_of(SPEC), LIMITS, 0.2)).fly(held(joint=1.0), 3.0)
    assert "WORKSPACE" in flight.pilot.message
    outside = np.maximum(BOX.lower - flight.tip, flight.tip - BOX.upper).max()
    assert outside < 0.01
    stuck = flight.arm_D[0]
    flight.fly(held(joint=-1.0), 1.0)
    assert flight.arm_D[0] < stuck - 0.2
    wrist = held()
    wrist.joints_J[6] = 1.0
    flight.fly(LET_GO, 0.5).fly(wrist, 10.0)
    assert flight.arm_D[6] == pytest.approx(LIMITS.position_upper[6], abs=0.02)


def leader_steering(**changes) -> LeaderSteering:
    values = {
        "signs_J": np.array([-1.0, 1, 1, 1, 1, 1, 1]),
        "offsets_J": np.zeros(7),
        "relative": True,
        "max_apart": 0.2,
    }
    return LeaderSteering(SPEC.joint_names, **(values | changes))


def test_the_arm_mirrors_a_leader_from_where_both_were():
    steering = leader_steering()
    flight = Flight(steering)
    flight.fly(held(), 0.1)
    assert "leader" in flight.pilot.message
    flight.fly(LET_GO, 0.1)
    leader_J = np.full(7, 0.4)
    steering.hear(leader_J, np.array([0.25]))
    flight.fly(held(), 0.1)
    leader_J[:2] += [0.3, 0.1]
    steering.hear(leader_J, np.array([0.25]))
    flight.fly(held(), 2.0)
    wanted_J = SPEC.home + [-0.3, 0.1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(flight.arm_D[:7], wanted_J, atol=2e-3)
    assert flight.arm_D[7] == pytest.approx(0.25)
    steering.hear(None, None)
    leader_J[0] += 1.0
    flight.fly(held(), 1.5)
    assert flight.rests()
    np.testing.assert_allclose(flight.arm_D[:7], wanted_J, atol=2e-3)


def test_a_leader_that_disagrees_is_named_joint_by_joint():
    steering = leader_steering(relative=False)
    at_home_J = SPEC.home * [-1, 1, 1, 1, 1, 1, 1]
    steering.hear(at_home_J + [0, 0, 0, 0.5, 0, 0, 0], None)
    flight = Flight(steering).fly(held(), 0.3)
    assert "fr3_joint4 is +0.50 rad" in flight.pilot.message
    steering.hear(at_home_J + [0, 0, 0, 0.15, 0, 0, 0], None)
    flight.fly(LET_GO, 0.1).fly(held(), 1.5)
    assert flight.arm_D[3] == pytest.approx(SPEC.home[3] + 0.15, abs=2e-3)
