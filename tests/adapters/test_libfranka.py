"""A Franka without ros2_control: the real protocol on loopback, an FR3 in MuJoCo behind it.

franky-sim's millisecond is Python: it runs slower than time, so the arm lags behind the plan and
nothing here may depend on how far.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from a1_msgs.msg import ControllerState
from a1_msgs.srv import GoHome
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from a1_controllers.node import ControllerNode
from a1_core.spec import RobotSpec, load_spec
from a1_ros.executor import make_executor
from a1_sim.script_source import ScriptSource

pytest.importorskip("pylibfranka", reason="there is no wheel of it for this Python")

SHIPPED = Path(__file__).parents[2] / "config/robots/franka_libfranka.yaml"
CONTROLLER = str(Path(__file__).with_name("controller_process.py"))
# Where franky-sim's arm stands when it starts.
START = [0.0, 0.0, 0.0, -1.5708, 0.0, 1.5708, 0.7854]


@pytest.fixture
def address() -> str:
    """One of this machine's own, which no other process of these tests uses."""
    return f"127.0.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}"


@pytest.fixture
def robot(address) -> Iterator[subprocess.Popen]:
    """franky-sim, listening."""
    script = Path(__file__).with_name("franka_server.py")
    process = subprocess.Popen(
        [sys.executable, str(script), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready")
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def spec(tmp_path, address) -> RobotSpec:
    """The shipped spec, for a robot that starts elsewhere and is slower than time."""
    content = yaml.safe_load(SHIPPED.read_text())
    content["home"]["value"] = START
    content["command"]["address"] = address
    content["state_sources"][0]["max_age_s"] = 20.0
    content["command"]["stream"]["arguments"]["max_lag_s"] = 30.0
    copy = tmp_path / "franka.yaml"
    copy.write_text(yaml.safe_dump(content))
    return load_spec(copy)


class Bench:
    """A scripted policy, an operator, and the controller where asked for."""

    def __init__(self, spec: RobotSpec, wait_for, *, controller: bool) -> None:
        rclpy.init()
        self.wait_for = wait_for
        self.executor = make_executor()
        self.script = ScriptSource(spec, use_global_arguments=False)
        self._nodes = [self.script]
        if controller:
            # In franky-sim the last joint trembles at up to 0.08 rad/s after a stop.
            values = {"robot": str(spec.path), "hardware": False, "max_arming_speed_rad_s": 0.2}
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
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.executor.shutdown()
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
    assert wait_for(lambda: bench.q_D[7] < 0.1, 40.0)  # the hand has closed
    assert script.mode == ControllerState.TRACKING, script.reason

    robot.stdin.write("reflex\n")
    robot.stdin.flush()
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


def test_killed_in_motion_the_arm_comes_to_rest_along_its_window(bench_of, spec, wait_for, robot):

    bench = bench_of(controller=False)
    process = subprocess.Popen([sys.executable, CONTROLLER, str(spec.path)])
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
    states = [state_of(robot)]

    def rests() -> bool:
        states.append(state_of(robot))
        return not states[-1]["moving"]

    assert wait_for(rests, 40.0)
    # The motion has ended at rest, on the window's last place, which lies ahead of the arm.
    assert wait_for(lambda: np.abs(state_of(robot)["dq"][:6]).max() < 0.01)
    went = np.array(state_of(robot)["q"]) - START
    assert np.abs(went).max() > 0.03
    assert (np.abs(went) < np.abs(bench.script.swing_J) + 0.01).all()


def state_of(robot: subprocess.Popen) -> dict:
    """What the simulated robot says of itself."""
    robot.stdin.write("state\n")
    robot.stdin.flush()
    return json.loads(robot.stdout.readline())
