"""Streams of set-points: the vendor's rules, faults, and what is left when the process dies."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from a1_msgs.msg import ControllerState

from a1_controllers.stream import PlayedWindow, StreamedArm
from a1_core.player import ChunkPlayer, Setpoint
from a1_ros.times import node_now_ns, steady_now_ns

STREAMED = ["agibot", "aloha", "arx5", "dobot"]
CONTROLLER = str(Path(__file__).with_name("controller_process.py"))


@pytest.mark.parametrize("name", STREAMED)
def test_killed_in_motion_the_last_set_point_is_what_stays(rig_of, wait_for, name):
    rig = rig_of(name, controller=False)
    limits, stand_in, streams = rig.spec.operating_limits, rig.stand_in, rig.stand_in.streams
    process = subprocess.Popen([sys.executable, CONTROLLER, str(rig.spec.path)])
    try:
        assert wait_for(lambda: rig.script.mode >= 0, 30.0)
        rig.arm()
        rig.script.begin()
        moving = 0.3 * np.pi * np.abs(rig.script.swing_J).max() / 4.0
        arm = len(rig.spec.joint_names)
        assert wait_for(lambda: np.abs(stand_in.joints.qd_D[:arm]).max() > moving)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    for stream in streams:
        taken = stream.taken
        assert wait_for(lambda: np.abs(stand_in.joints.qd_D[:arm]).max() < 1e-9)
        assert stream.taken - taken <= 2  # what was on its way
        latest_NJ = np.array([q_J for _, q_J in stream.log[-5:]])
        last_J = latest_NJ[-1]
        assert np.ptp(latest_NJ, axis=0).max() > 1e-6  # it broke off in motion,
        columns = stream._columns
        np.testing.assert_allclose(stand_in.joints.q_D[columns], last_J, atol=1e-6)  # and stays
        for (_, a_J), (_, b_J) in pairwise(stream.log):
            most_J = limits.velocity[columns] * 3.0 / rig.spec.commands[0].stream.rate_hz
            assert (np.abs(b_J - a_J) <= most_J).all()


def test_a_driver_that_stops_answering_is_a_fault_and_comes_back(rig_of, wait_for):
    rig = rig_of("dobot")
    answer = rig.stand_in.streams[0].offer
    rig.arm()
    rig.script.begin()
    assert wait_for(lambda: rig.script.mode == ControllerState.TRACKING)
    rig.stand_in.streams[0].offer = lambda q_J, now_s: False  # res is not 0 any more
    assert wait_for(lambda: rig.script.mode == ControllerState.FAULT)
    assert "ServoJ answers -1" in rig.script.reason
    rig.stand_in.streams[0].offer = answer
    rig.script.end()


@pytest.mark.parametrize(
    ("name", "field", "bad"),
    [("ur5e", "mode", 3), ("dobot", "is_connected", False)],
)
def test_the_robots_own_error_state_stops_and_keeps_from_arming(rig_of, wait_for, name, field, bad):
    rig = rig_of(name)
    rig.arm()
    rig.script.begin()
    assert wait_for(lambda: rig.script.mode == ControllerState.TRACKING)
    rig.stand_in.errors.say(0, **{field: bad})
    assert wait_for(lambda: rig.script.mode == ControllerState.FAULT), rig.script.reason
    assert field in rig.script.reason
    arm = len(rig.spec.joint_names)
    assert wait_for(lambda: np.abs(rig.stand_in.joints.qd_D[:arm]).max() < 1e-9)
    ready = rig.controller._adapter.ready()
    assert not ready.ok
    assert field in ready.message


class Sent:
    """A sender that keeps what it is given."""

    def __init__(self) -> None:
        self.setpoints: list[tuple[int, np.ndarray, np.ndarray]] = []

    def start(self) -> None: ...
    def begin(self) -> None: ...
    def close(self) -> None: ...
    def fault(self) -> str:
        return ""

    def send(self, q_J: np.ndarray, openings_G: np.ndarray) -> None:
        self.setpoints.append((steady_now_ns(), q_J, openings_G))


@pytest.fixture
def stream_of(rig_of):
    """`stream_of(name, **changes of the stream)`: a stream to a `Sent`, and both its ends."""
    made: list[StreamedArm] = []

    def make(name: str, **changes):
        rig = rig_of(name, controller=False)
        command = rig.spec.commands[0]
        command = replace(command, stream=replace(command.stream, **changes))
        sent = Sent()
        made.append(StreamedArm(rig.script, rig.spec, command, sent))
        return rig, made[-1], sent

    yield make
    for stream in made:
        stream.close()


def window_of(spec, away: float) -> list[Setpoint]:
    """From home to `away` rad beside it, and to rest there."""
    player = ChunkPlayer(spec.operating_limits, grippers=len(spec.grippers))
    start_D = np.array([*spec.home, *[1.0] * len(spec.grippers)])
    player.start(start_D, 0)
    rows_HD = np.repeat(start_D[None], 9, axis=0)
    rows_HD[:, 0] += np.linspace(0.0, away, 9)
    assert player.offer(rows_HD, stamp_ns=0, period_ns=100_000_000, now_ns=0).accepted
    return player.window(0, 10.0, 0.02)


def test_a_stream_keeps_to_the_window_and_ends_at_rest(stream_of, wait_for):
    rig, stream, sent = stream_of("aloha")
    window = window_of(rig.spec, 0.1)
    home_D = window[0].q_D
    stream.start()
    stream.update(armed=True, measured_D=home_D)
    stream.command(window, stamp_ns=node_now_ns(rig.script))
    goal = window[-1].q_D[0]
    assert wait_for(lambda: sent.setpoints and abs(sent.setpoints[-1][1][0] - goal) < 1e-9)
    velocity = rig.spec.operating_limits.velocity[0]
    for (a_ns, a_J, _), (b_ns, b_J, _) in pairwise(sent.setpoints):
        assert abs(b_J[0] - a_J[0]) <= velocity * ((b_ns - a_ns) / 1e9 + 0.01)
    count = len(sent.setpoints)
    assert wait_for(lambda: len(sent.setpoints) > count + 5)  # armed: it holds
    stream.update(armed=False, measured_D=home_D)
    assert wait_for(lambda: stream._window is None)  # disarmed and at rest: it falls silent
    count = len(sent.setpoints)
    stream._stopping.wait(0.1)
    assert len(sent.setpoints) == count


def test_no_set_point_is_farther_from_the_arm_than_the_step_rule(stream_of, wait_for):
    rig, stream, sent = stream_of("agibot", max_step=0.05)
    window = window_of(rig.spec, 0.12)
    home_D = window[0].q_D
    stream.start()
    stream.update(armed=True, measured_D=home_D)  # an arm that does not follow
    stream.command(window, stamp_ns=node_now_ns(rig.script))
    assert wait_for(lambda: stream.held_back > 5)
    away = [abs(q_J[0] - home_D[0]) for _, q_J, _ in sent.setpoints]
    assert max(away) <= 0.05 + 1e-9
    stream.update(armed=True, measured_D=window[-1].q_D)
    assert wait_for(lambda: abs(sent.setpoints[-1][1][0] - window[-1].q_D[0]) < 1e-9)


def test_a_pause_that_the_robot_does_not_allow_is_a_fault(stream_of, wait_for):
    rig, stream, _ = stream_of("agibot_a2", max_gap_s=0.0301)
    window = window_of(rig.spec, 0.1)
    stream.update(armed=True, measured_D=window[0].q_D)
    stream.command(window, stamp_ns=node_now_ns(rig.script))
    now_ns = steady_now_ns()
    stream._step(now_ns)
    stream._step(now_ns + 30_000_000)
    assert stream.fault() == ""
    stream._step(now_ns + 61_000_000)
    assert "31 ms between two set-points" in stream.fault()
    assert not stream.ready().ok
    stream._window = None  # over; the next stream begins without a past
    assert stream.fault() == ""
    stream.command(window, stamp_ns=node_now_ns(rig.script))
    assert stream.fault() == ""


def test_between_points_position_and_velocity_are_continuous():
    times_K, q_KD = np.array([0.0, 0.02, 0.04]), np.array([[0.0], [0.01], [0.03]])
    window = PlayedWindow(
        begin_ns=0, times_K=times_K, q_KD=q_KD, qd_KD=np.array([[0.2], [0.8], [0.0]])
    )
    assert window.at(-1.0)[0] == 0.0
    assert window.at(0.02)[0] == pytest.approx(0.01)
    h = 1e-6
    before = (window.at(0.02) - window.at(0.02 - h)) / h
    after = (window.at(0.02 + h) - window.at(0.02)) / h
    assert before[0] == pytest.approx(after[0], abs=1e-3) == pytest.approx(0.8, abs=1e-3)
    assert window.at(9.0)[0] == 0.03


def test_the_environment_has_the_interfaces_for_processes_too():
    code = "from dobot_msgs_v4.srv import ServoJ; from genie_msgs.msg import EndState"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
