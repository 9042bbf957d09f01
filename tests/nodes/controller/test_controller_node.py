"""The controller over DDS, before a robot's side that keeps Jazzy's rules."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from a1_msgs.msg import ActionChunk as ActionChunkMsg
from a1_msgs.msg import ChunkVerdict, ControllerState
from a1_msgs.srv import GoHome
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool

from a1_core.chunk import Source
from a1_core.spec import load_spec
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns, ns_to_stamp, stamp_to_ns
from a1_sim.jtc_node import from_message
from a1_sim.trajectory import (
    Motion,
    Point,
    Trajectory,
    evaluate,
    segment_polynomial,
)

ROBOT = Path(__file__).parents[3] / "config/robots/franka.yaml"
SPEC = load_spec(ROBOT)
LIMITS = SPEC.operating_limits


def test_arming_is_refused_without_state_and_with_wrong_parameters(ros, wait_for, parts):
    operator, controller = ros.add(parts.Operator(wait_for)), ros.add(parts.controller_node())
    controller.trigger_configure()
    controller.trigger_activate()
    wait_for(lambda: operator.states)
    assert "fr3_arm_controller" in operator.call("arm", SetBool.Request(data=True)).message
    robot = ros.add(parts.RobotSide(interpolate_from_desired_state=False))

    def message() -> str:
        return operator.call("arm", SetBool.Request(data=True)).message

    assert wait_for(lambda: "interpolate_from_desired_state is False" in message(), 5.0)
    ros.remove(robot)
    silent = ros.add(parts.RobotSide())
    silent.speaking, silent.active = False, False
    assert wait_for(lambda: "not active" in message(), 5.0), message()
    silent.active = True
    assert wait_for(lambda: SPEC.state_sources[0].topic in message(), 5.0), message()
    assert operator.mode == ControllerState.DISARMED
    assert operator.code_of_next(operator.send) == ChunkVerdict.NOT_ARMED


def test_a_chunk_that_comes_shortly_before_a_tick_is_judged_right_after_it(ros, wait_for, parts):
    """Time stands still but for what the test says: ticks every 20 ms."""
    operator = ros.add(parts.Operator(wait_for))
    controller = ros.add(parts.controller_node(use_sim_time=True))
    publisher = ros.node("clock").create_publisher(Clock, "/clock", RELIABLE)

    def it_is(time_ms: int) -> None:
        def heard() -> bool:
            publisher.publish(Clock(clock=ns_to_stamp(time_ms * 1_000_000)))
            return node_now_ns(controller) == time_ms * 1_000_000

        assert wait_for(heard)

    it_is(10_000)
    controller.trigger_configure()
    controller.trigger_activate()
    it_is(10_020)
    assert wait_for(lambda: len(operator.states) == 1)
    assert operator.code_of_next(operator.send) == ChunkVerdict.NOT_ARMED
    assert len(operator.states) == 1
    it_is(10_031)
    operator.send()
    time.sleep(0.2)
    assert len(operator.verdicts) == 1
    it_is(10_040)
    assert wait_for(lambda: len(operator.verdicts) == 2)
    assert operator.verdicts[1].code == ChunkVerdict.NOT_ARMED
    assert wait_for(lambda: len(operator.states) == 2)


def test_tracks_chunks_with_continuous_windows(rig):
    rig.tracking()
    start_q0 = SPEC.home[0]
    assert rig.wait_for(lambda: len(rig.operator.verdicts) >= 8, 6.0)
    assert rig.operator.mode == ControllerState.TRACKING
    rig.operator.drive(False)
    assert rig.robot.refusals == []
    assert {verdict.code for verdict in rig.operator.verdicts} == {ChunkVerdict.ACCEPTED}
    assert rig.wait_for(lambda: rig.operator.states[-1].seq == rig.operator.seq)
    state = rig.operator.states[-1]
    assert state.row >= 0
    assert state.tracking_error < 0.02
    assert abs(rig.robot.q[0] - start_q0) > 1e-3
    windows = [from_message(msg) for msg in rig.robot.windows]
    assert played_within_limits(windows)
    slipped = [*windows[:40], *(shifted(window, 0.002) for window in windows[40:])]
    assert not played_within_limits(slipped)  # the check sees a jump of two milliradians


def played_within_limits(windows: list[Trajectory]) -> bool:
    """Whether the motion that the trajectory controller makes of windows keeps the limits.

    Each replaces the one before at its stamp and is joined to it in position, velocity and
    acceleration, as interpolate_from_desired_state has it.
    """
    here = Motion(SPEC.home, np.zeros(7), np.zeros(7))
    for window, following in pairwise(windows):
        until_ns = following.stamp_ns - window.stamp_ns
        knots = [(0, here)] + [(point.time_ns, motion(point)) for point in window.points]
        for (a_ns, a), (b_ns, b) in pairwise(knots):
            curve = segment_polynomial(a, b, (b_ns - a_ns) * 1e-9)
            for at_ns in np.linspace(a_ns, min(b_ns, until_ns), 9):
                here = evaluate(curve, (at_ns - a_ns) * 1e-9)
                if np.any(np.abs(here.velocities) > LIMITS.velocity * 1.02):
                    return False
                if np.any(np.abs(here.accelerations) > LIMITS.acceleration * 1.05):
                    return False
            if b_ns >= until_ns:
                break
    return True


def motion(point: Point) -> Motion:
    return Motion(point.positions, point.velocities, point.accelerations)


def shifted(window: Trajectory, by_rad: float) -> Trajectory:
    points = [replace(point, positions=point.positions + by_rad) for point in window.points]
    return replace(window, points=tuple(points))


def test_every_bad_chunk_gets_one_verdict_and_no_motion(rig):
    operator = rig.armed().operator
    nan_HD = np.full((16, 8), np.nan, np.float32)
    early_ns = node_now_ns(operator) - 60_000_000_000
    cases = [
        (lambda: operator.send(actions_HD=nan_HD), ChunkVerdict.NON_FINITE),
        (lambda: operator.send(actions_HD=np.full((16, 8), 1e9, np.float32)), None),
        (lambda: operator.send(robot="panda"), ChunkVerdict.WRONG_ROBOT),
        (lambda: operator.send(spec_digest="0" * 64), ChunkVerdict.WRONG_SPEC),
        (lambda: operator.send(stamp_ns=early_ns), ChunkVerdict.STALE),
    ]
    windows = len(rig.robot.windows)
    for send, code in cases:
        found = operator.code_of_next(send)
        assert found not in (ChunkVerdict.ACCEPTED, ChunkVerdict.SHADOW)
        assert code is None or found == code
    malformed = chunk_to_msg_with_wrong_sizes(operator)
    before = len(operator.verdicts)
    operator._chunks.publish(malformed)
    assert rig.wait_for(lambda: len(operator.verdicts) > before)
    assert operator.verdicts[-1].code == ChunkVerdict.WRONG_SHAPE
    assert len(rig.robot.windows) == windows
    assert np.array_equal(rig.robot.q, SPEC.home)
    assert operator.code_of_next(operator.send) == ChunkVerdict.ACCEPTED
    assert operator.code_of_next(operator.replay) == ChunkVerdict.OUT_OF_ORDER


def chunk_to_msg_with_wrong_sizes(operator) -> ActionChunkMsg:
    msg = operator.last_chunk
    msg.horizon = 99
    return msg


def test_deactivating_the_controller_brakes(rig):
    rig.tracking().controller.trigger_deactivate()
    rig.operator.drive(False)
    assert rig.rests()
    windows = len(rig.robot.windows)
    time.sleep(0.1)
    assert len(rig.robot.windows) == windows
    assert rig.robot.refusals == []


def test_a_chunk_that_waits_for_a_tick_has_its_verdict_before_the_controller_is_silent(
    rig, monkeypatch
):
    node, said = rig.tracking().controller, []
    rig.operator.drive(False)
    monkeypatch.setattr(node, "_verdicts", SimpleNamespace(publish=said.append))
    node._waiting.append(rig.operator.last_chunk)
    node.trigger_deactivate()
    assert said[-1].seq == rig.operator.last_chunk.seq
    assert said[-1].code != ChunkVerdict.ACCEPTED


def test_stop_brakes_and_latches(rig):
    operator = rig.tracking().operator
    assert operator.call("stop").success
    assert rig.rests()
    assert operator.code_of_next(operator.send) == ChunkVerdict.STOPPED
    assert not operator.call("arm", SetBool.Request(data=True)).success
    assert operator.call("reset").success
    assert rig.wait_for(lambda: operator.mode == ControllerState.DISARMED)
    operator.drive(False)
    assert rig.armed().operator.code_of_next(operator.send) == ChunkVerdict.ACCEPTED


def test_silent_policy_then_lost_joint_state_then_resume(rig):
    operator = rig.tracking().operator
    operator.drive(False)
    assert rig.wait_for(lambda: operator.mode == ControllerState.HOLD, 4.0)
    assert rig.rests()
    operator.drive(True)
    assert rig.wait_for(lambda: rig.robot.speed > 0.05)
    rig.robot.speaking = False
    assert rig.wait_for(lambda: operator.mode == ControllerState.HOLD)
    assert rig.rests()
    assert SPEC.state_sources[0].topic in operator.reason
    rig.robot.speaking = True
    assert rig.wait_for(lambda: rig.robot.speed > 0.05), operator.reason
    assert operator.mode == ControllerState.TRACKING
    assert rig.robot.refusals == []


def test_a_take_over_in_motion_is_smooth_and_lasts_until_it_is_given_back(rig, parts):
    operator = rig.tracking().operator
    person = rig.ros.add(parts.Operator(rig.wait_for))
    person.reach = -0.1
    taken = operator.verdicts
    person.send(source=Source.TAKEOVER)
    assert rig.wait_for(lambda: taken[-1].code == ChunkVerdict.NOT_SOURCE)
    assert rig.wait_for(lambda: operator.states[-1].source == Source.TAKEOVER)
    session = str(person.session)
    assert rig.wait_for(lambda: operator.mode == ControllerState.HOLD, 5.0)
    refused = len(taken)
    assert rig.wait_for(lambda: len(taken) > refused)
    assert operator.mode == ControllerState.HOLD
    assert taken[-1].code == ChunkVerdict.NOT_SOURCE
    assert session in taken[-1].detail
    assert person.call("give_back").success
    assert not person.call("give_back").success
    assert rig.wait_for(lambda: operator.states[-1].source == Source.POLICY)
    assert rig.wait_for(lambda: rig.robot.speed > 0.05)
    operator.drive(False)
    assert rig.robot.refusals == []
    assert played_within_limits([from_message(msg) for msg in rig.robot.windows])


def test_gripper_closes_on_change_and_disarming_never_opens_it(rig):
    operator = rig.armed().operator
    operator.gripper = 0.0
    operator.drive(True)
    assert rig.wait_for(lambda: rig.robot.goals == [SPEC.gripper.command.closed])
    time.sleep(0.5)
    operator.gripper = 1.0
    assert operator.arm(on=False).success
    assert rig.rests()
    time.sleep(0.6)
    assert rig.robot.goals == [SPEC.gripper.command.closed]
    assert operator.verdicts[-1].code == ChunkVerdict.NOT_ARMED


def test_go_home(rig):
    operator = rig.armed().operator
    assert operator.code_of_next(operator.send) == ChunkVerdict.ACCEPTED
    assert not operator.call("go_home", GoHome.Request(velocity_scale=0.5)).success
    assert rig.wait_for(lambda: operator.mode == ControllerState.HOLD, 5.0)
    assert rig.rests()
    time.sleep(0.1)
    away = abs(rig.robot.q[0] - SPEC.home[0])
    answer = operator.call("go_home", GoHome.Request(velocity_scale=0.5))
    assert answer.success, answer.message
    assert tuple(answer.names) == SPEC.joint_names
    assert np.array_equal(answer.position, SPEC.home)
    assert rig.wait_for(lambda: operator.mode == ControllerState.TRACKING)
    assert rig.wait_for(lambda: operator.mode == ControllerState.HOLD, 8.0)
    assert away > 0.05
    assert rig.rests()
    assert np.abs(rig.robot.q - SPEC.home).max() < 1e-3
    assert math.isnan(operator.states[-1].chunk_age_ms)


def test_killed_controller_leaves_an_arm_that_comes_to_rest(ros, wait_for, parts):
    robot, operator = ros.add(parts.RobotSide()), ros.add(parts.Operator(wait_for))
    code = "from a1_controllers.node import ControllerNode; from a1_ros.executor import run_node\n"
    code += "def make():\n node = ControllerNode(); node.trigger_configure()\n"
    code += " node.trigger_activate(); return node\nrun_node(make)"
    arguments = ["--ros-args"]
    for name, value in parts.parameters.items():
        arguments += ["-p", f"{name}:={'false' if value is False else repr(value)}"]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=os.environ)
    try:
        assert wait_for(lambda: operator.states, 20.0)
        assert operator.arm().success
        operator.drive(True)
        assert wait_for(lambda: robot.speed > 0.08)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert wait_for(lambda: robot.speed < 1e-6)
    last = robot.windows[-1]
    assert np.all(np.array(last.points[-1].velocities) == 0.0)
    assert np.abs(robot.q - np.array(last.points[-1].positions)).max() < 1e-6
    assert robot.refusals == []
    assert stamp_to_ns(last.points[-1].time_from_start) < 500_000_000
