"""A Franka without ros2_control: the real protocol on loopback, an FR3 in MuJoCo behind it.

franky-sim's millisecond is Python: it runs slower than time, so the arm lags behind the plan and
nothing here may depend on how far.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from a1_msgs.msg import ControllerState
from a1_msgs.srv import GoHome
from franky import CONTROLLER, START, TREMBLES_RAD_S, Franky, own_address, write_spec
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from a1_controllers.node import ControllerNode
from a1_core.spec import RobotSpec
from a1_ros.executor import SpinThread, make_executor
from a1_ros.qos import RELIABLE
from a1_sim.script_source import ScriptSource

pytest.importorskip("pylibfranka", reason="there is no wheel of it for this Python")


@pytest.fixture
def address() -> str:
    return own_address()


@pytest.fixture
def robot(address) -> Iterator[Franky]:
    """franky-sim, listening."""
    listening = Franky(address)
    yield listening
    listening.close()


@pytest.fixture
def spec(tmp_path, address) -> RobotSpec:
    """Of the robot that franky-sim plays."""
    return write_spec(tmp_path / "franka.yaml", address)


class Bench:
    """A scripted policy, an operator, and the controller where asked for."""

    def __init__(self, spec: RobotSpec, wait_for, *, controller: bool) -> None:
        rclpy.init()
        self.wait_for = wait_for
        self.executor = make_executor()
        self.script = ScriptSource(spec, use_global_arguments=False)
        self._nodes = [self.script]
        self.joint_states: list[JointState] = []
        source = spec.state_sources[0].topic
        self.script.create_subscription(JointState, source, self.joint_states.append, RELIABLE)
        if controller:
            values = {
                "robot": str(spec.path),
                "hardware": False,
                "max_arming_speed_rad_s": TREMBLES_RAD_S,
            }
            node = ControllerNode(
                parameter_overrides=[Parameter(k, value=v) for k, v in values.items()],
                use_global_arguments=False,
            )
            self._nodes.append(node)
            node.trigger_configure()
            node.trigger_activate()
        for node in self._nodes:
            self.executor.add_node(node)
        self._clients = {
            name: self.script.create_client(kind, f"a1/{name}")
            for name, kind in (("arm", SetBool), ("reset", Trigger), ("go_home", GoHome))
        }
        self._spinning = SpinThread(self.executor)

    def close(self) -> None:
        self._spinning.stop()
        for node in reversed(self._nodes):
            node.destroy_node()
        rclpy.try_shutdown()

    def call(self, name: str, request) -> object:
        client = self._clients[name]
        assert self.wait_for(client.service_is_ready, 30.0)
        future = client.call_async(request)
        assert self.wait_for(future.done)
        return future.result()

    def arm(self) -> None:
        answers = []

        def tried() -> bool:
            answers.append(self.call("arm", SetBool.Request(data=True)))
            return answers[-1].success

        assert self.wait_for(tried, 40.0), answers[-1].message

    @property
    def q_D(self) -> np.ndarray:
        return self.script.measured[-1] if self.script.measured else np.full(8, np.nan)


@pytest.fixture
def bench_of(spec, wait_for, robot) -> Iterator:
    """`bench_of(controller=True)`: everything but the robot."""
    made: list[Bench] = []

    def make(*, controller: bool = True) -> Bench:
        made.append(Bench(spec, wait_for, controller=controller))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def test_state_motion_gripper_reflex_and_recovery(bench_of, robot, wait_for):
    bench = bench_of()
    script = bench.script
    bench.arm()
    script.begin()
    assert wait_for(lambda: np.abs(bench.q_D[:7] - START).max() > 0.08, 40.0), script.refusals

    # While the hand is on its way the arm is read, and so answered, as ever.
    assert wait_for(lambda: robot.state()["width_m"] > 0.06, 40.0)
    assert wait_for(lambda: robot.state()["width_m"] < 0.05, 40.0)
    heard = len(bench.joint_states)
    assert wait_for(lambda: robot.state()["width_m"] < 0.01, 40.0)
    assert len(bench.joint_states) > heard + 10
    assert wait_for(lambda: bench.q_D[7] < 0.1, 40.0)  # the hand has closed
    assert script.mode == ControllerState.TRACKING, script.reason

    robot.hit()
    assert wait_for(lambda: script.mode == ControllerState.FAULT, 40.0)
    assert "the robot stopped the motion" in script.reason
    script.end()
    answer = bench.call("arm", SetBool.Request(data=True))
    assert not answer.success

    assert bench.call("reset", Trigger.Request()).success
    bench.arm()
    away = np.abs(bench.q_D[:7] - START).max()
    assert bench.call("go_home", GoHome.Request(velocity_scale=0.5)).success
    assert wait_for(lambda: np.abs(bench.q_D[:7] - START).max() < 0.5 * away, 40.0)


def test_a_robot_that_was_away_is_spoken_to_anew(bench_of, robot, address, wait_for):
    bench = bench_of()
    bench.arm()
    robot.close()
    assert wait_for(lambda: bench.script.mode == ControllerState.FAULT, 40.0)
    assert "no connection to the robot" in bench.script.reason
    back = Franky(address)
    try:
        assert bench.call("reset", Trigger.Request()).success
        bench.arm()
        bench.script.begin()
        assert wait_for(lambda: np.abs(bench.q_D[:7] - START).max() > 0.03, 40.0)
    finally:
        back.close()


def test_killed_in_motion_the_arm_comes_to_rest_along_its_window(bench_of, spec, wait_for, robot):
    bench = bench_of(controller=False)
    process = subprocess.Popen([sys.executable, str(CONTROLLER), str(spec.path)])
    try:
        assert wait_for(lambda: bench.script.mode >= 0, 30.0)
        bench.arm()
        bench.script.begin()
        assert wait_for(lambda: np.abs(bench.q_D[:7] - START).max() > 0.03, 40.0), (
            bench.script.codes,
            bench.script.reason,
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    states = [robot.state()]

    def rests() -> bool:
        states.append(robot.state())
        return not states[-1]["moving"]

    assert wait_for(rests, 40.0)
    # The motion has ended at rest, on the window's last place, which lies ahead of the arm.
    assert wait_for(lambda: np.abs(robot.state()["dq"][:6]).max() < 0.01)
    went = np.array(robot.state()["q"]) - START
    assert (np.abs(went) < np.abs(bench.script.swing_J) + 0.01).all()
