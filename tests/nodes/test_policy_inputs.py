"""The policy hears each topic once and knows whose joints come on it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState

from a1_core.assembler import Assembler
from a1_core.spec import load_spec
from a1_policy_node.inputs import Inputs
from a1_ros.times import ns_to_stamp

ROBOTS = Path(__file__).parents[2] / "config" / "robots"
MS = 1_000_000


class Graph:
    """A node in so far as Inputs uses it: it remembers who listens where."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list] = {}
        self.diagnostics = SimpleNamespace(set_source=lambda name, source: None)

    def create_subscription(self, kind, topic, callback, qos):
        self.callbacks.setdefault(topic, []).append(callback)
        return topic

    def hear(self, topic: str, names, positions) -> None:
        msg = JointState(name=list(names), position=[float(p) for p in positions])
        msg.header.stamp = ns_to_stamp(MS)
        for callback in self.callbacks[topic]:
            callback(msg)


def listening(name: str) -> tuple[Graph, Assembler]:
    spec, graph = load_spec(ROBOTS / f"{name}.yaml"), Graph()
    assembler = Assembler(spec)
    Inputs(
        graph,
        spec,
        assembler,
        now_ns=lambda: MS,
        steady_ns=lambda: 0,
        on_tick=lambda tick_ns: None,
        complete_states=False,
    )
    return graph, assembler


def test_one_topic_of_two_sources_is_heard_once():
    graph, assembler = listening("ur5e")
    assert len(graph.callbacks["/joint_states"]) == 1
    spec = load_spec(ROBOTS / "ur5e.yaml")
    graph.hear("/joint_states", [*spec.joint_names, spec.gripper.joint], [*range(6), 0.8])
    np.testing.assert_allclose(assembler.state_at(MS), [*range(6), 0.0])


def test_two_arms_with_the_same_names_are_told_apart_by_topic():
    graph, assembler = listening("aloha")
    names = load_spec(ROBOTS / "aloha.yaml").state_sources[0].wire_names
    graph.hear("/follower_right/joint_states", names, [*range(10, 16), 0.6197])
    graph.hear("/follower_left/joint_states", names, [*range(6), 1.6214])
    np.testing.assert_allclose(assembler.state_at(MS), [*range(6), *range(10, 16), 1.0, 0.0])


@pytest.mark.parametrize("path", sorted(ROBOTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_robot_is_listened_to(path):
    graph, _ = listening(path.stem)
    spec = load_spec(path)
    wanted = {s.topic for s in spec.state_sources} | {c.topic for c in spec.cameras}
    assert set(graph.callbacks) == wanted


def test_every_stream_has_a_status_and_a_slow_one_warns_while_it_runs(
    robot, make_policy_node, wait_for
):
    """The spec promises 20 Hz; of the wrist's images every third is lost on the way."""
    node = make_policy_node()
    node.trigger_configure()
    node.trigger_activate()
    wait_for(lambda: all(p.get_subscription_count() for p in robot.images.values()))
    begin_ns = robot.now_ns()
    for k in range(40):
        robot.mend(silent={"wrist"} if k % 3 == 0 else set())
        stamp_ns = begin_ns + k * 50 * MS
        assert wait_for(lambda: robot.now_ns() >= stamp_ns)  # noqa: B023
        robot.send_images(stamp_ns)
        streams = node._run._inputs.streams
        assert wait_for(lambda: streams["camera front"].received == k + 1)  # noqa: B023
    node.diagnostics.publish()
    told = {}

    def heard() -> bool:
        told.update({status.name: status for status in list(robot.diagnostics)})
        return "promises 20 Hz" in getattr(told.get("/policy: camera wrist"), "message", "")

    assert wait_for(heard)
    assert told["/policy: camera wrist"].level == DiagnosticStatus.WARN
    assert told["/policy: camera wrist"].message.startswith("13.")
    assert told["/policy: camera front"].level == DiagnosticStatus.OK
    assert "/policy: joints /franka/joint_states" in told
    node.trigger_deactivate()
    node.diagnostics.publish()
    assert wait_for(lambda: any(s.message == "inactive" for s in list(robot.diagnostics)))
    robot.diagnostics.clear()
    node.diagnostics.publish()
    assert wait_for(lambda: robot.diagnostics)
    assert not [s.name for s in list(robot.diagnostics) if "camera" in s.name]
