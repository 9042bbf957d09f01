"""The action a1/calibrate: progress, cancel, result, refusals. What is computed is known here."""

import threading
from pathlib import Path

import pytest
import yaml
from a1_msgs.action import Calibrate
from action_msgs.msg import GoalStatus
from policy_rig import FRANKA, result_of, write_known_thresholds
from rclpy.action import ActionClient
from rclpy.parameter import Parameter

from a1_calibration.node import CalibrationNode
from a1_calibration.outcome import Outcome, Savings
from a1_calibration.parameters import SPECS
from a1_core.errors import BagError
from a1_core.spec import load_spec
from a1_data.reader import ReadSettings, open_bags
from a1_ros.compose import find_node


class Work:
    """A calibration in three steps, the last of which waits until it is let go."""

    def __init__(self, file) -> None:
        self.file = file
        self.go = threading.Event()
        self.requests = []
        self.error = None

    def __call__(self, request, spec, tell, warn) -> Outcome:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        tell("collect", 8, 20)
        while not self.go.wait(0.02):
            tell("collect", 16, 20)
        tell("fit", 1, 1)
        return Outcome(
            file=self.file,
            message="saves 40 %",
            samples=20,
            episodes=4,
            savings=Savings(depth=0.6, flops=0.6, ms=6.0, full_ms=10.0),
            report=Path("report.html"),
        )


@pytest.fixture
def work(tmp_path):
    return Work(write_known_thresholds(tmp_path / "known.yaml", load_spec(FRANKA)))


@pytest.fixture
def client(ros, work, tmp_path):
    values = {"robot": str(FRANKA), "checkpoint": str(tmp_path), "budget": "depth=0.5"}
    ros.add(
        CalibrationNode(
            work=work,
            parameter_overrides=[Parameter(k, value=v) for k, v in values.items()],
            use_global_arguments=False,
        )
    )
    client = ActionClient(ros.node("user"), Calibrate, "a1/calibrate")
    assert client.wait_for_server(timeout_sec=10.0)
    return client


def send(client, heard=None, **goal):
    fields = {"output": "out.yaml", "fit_bags": ["bags"], **goal}
    heard = [] if heard is None else heard
    return result_of(
        client.send_goal_async(
            Calibrate.Goal(**fields), feedback_callback=lambda m: heard.append(m.feedback)
        )
    )


def test_progress_and_result(client, work, wait_for):
    heard = []
    handle = send(client, heard, risk=0.05, failure=0.1, tolerance=0.02)
    assert handle.accepted
    assert wait_for(lambda: heard and heard[-1].done == 16)
    assert (heard[-1].stage, heard[-1].total) == ("collect", 20)
    work.go.set()
    answer = result_of(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert answer.result.success
    assert answer.result.certified
    assert answer.result.path == "out.yaml"
    assert answer.result.message == "saves 40 %"
    assert answer.result.thresholds_digest == work.file.thresholds.digest
    assert answer.result.mean_depth_fraction == 0.6
    (request,) = work.requests
    assert request.promise.tolerance == 0.02
    assert request.budget.kind == "depth"


def test_cancel(client, work):
    handle = send(client)
    result_of(handle.cancel_goal_async())
    answer = result_of(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert "kept" in answer.result.message
    work.go.set()
    assert send(client).accepted  # and the next may come


def test_a_mistake_ends_the_goal_with_its_message(client, work):
    work.error = BagError("bags: no bag at or below it")
    answer = result_of(send(client).get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.message == "bags: no bag at or below it"


def test_nothing_certified_is_an_answer_without_a_file(client, work):
    work.file = None
    work.go.set()
    answer = result_of(send(client).get_result_async())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert not answer.result.success
    assert answer.result.path == ""


@pytest.mark.parametrize(
    "goal",
    [{"output": ""}, {"fit_bags": []}, {"risk": 2.0, "failure": 0.1}, {"tolerance": 0.01}],
)
def test_goals_that_cannot_be_are_rejected(client, goal):
    assert not send(client, **goal).accepted


def test_one_goal_at_a_time(client, work):
    first = send(client)
    assert not send(client).accepted
    work.go.set()
    assert result_of(first.get_result_async()).result.success


@pytest.fixture
def live_client(ros, work, spec_file, tmp_path):
    """Of a node that listens to the quick robot's topics."""
    values = {
        "robot": str(spec_file),
        "checkpoint": str(tmp_path),
        "budget": "depth=0.5",
        "spool": str(tmp_path / "spool"),
        "live_gap": 0.3,
        "live_quiet": 0.6,
    }
    ros.add(
        CalibrationNode(
            work=work,
            parameter_overrides=[Parameter(k, value=v) for k, v in values.items()],
            use_global_arguments=False,
        )
    )
    client = ActionClient(ros.node("user"), Calibrate, "a1/calibrate")
    assert client.wait_for_server(timeout_sec=10.0)
    return client


def test_a_goal_without_bags_is_about_what_the_topics_carry(
    live_client, robot, work, spec_file, wait_for
):
    heard = []
    handle = send(live_client, heard, fit_bags=[])
    assert handle.accepted
    robot.start()
    assert wait_for(lambda: heard and heard[-1].stage == "listen" and heard[-1].done >= 5)
    assert not work.requests
    robot.stop()
    assert wait_for(lambda: work.requests)
    (folder,) = work.requests[0].fit_bags
    read_as = ReadSettings(instruction="touch the red cube")
    (bag,) = open_bags(folder, load_spec(spec_file), read_as)
    assert bag.path.name == "live_000"
    assert len(list(bag.frames())) >= 4
    work.go.set()
    assert result_of(handle.get_result_async()).result.success


def test_listening_is_cancelled(live_client, work):
    handle = send(live_client, fit_bags=[])
    result_of(handle.cancel_goal_async())
    assert result_of(handle.get_result_async()).status == GoalStatus.STATUS_CANCELED
    assert not work.requests


def test_parameter_file_and_declarations_agree():
    text = (FRANKA.parents[1] / "calibration.yaml").read_text()
    (content,) = yaml.safe_load(text).values()
    assert content["ros__parameters"] == {spec.name: spec.default for spec in SPECS}


def test_the_node_is_offered_for_composition():
    assert find_node("a1_calibration.node:CalibrationNode") is CalibrationNode
