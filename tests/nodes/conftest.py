"""ROS for the tests of nodes: a domain of this process, this machine only, a spinning executor."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# What tests of several files share lies beside them: policy_rig.
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from rclpy.node import Node
from ros_rig import Ros
from waiting import wait_for


@pytest.fixture
def ros() -> Iterator[Ros]:
    """ROS for one test."""
    running = Ros()
    yield running
    running.shutdown()


@pytest.fixture(name="wait_for")
def wait_for_fixture() -> Callable[..., bool]:
    """`wait_for(predicate, timeout_s)`: whether it came true in time."""
    return wait_for


@pytest.fixture
def spec_file(tmp_path):
    """The Franka's spec for quick tests: 32x32 cameras at 20 Hz."""
    from policy_rig import write_quick_spec

    return write_quick_spec(tmp_path / "quick.yaml")


@pytest.fixture
def policy():
    """A policy whose output is known."""
    from policy_rig import KnownPolicy

    return KnownPolicy()


@pytest.fixture
def robot(ros, spec_file) -> Iterator:
    """A robot that streams what the spec says."""
    from policy_rig import Robot

    from a1_core.spec import load_spec

    streaming = Robot(ros, load_spec(spec_file))
    yield streaming
    streaming.stop()


@pytest.fixture
def make_policy_node(ros, policy, spec_file, tmp_path) -> Callable[..., Node]:
    """`make_policy_node(**parameters)`: an unconfigured policy node with the known policy."""
    from policy_rig import known_checkpoint
    from rclpy.parameter import Parameter

    from a1_policy_node.node import PolicyNode

    def make(**parameters: object) -> Node:
        values = {
            "robot": str(spec_file),
            "checkpoint": str(tmp_path),
            "replan_period": 0.05,
            **parameters,
        }
        return ros.add(
            PolicyNode(
                load_checkpoint=lambda directory, spec, settings: known_checkpoint(policy),
                parameter_overrides=[Parameter(k, value=v) for k, v in values.items()],
                use_global_arguments=False,
            )
        )

    return make


@pytest.fixture
def active(robot, policy, make_policy_node):
    """(node, robot, policy): active and idle, the robot streaming."""
    node = make_policy_node()
    node.trigger_configure()
    node.trigger_activate()
    robot.start()
    policy.observations.clear()
    policy.prefixes.clear()
    return node, robot, policy


@pytest.fixture
def running(active):
    """(node, robot, policy): active, told to touch the red cube."""
    response = active[1].ask("touch the red cube")
    assert response.success, response.message
    return active


@pytest.fixture
def heard_lifecycle(ros) -> list[str]:
    """Messages of the policy node's status `lifecycle`."""
    from policy_rig import lifecycle_messages

    return lifecycle_messages(ros)
