"""Pilot, target and steering before the real controller core, on a made-up clock."""

import uuid
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from a1_controllers.adapter import Readiness
from a1_controllers.controller import Controller
from a1_controllers.kinematics import load_kinematics
from a1_controllers.settings import ControllerSettings, Now
from a1_core.chunk import ActionChunk, ActionSpace, DeltaBase, RotationKind, Source
from a1_core.errors import A1Error
from a1_core.limits import SafetyGate
from a1_core.spec import load_spec
from a1_core.verdict import VerdictCode
from a1_recorder.teleop.controls import Controls, Joystick, Layout
from a1_recorder.teleop.keyboard import NUDGE_S, Keys
from a1_recorder.teleop.leader import Leader
from a1_recorder.teleop.pilot import Heard, Phase, Pilot
from a1_recorder.teleop.settings import SPECS, settings_from
from a1_recorder.teleop.steering import JointSteering, LeaderSteering, TipSteering, load_arm
from a1_recorder.teleop.target import ROW_S, Target, Wish

CONFIG = Path(__file__).parents[2] / "config"
SPEC = load_spec(CONFIG / "robots/franka.yaml")
LIMITS = SPEC.operating_limits
BOX = LIMITS.workspace
TIP = load_kinematics("a1_world.kinematics:forward_kinematics", hardware=True)
TICK_NS = 20_000_000
TICKS_A_CHUNK = 3
LET_GO = Controls(deadman=False, take_over=False, tip_6=np.zeros(6), joints_J=np.zeros(7))


def held(x=0.0, y=0.0, z=0.0, *, turn=0.0, joint=0.0, gripper=None, take_over=False) -> Controls:
    return Controls(
        deadman=not take_over,
        take_over=take_over,
        tip_6=np.array([x, y, z, 0.0, 0.0, turn]),
        joints_J=np.array([joint, *np.zeros(6)]),
        gripper=gripper,
    )


def tip_steering() -> TipSteering:
    arm = load_arm("a1_world.kinematics:ArmKinematics")
    return TipSteering(arm, BOX, speed_m_s=0.15, turn_rad_s=0.6)


class Flight:
    """A pilot, the controller it drives, an arm that is where it is commanded to be."""

    def __init__(self, steering) -> None:
        self.now = Now(node_ns=10_000_000_000, watch_ns=77_000_000_000)
        gate = SafetyGate(SPEC, TIP)
        self.controller = Controller(SPEC, ControllerSettings(hardware=False), gate, self.now)
        target = Target(LIMITS, velocity_share=0.5, acceleration_share=0.35)
        self.pilot = Pilot(SPEC, target, steering)
        self.arm_D = np.append(SPEC.home, 1.0)
        self.verdicts: list[tuple[Source, VerdictCode]] = []
        self.path: list = []
        self.ticks = 0
        self.policy_seq = 0
        self.heard_controller = True
        self.fly(LET_GO, 0.1)
        assert self.controller.arm(Readiness(ok=True, message=""), self.now).ok
        self.fly(LET_GO, 0.1)

    def fly(self, controls: Controls | None, seconds: float, *, policy: bool = False) -> "Flight":
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            self._tick(controls, policy)
        return self

    def _tick(self, controls: Controls | None, policy: bool) -> None:
        self.now = Now(node_ns=self.now.node_ns + TICK_NS, watch_ns=self.now.watch_ns + TICK_NS)
        sensing, stamp_ns = self.controller.sensing, self.now.node_ns
        sensing.push(0, stamp_ns, SPEC.joint_names, self.arm_D[:7], np.zeros(7), self.now)
        width = SPEC.gripper.from_unit(self.arm_D[7])
        sensing.push(1, stamp_ns, [SPEC.gripper.joint], [width], [0.0], self.now)
        self.controller.tick(self.now)
        setpoint = self.controller.setpoint
        if self.controller.mode.armed:
            self.arm_D = setpoint.q_D.copy()
            self.path.append(setpoint)
        self.ticks += 1
        if policy and self.ticks % 15 == 0:
            self.judge(self.policy_chunk())
        if self.ticks % TICKS_A_CHUNK == 0:
            heard = self.heard() if self.heard_controller else None
            step = self.pilot.tick(self.now.node_ns, controls, heard)
            if step.chunk is not None:
                self.judge(step.chunk)
            if step.give_back:
                assert self.controller.give_back(self.now).ok

    def judge(self, chunk: ActionChunk) -> None:
        verdict = self.controller.judge(chunk, self.now)
        self.verdicts.append((chunk.source, verdict.code))
        self.pilot.verdict(chunk.session_id, verdict, self.heard())

    def heard(self) -> Heard:
        lock, setpoint = self.controller.admission.lock, self.controller.setpoint
        mode = self.controller.mode
        return Heard(
            stamp_ns=self.now.node_ns,
            mode=mode.mode.name,
            armed=mode.armed,
            tracking=mode.mode.name == "TRACKING",
            session_id=lock.session_id if lock else "",
            source=lock.source if lock else Source.POLICY,
            position_D=setpoint.q_D if setpoint else self.arm_D,
            velocity_D=setpoint.qd_D if setpoint else np.zeros(8),
        )

    def policy_chunk(self) -> ActionChunk:
        """Joint 1 goes on at 0.3 rad/s, the gripper closes."""
        self.policy_seq += 1
        actions_HD = np.zeros((16, 8), np.float32)
        actions_HD[:, 0] = 0.03 * np.arange(16)
        return ActionChunk(
            stamp_ns=self.now.node_ns - TICK_NS,
            session_id=str(uuid.UUID(int=7)),
            seq=self.policy_seq,
            source=Source.POLICY,
            robot=SPEC.robot,
            spec_digest=SPEC.digest,
            action_space=ActionSpace.JOINT_DELTA,
            delta_base=DeltaBase.OBSERVED,
            rotation=RotationKind.QUATERNION_XYZW,
            tip_frame="",
            base_frame=SPEC.base_frame,
            period_ns=SPEC.policy.period_ns,
            valid_for_ns=SPEC.policy.valid_for_ns,
            committed_rows=0,
            end_of_substep=0.0,
            exit_layer=4,
            checkpoint_digest="",
            thresholds_digest="",
            names=SPEC.action_names,
            actions_HD=actions_HD,
        )

    @property
    def mode(self) -> str:
        return self.controller.mode.mode.name

    @property
    def tip(self) -> np.ndarray:
        return TIP(self.arm_D[:7])

    def told_by(self, source: Source) -> list[VerdictCode]:
        return [code for sender, code in self.verdicts if sender is source]

    def rests(self) -> bool:
        return self.mode == "HOLD" and not self.path[-1].qd_D.any()


def test_the_tip_goes_where_the_stick_points_and_stops_when_it_is_let_go():
    flight = Flight(tip_steering())
    before, rotation = flight.tip, tip_steering()._arm.tip_pose(SPEC.home)[1]
    flight.fly(held(x=1.0, z=-0.5), 1.5)
    assert flight.mode == "TRACKING"
    flight.fly(LET_GO, 1.2)
    moved = flight.tip - before
    assert 0.15 < moved[0] < 0.3
    assert moved[2] / moved[0] == pytest.approx(-0.5, abs=0.05)
    assert abs(moved[1]) < 0.01
    after = tip_steering()._arm.tip_pose(flight.arm_D[:7])[1]
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


def test_a_button_that_is_held_when_the_arm_is_armed_moves_nothing():
    flight = Flight(tip_steering())
    flight.controller.disarm(flight.now)
    flight.fly(held(x=1.0), 0.5)
    assert "DISARMED" in flight.pilot.message
    assert flight.controller.arm(Readiness(ok=True, message=""), flight.now).ok
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
    flight = Flight(JointSteering(LIMITS, 0.2)).fly(held(joint=1.0, gripper=0.0), 1.0)
    assert 0.2 < flight.arm_D[0] < 0.4
    np.testing.assert_allclose(flight.arm_D[1:7], SPEC.home[1:], atol=1e-6)
    assert flight.arm_D[7] == 0.0
    assert set(flight.told_by(Source.TELEOP)) == {VerdictCode.ACCEPTED}


def test_a_joint_stops_at_the_wall_at_the_end_of_its_range_and_comes_back():
    flight = Flight(JointSteering(LIMITS, 0.2)).fly(held(joint=1.0), 3.0)
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
    steering.hear(leader_J, 0.25)
    flight.fly(held(), 0.1)
    leader_J[:2] += [0.3, 0.1]
    steering.hear(leader_J, 0.25)
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


def test_rows_end_at_rest_whatever_is_wished():
    target = Target(LIMITS, velocity_share=1.0, acceleration_share=0.35)
    target.start(SPEC.home, 0.5 * LIMITS.velocity)
    wish = Wish(feed_J=LIMITS.velocity * [1, -1, 1, -1, 1, -1, 1])
    rows_HJ = target.rows(wish, SPEC.home - 0.05, 0.3 * LIMITS.velocity)
    np.testing.assert_array_equal(rows_HJ[0], SPEC.home - 0.05)
    assert (np.abs(np.diff(rows_HJ, axis=0)) <= LIMITS.velocity * ROW_S * 1.001).all()
    assert (np.abs(np.diff(rows_HJ[-2:], axis=0)) <= 0.05 * ROW_S).all()
    bends = np.abs(np.diff(rows_HJ, n=2, axis=0))
    assert (bends <= 0.5 * LIMITS.acceleration * ROW_S**2 * 1.001).all()


LAYOUT = Layout(
    deadman=4, take_over=5, open=6, close=7, tip_axes=(1, 0, 4, -1, -1, 9),
    tip_signs=(1.0, -1.0, 1.0, 1.0, 1.0, 1.0), joint_axes=(0, 1), dead_zone=0.1,
)  # fmt: skip


def test_a_joystick_has_a_dead_zone_and_lets_go_when_it_is_silent():
    joystick = Joystick(LAYOUT, 7, 0.3)
    assert joystick.controls(0) is None
    joystick.take([0.55, 0.05, 0.0, 0.0, float("nan")], [0, 0, 0, 0, 1, 0, 1], 0)
    controls = joystick.controls(300_000_000)
    np.testing.assert_allclose(controls.tip_6, [0, -0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(controls.joints_J, [0.5, 0, 0, 0, 0, 0, 0])
    assert (controls.deadman, controls.take_over, controls.gripper) == (True, False, 1.0)
    assert joystick.controls(300_000_001) is None


def test_a_tap_of_a_key_is_a_nudge_and_t_holds_on():
    keys = Keys()
    keys.press("w", 0.0)
    axes, buttons = keys.joy(0.0)
    assert (axes[0], buttons) == (1.0, [1, 0, 0, 0])
    assert keys.joy(NUDGE_S) == ([0.0] * len(axes), [0, 0, 0, 0])
    keys.press("t", 1.0)
    assert keys.joy(9.0)[1] == [0, 1, 0, 0]
    keys.press("3", 9.0)
    keys.press("-", 9.0)
    assert keys.joy(9.0)[0][6 + 2] == -1.0


def test_a_leader_is_heard_by_name():
    leader = Leader(("b", "a"), gripper="g", closed=1.0, open=0.0, timeout_s=0.1)
    leader.take(["a", "b"], [1.0, 2.0], 0)
    assert leader.joints(0) is None
    assert "g not in" in leader.complaint
    leader.take(["a", "g", "b"], [1.0, 0.25, 2.0], 0)
    np.testing.assert_array_equal(leader.joints(0), [2.0, 1.0])
    assert leader.opening(0) == 0.75
    leader.take(["a", "g", "b"], [1.0, 0.25, float("nan")], 50_000_000)
    assert leader.joints(100_000_001) is None


def test_the_file_names_every_parameter_with_its_default():
    content = yaml.safe_load((CONFIG / "teleop.yaml").read_text())["/**/teleop"]
    found = {}
    for name, value in content["ros__parameters"].items():
        nested = value if isinstance(value, dict) else None
        found |= {f"{name}.{k}": v for k, v in nested.items()} if nested else {name: value}
    assert found == {spec.name: spec.default for spec in SPECS}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"joy.tip_axes": [0, 1]}, "joy.tip_axes has 2 entries; give 6"),
        ({"leader.signs": [1.0, -1.0]}, "leader.signs has 2 entries; give 7"),
        ({"steer": "leader"}, "leader.topic is empty"),
        ({"leader.gripper_open": 0.0}, "are both 0.0"),
    ],
)
def test_mistakes_are_named(changes, text):
    values = {spec.name: spec.default for spec in SPECS} | changes
    with pytest.raises(A1Error, match=text):
        settings_from(values, SPEC.joint_names)
    with pytest.raises(A1Error, match="nowhere"):
        load_arm("nowhere:f")
