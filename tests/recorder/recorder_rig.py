"""A robot that remembers every byte it published, and a recorder to ask things of."""

import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import rclpy
import yaml
from a1_msgs.action import RecordEpisode
from a1_msgs.msg import ActionChunk, ThresholdsInfo
from a1_msgs.srv import DiscardEpisode, LabelEpisode, StartRecording, StopRecording
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from ros_rig import RosApart
from sensor_msgs.msg import CompressedImage, Image, JointState, Joy
from trajectory_msgs.msg import JointTrajectory
from waiting import wait_for

from a1_core.spec import load_spec
from a1_data.bag_files import find_bags
from a1_data.findings import Findings
from a1_data.reader import ReadSettings, open_bags
from a1_data.storage import look, read
from a1_recorder.node import RecorderNode
from a1_ros.images import to_image, to_jpeg
from a1_ros.messages import to_joint_state
from a1_ros.qos import LATCHED, RELIABLE

FRANKA = Path(__file__).parents[2] / "config/robots/franka.yaml"
SIDE_PX = 32
SPEC_TOPICS = (
    "/front_camera/color/image_raw",
    "/wrist_camera/color/image_raw",
    "/franka/joint_states",
)


def write_quick_spec(path: Path) -> Path:
    """The Franka's spec with small cameras, the second one compressed, all reliable."""
    content = yaml.safe_load(FRANKA.read_text())
    for camera, kind in zip(content["cameras"], ("raw", "compressed"), strict=True):
        camera.update(width=SIDE_PX, height=SIDE_PX, rate_hz=20.0, qos="reliable", type=kind)
    for source in content["state_sources"]:
        source["qos"] = "reliable"
    path.write_text(yaml.safe_dump(content))
    return path


class Robot:
    """Publishes what the spec names: cameras at 20 Hz, states and commands at 100 Hz."""

    def __init__(self, ros: RosApart, spec_file: Path) -> None:
        self.spec = load_spec(spec_file)
        self.node = ros.add(rclpy.create_node("robot", use_global_arguments=False))
        self.sent: dict[str, list[bytes]] = defaultdict(list)
        self.times_ns: dict[str, list[int]] = defaultdict(list)
        self._frame = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._stream, daemon=True)
        make = self.node.create_publisher
        self._out = {}
        for camera in self.spec.cameras:
            kind = CompressedImage if camera.type == "compressed" else Image
            self._out[camera.topic] = make(kind, camera.topic, RELIABLE)
        for source in self.spec.state_sources:
            self._out[source.topic] = make(JointState, source.topic, RELIABLE)
        self._out[self.spec.command.topic] = make(
            JointTrajectory, self.spec.command.topic, RELIABLE
        )
        self._out["/a1/chunk"] = make(ActionChunk, "a1/chunk", RELIABLE)
        info = make(ThresholdsInfo, "a1/thresholds_info", LATCHED)
        info.publish(ThresholdsInfo(checkpoint_digest="c" * 64, thresholds_digest="d" * 64))
        self.pedal = make(Joy, "joy", RELIABLE)

    def start(self) -> None:
        self._thread.start()

    def goes_on(self, pictures: int) -> None:
        """Return once so many more pictures of every camera were sent, and what comes with them."""
        enough = self._frame + pictures
        assert wait_for(lambda: self._frame >= enough, 60.0)

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def press(self, button: int) -> None:
        for value in (0, 1, 0):
            buttons = [0] * 4
            buttons[button] = value
            self.pedal.publish(Joy(buttons=buttons))

    def _stream(self) -> None:
        count = 0
        while not self._stop.wait(0.01):
            self.tick(images=count % 5 == 0)
            count += 1

    def tick(self, *, images: bool = True) -> None:
        """One round of messages."""
        stamp_ns = self.node.get_clock().now().nanoseconds
        for source in self.spec.state_sources:
            positions = np.full(len(source.joints), (stamp_ns % 1000) / 1e4)
            self.send(source.topic, to_joint_state(source.joints, positions, stamp_ns))
        self.send(self.spec.command.topic, JointTrajectory(joint_names=["j"]))
        if not images:
            return
        self._frame += 1
        pixels = np.full((SIDE_PX, SIDE_PX, 3), self._frame % 250, np.uint8)
        for camera in self.spec.cameras:
            make = to_jpeg if camera.type == "compressed" else to_image
            self.send(camera.topic, make(pixels, stamp_ns, camera.name))
        self.send("/a1/chunk", ActionChunk(seq=self._frame, robot=self.spec.robot))

    def send(self, topic: str, msg) -> None:
        data = bytes(serialize_message(msg))
        data += bytes(-len(data) % 4)  # The wire carries whole words.
        self.sent[topic].append(data)
        self.times_ns[topic].append(time.time_ns())
        self._out[topic].publish(data)


class Operator:
    """Asks the recorder for things and waits for the answers."""

    def __init__(self, ros: RosApart) -> None:
        self.node = ros.add(rclpy.create_node("operator", use_global_arguments=False))
        make = self.node.create_client
        self._clients = {
            StartRecording: make(StartRecording, "a1/start_recording"),
            StopRecording: make(StopRecording, "a1/stop_recording"),
            DiscardEpisode: make(DiscardEpisode, "a1/discard_episode"),
            LabelEpisode: make(LabelEpisode, "a1/label_episode"),
        }
        self._action = ActionClient(self.node, RecordEpisode, "a1/record_episode")
        self.feedback: list = []

    def start(self, instruction: str = "touch the red cube", driver: str = ""):
        return self._ask(StartRecording, instruction=instruction, driver=driver)

    def stop(self):
        return self._ask(StopRecording)

    def discard(self, episode_id: str = ""):
        return self._ask(DiscardEpisode, episode_id=episode_id)

    def label(self, **fields):
        return self._ask(LabelEpisode, **fields)

    def record(self, seconds: float, instruction: str = "touch the red cube"):
        """Send a goal; its handle."""
        assert self._action.wait_for_server(timeout_sec=5.0)
        whole, part = divmod(seconds, 1)
        goal = RecordEpisode.Goal(
            instruction=instruction, timeout=Duration(sec=int(whole), nanosec=int(part * 1e9))
        )
        return result_of(self._action.send_goal_async(goal, self.feedback.append))

    def _ask(self, kind, **fields):
        client = self._clients[kind]
        assert client.wait_for_service(timeout_sec=5.0)
        return result_of(client.call_async(kind.Request(**fields)))


def result_of(future, timeout_s: float = 15.0):
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout_s), "no answer"
    return future.result()


def make_recorder(ros: RosApart, spec_file: Path, folder: Path, **parameters) -> RecorderNode:
    """An unconfigured recorder."""
    values = {
        "robot": str(spec_file),
        "folder": str(folder),
        "operator": "a person",
        "reserve_mb": 0,
        **parameters,
    }
    return ros.add(
        RecorderNode(
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
            use_global_arguments=False,
        )
    )


def messages_in(path: Path) -> dict[str, list[bytes]]:
    """Serialised messages of a bag by topic, read by a1_data."""
    found: dict[str, list[bytes]] = defaultdict(list)
    (files,) = find_bags(path)
    for file in files.files:
        contents = look(file, files.findings)
        topics = [topic for topic, _ in contents.counts]
        for raw in read(file, contents, topics, Findings()):
            found[raw.channel.topic].append(bytes(raw.data))
    return found


def only_bag(path: Path, spec_file: Path):
    (bag,) = open_bags(path, load_spec(spec_file), ReadSettings())
    return bag


def holds_in_a_row(whole: list[bytes], part: list[bytes]) -> bool:
    """Whether `part` stands in `whole` without a gap."""
    if not part:
        return False
    starts = [k for k, data in enumerate(whole) if data == part[0]]
    return any(whole[k : k + len(part)] == part for k in starts)


def missing_s(robot: Robot, topic: str, found: list[bytes], until_ns: int) -> float:
    """How long before `until_ns` the first message was sent that the bag lacks at its end.

    A robot that stood still on a busy machine has sent nothing that could be missing.
    """
    sent = list(robot.sent[topic])
    first = len(sent) - sent[::-1].index(found[-1])
    times_ns = robot.times_ns[topic]
    return max(0.0, (until_ns - times_ns[first]) / 1e9) if first < len(times_ns) else 0.0
