"""A bag gives the very observations that the policy node made while it was recorded."""

from functools import partial
from pathlib import Path

import numpy as np
import policy_rig
import pytest
from policy_rig import Stepper, write_quick_spec
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from a1_core.spec import load_spec
from a1_data.channel import NO_DEFINITION, Channel, Raw
from a1_data.decoding import Decoder
from a1_data.findings import Findings
from a1_data.reader import ReadSettings, open_bags
from a1_policy_node.inputs import Inputs
from a1_ros.messages import to_joint_state
from a1_ros.qos import RELIABLE

TYPES = get_typestore(Stores.ROS2_JAZZY)
PLUGINS = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
INSTRUCTION = "touch the red cube"


class Tape:
    """Messages in the order in which they came, to be written to a bag as a recorder does."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self._heard: list[tuple[str, str, int, bytes]] = []

    def hear(self, topic: str, kind: type, data: bytes) -> None:
        name = f"sensor_msgs/msg/{kind.__name__}"
        self._heard.append((topic, name, self._clock(), bytes(data)))

    def __len__(self) -> int:
        return len(self._heard)

    def write(self, path: Path, storage: str) -> Path:
        with Writer(path, version=9, storage_plugin=PLUGINS[storage]) as writer:
            connections = {}
            for topic, kind, received_ns, data in list(self._heard):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
                writer.write(connections[topic], received_ns, data)
        return path


def frames_of(path: Path, spec, **settings) -> dict:
    (bag,) = open_bags(path, spec, ReadSettings(instruction=INSTRUCTION, **settings))
    observations = [frame.observation for frame in bag.frames()]
    assert bag.findings == ()
    return {observation.stamp_ns: observation for observation in observations}


def assert_bit_identical(ours, theirs) -> None:
    assert ours.instruction == theirs.instruction == INSTRUCTION
    assert ours.state_D.dtype == theirs.state_D.dtype
    assert ours.state_D.tobytes() == theirs.state_D.tobytes()
    assert list(ours.images) == list(theirs.images)
    for camera in ours.images:
        np.testing.assert_array_equal(ours.images[camera], theirs.images[camera])


@pytest.fixture(params=["raw", "compressed"])
def spec_file(request, tmp_path):
    """Both kinds of cameras, as the robot publishes them."""
    path = write_quick_spec(tmp_path / "quick.yaml")
    path.write_text(path.read_text().replace("type: raw", f"type: {request.param}"))
    return path


@pytest.fixture
def textured(robot, monkeypatch):
    """A moving robot whose cameras show noise, so that every pixel counts."""
    rng = np.random.default_rng(0)
    for name in ("to_image", "to_jpeg"):
        encode = getattr(policy_rig, name)

        def noisy(pixels, stamp_ns, frame, encode=encode):
            return encode(rng.integers(0, 256, pixels.shape, np.uint8), stamp_ns, frame)

        monkeypatch.setattr(policy_rig, name, noisy)
    robot.mend(moving=True)
    return robot


@pytest.mark.parametrize("storage", PLUGINS)
def test_in_lockstep_whatever_the_order(
    ros, textured, policy, make_policy_node, wait_for, spec_file, tmp_path, storage
):
    """The recorder is a node of its own, which hears streams in an order of its own, as bytes."""
    robot, spec = textured, load_spec(spec_file)
    node = make_policy_node(lockstep=True, use_sim_time=True, replan_period=0.05)
    node.trigger_configure()
    node.trigger_activate()
    stepper = Stepper(robot, wait_for)
    recorder = ros.node("recorder")
    tape = Tape(lambda: recorder.get_clock().now().nanoseconds)
    streams = [(camera.topic, robot.images[camera.name]) for camera in spec.cameras]
    streams += list(robot.states.items())
    for topic, publisher in streams:
        hear = partial(tape.hear, topic, publisher.msg_type)
        recorder.create_subscription(publisher.msg_type, topic, hear, RELIABLE, raw=True)
    matched = [publisher for _, publisher in streams]
    assert wait_for(lambda: all(p.get_subscription_count() == 2 for p in matched))
    robot.ask(INSTRUCTION)
    policy.observations.clear()
    for number in range(12):
        stepper.step(images_first=number % 2 == 0)
    assert wait_for(lambda: len(tape) == 12 * len(streams))
    read = frames_of(tape.write(tmp_path / "bag", storage), spec)
    assert len(policy.observations) == 12
    assert [o.stamp_ns for o in policy.observations] == sorted(read)
    for observation in policy.observations:
        assert_bit_identical(read[observation.stamp_ns], observation)


def test_on_a_running_clock_in_the_order_in_which_the_node_heard(
    textured, policy, make_policy_node, wait_for, spec_file, tmp_path, monkeypatch
):
    """Without waiting for states what is seen depends on the order: it is taken down here."""
    spec = load_spec(spec_file)
    names = {f"camera {camera.name}": camera.topic for camera in spec.cameras}
    names |= {f"joints {source.topic}": source.topic for source in spec.state_sources}
    node = make_policy_node()
    tape = Tape(lambda: node.get_clock().now().nanoseconds)
    receive = Inputs._receive

    def taped(self, name, push, msg) -> None:
        tape.hear(names[name], type(msg), serialize_message(msg))
        receive(self, name, push, msg)

    monkeypatch.setattr(Inputs, "_receive", taped)
    node.trigger_configure()
    node.trigger_activate()
    policy.observations.clear()
    textured.ask(INSTRUCTION)
    textured.start()
    assert wait_for(lambda: len(policy.observations) >= 20)
    textured.stop()
    node.trigger_deactivate()
    seen = list(policy.observations)
    read = frames_of(tape.write(tmp_path / "bag", "mcap"), spec, complete_states=False)
    # The worker takes the newest observation, so it may pass over one; the bag has them all.
    assert {observation.stamp_ns for observation in seen} <= read.keys()
    assert len(read) <= len(textured.sent_ns)
    for observation in seen:
        assert_bit_identical(read[observation.stamp_ns], observation)


@pytest.mark.parametrize("count", range(4))
def test_bytes_that_rclpy_leaves_behind_a_message_are_forgiven(count):
    """serialize_message gives more bytes than it fills, as in bags that are written by hand."""
    sent = to_joint_state([f"joint{n}" for n in range(count)], np.arange(count) / 3, 1_234_567_890)
    channel = Channel("/joints", "sensor_msgs/msg/JointState", NO_DEFINITION, "cdr")
    read = Decoder(Findings()).decode(Raw(channel, 0, bytes(serialize_message(sent))))
    assert (read.name, list(read.position)) == (list(sent.name), list(sent.position))
    assert (read.header.stamp.sec, read.header.stamp.nanosec) == (1, 234567890)
