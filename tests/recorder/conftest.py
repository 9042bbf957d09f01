"""A robot, a recorder and an operator over DDS, on a domain of this process."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import recorder_rig as rig
from ros_rig import RosApart
from waiting import wait_for


@pytest.fixture
def ros():
    running = RosApart()
    yield running
    running.shutdown()


@pytest.fixture
def spec_file(tmp_path):
    return rig.write_quick_spec(tmp_path / "quick.yaml")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "recordings"


@pytest.fixture
def robot(ros, spec_file):
    streaming = rig.Robot(ros, spec_file)
    yield streaming
    streaming.stop()


@pytest.fixture
def operator(ros):
    return rig.Operator(ros)


@pytest.fixture
def make(ros, spec_file, folder):
    """`make(**parameters)`: an active recorder."""

    def made(**parameters):
        node = rig.make_recorder(ros, spec_file, folder, **parameters)
        node.trigger_configure()
        node.trigger_activate()
        assert node.state_label == "active"
        return node

    return made


@pytest.fixture
def recorder(make, robot):
    """An active recorder that hears the robot."""
    node = make()
    robot.start()
    hears_all(node, robot)
    return node


def hears_all(node, robot) -> None:
    def heard() -> bool:
        counts = {s.topic.name: s.received for s in node._session.streams}
        return all(counts.get(topic) for topic in (*robot.sent, "/a1/thresholds_info"))

    assert wait_for(lambda: robot.sent and heard())
