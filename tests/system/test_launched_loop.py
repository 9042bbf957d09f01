"""The system as a user starts it: processes of their own, real time, and what faults do to it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from a1_msgs.msg import ControllerState
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from waiting import wait_for

from a1_ros.qos import RELIABLE
from a1_sim.operator_node import Operator
from a1_sim.plans import evaluation_plans
from a1_sim.stage import Stage, launched_stage

HOLD, TRACKING = ControllerState.HOLD, ControllerState.TRACKING


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("system")


@pytest.fixture(scope="module")
def operator(stage: Stage, out: Path) -> Iterator[Operator]:
    with launched_stage(stage, out) as (running, _):
        running.let_the_world_judge()
        yield running


@pytest.fixture
def refusals(operator: Operator) -> list[str]:
    """Messages of the policy's diagnostics that name a refused observation."""
    heard: list[str] = []

    def listen(msg: DiagnosticArray) -> None:
        texts = [f"{s.message} {[v.value for v in s.values]}" for s in msg.status]
        heard.extend(text for text in texts if "CAMERA_" in text)

    operator.create_subscription(DiagnosticArray, "/diagnostics", listen, RELIABLE)
    return heard


def begin(operator: Operator) -> None:
    """An episode of the longer task, up to where the controller follows the policy."""
    plan = next(evaluation_plans("bowl", 1))
    operator.disarm()
    instruction, _ = operator.reset(plan)
    operator.arm()
    operator.begin(instruction)
    operator.wait_for(lambda: operator.controller.mode == TRACKING, "tracking", 15.0)


def holds_at_rest(operator: Operator) -> bool:
    """Whether the controller comes to hold, and the measured arm to stand still, within 8 s."""
    until_s = time.monotonic() + 8.0
    while time.monotonic() < until_s:
        before = np.array(operator.controller.measured[:7])
        time.sleep(0.35)
        moved = np.abs(np.array(operator.controller.measured[:7]) - before).max()
        if operator.controller.mode == HOLD and moved < 2e-3:
            return True
    return False


def test_the_arm_touches_what_is_named(operator: Operator) -> None:
    """Cameras to contact, all of it real. Four of six is far below what the card says."""
    records = [operator.run(plan) for plan in evaluation_plans("touch", 6)]
    done = [record.instruction for record in records if record.success]
    assert len(done) >= 4, [(record.instruction, record.reason) for record in records]


def test_a_frozen_camera_is_refused_until_it_moves_again(
    operator: Operator, refusals: list[str]
) -> None:
    simulator = AsyncParameterClient(operator, "simulator")

    def freeze(*cameras: str) -> None:
        value = Parameter("fault.cameras_frozen", value=list(cameras) or [""])
        operator.answer(simulator.set_parameters([value]), "simulator")

    begin(operator)
    freeze("front", "wrist")
    operator.wait_for(lambda: any("CAMERA_FROZEN" in text for text in refusals), "refusal", 20.0)
    assert holds_at_rest(operator)
    freeze()
    operator.wait_for(lambda: operator.controller.mode == TRACKING, "tracking again", 15.0)
    operator.disarm()


def test_a_killed_policy_leaves_the_arm_at_rest_and_its_successor_goes_on(
    operator: Operator, stage: Stage, out: Path
) -> None:
    begin(operator)
    os.kill(pid_of("policy", out / "system.log"), signal.SIGKILL)
    assert holds_at_rest(operator), operator.controller
    # A plan that had just ended leaves HOLD without a reason until the silence is noticed.
    operator.wait_for(lambda: bool(operator.controller.reason), "a reason for the hold", 10.0)
    with new_policy(operator, stage):
        operator.begin("put the red cube in the bowl")
        operator.wait_for(lambda: operator.controller.mode == TRACKING, "tracking again", 30.0)
        operator.disarm()


def pid_of(node: str, log: Path) -> int:
    """Process id of a node that the launch reader started, from its own report."""
    found = re.findall(rf"^\[{node}[^]]*\] started, pid (\d+)$", log.read_text(), re.MULTILINE)
    assert len(found) == 1, log.read_text()
    return int(found[0])


@contextmanager
def new_policy(operator: Operator, stage: Stage) -> Iterator[None]:
    """A policy node started by hand, configured and activated."""
    parameters = {"robot": stage.robot, "checkpoint": stage.checkpoint, "use_sim_time": "true"}
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "a1_policy_node.main", "--ros-args", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_there(operator)
        client = operator.create_client(ChangeState, "policy/change_state")
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            request = ChangeState.Request(transition=Transition(id=transition))
            assert operator.answer(client.call_async(request), "policy").success
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_there(operator: Operator) -> None:
    """Wait for an answer of the new node: the dead one's services are still in the graph."""
    client = operator.create_client(GetState, "policy/get_state")
    until_s = time.monotonic() + 40.0
    while time.monotonic() < until_s:
        future = client.call_async(GetState.Request())
        if wait_for(future.done, 1.0):
            return
    raise AssertionError("the new policy node does not answer")
