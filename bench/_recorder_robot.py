"""The robot of the recorder's measurement, what it sent and when; and a recorder beside it."""

import struct
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import rclpy
import yaml
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState

from a1_core.spec import RobotSpec, load_spec
from a1_data.bag_files import find_bags
from a1_data.storage import look, read
from a1_recorder.node import RecorderNode
from a1_recorder.subscriptions import DEPTH, IMAGE_DEPTH
from a1_recorder.topics import Topic, recorded_topics
from a1_ros.images import to_image
from a1_ros.messages import to_joint_state
from a1_ros.qos import qos_from_spec

SPEC = Path(__file__).parents[1] / "config/robots/franka.yaml"
WIDTH, HEIGHT, CAMERAS = 640, 480, 3
CAMERA_HZ, STATE_HZ = 30, 200
HEADER = struct.Struct("<iII")
COUNTER = 8


def write_spec(path: Path, kind: str, qos: str) -> RobotSpec:
    """The Franka's spec with three cameras of a kind, all streams with one quality of service."""
    content = yaml.safe_load(SPEC.read_text())
    del content["model"]  # whose cameras are others
    first = content["cameras"][0]
    content["cameras"] = [
        {**first, "name": f"c{k}", "topic": f"/c{k}/image", "type": kind, "width": WIDTH}
        | {"height": HEIGHT, "rate_hz": float(CAMERA_HZ), "qos": qos}
        for k in range(CAMERAS)
    ]
    for source in content["state_sources"]:
        source["qos"] = qos
    path.write_text(yaml.safe_dump(content))
    return load_spec(path)


def streams(spec: RobotSpec) -> list[Topic]:
    return [topic for topic in recorded_topics(spec, ()) if topic.max_age_s is not None]


def pictures(kind: str) -> list:
    """Messages of scenes with edges, shades and a sensor's noise."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(4):
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(int)
        noisy = np.clip(scene + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)
        if kind == "raw":
            made.append(to_image(noisy, 0, "0" * COUNTER))
        else:
            data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
            made.append(CompressedImage(format="jpeg", data=data))
            made[-1].header.frame_id = "0" * COUNTER
    return made


def sent_file(folder: Path, topic: str) -> Path:
    """When the messages of a topic were sent: ns since the epoch, int64, in order."""
    return folder / f"sent_{topic.strip('/').replace('/', '_')}"


class Outlet:
    """A publisher whose messages carry time and counter, and which remembers when it sent them."""

    def __init__(self, publisher, topic: str, folder: Path) -> None:
        self._publisher = publisher
        self._sent = sent_file(folder, topic).open("wb", buffering=0)
        self._count = 0

    def send(self, data: bytearray) -> None:
        """Publish serialised bytes with the time in their stamp, a counter in their frame_id."""
        now_ns = time.time_ns()
        sec, nanosec = divmod(now_ns, 1_000_000_000)
        HEADER.pack_into(data, 4, sec, nanosec, COUNTER + 1)
        data[16 : 16 + COUNTER] = b"%08d" % self._count
        self._count += 1
        self._sent.write(struct.pack("<q", now_ns))
        self._publisher.publish(bytes(data))


def missing_since(folder: Path, topic: str, newest: int | None, began_ns: int) -> int:
    """When the first message was sent that a bag lacks at its end (ns); far away where none was.

    `newest` is the counter of the newest message in the bag. A robot that stood still, as one does
    on a machine with too much to do, has sent nothing that could be missing.
    """
    times = np.fromfile(sent_file(folder, topic), "<i8")
    first = int(np.searchsorted(times, began_ns)) if newest is None else newest + 1
    return int(times[first]) if first < len(times) else 2**63 - 1


def profile(topic: Topic) -> QoSProfile:
    """As the recorder subscribes."""
    named = qos_from_spec(topic.qos, where="bench")
    depth = IMAGE_DEPTH if topic.msgtype.endswith("Image") else DEPTH
    return QoSProfile(depth=depth, reliability=named.reliability, durability=named.durability)


def be_robot(spec: RobotSpec, kind: str) -> None:
    """Stream until SIGTERM."""
    rclpy.init()
    node = rclpy.create_node("bench_robot")
    image = Image if kind == "raw" else CompressedImage
    images = [bytearray(serialize_message(msg)) for msg in pictures(kind)]
    folder = spec.path.parent
    profiles = {topic.topic: profile(topic) for topic in streams(spec)}
    cameras = [
        Outlet(node.create_publisher(image, c.topic, profiles[c.topic]), c.topic, folder)
        for c in spec.cameras
    ]
    joints = []
    for source in spec.state_sources:
        msg = to_joint_state(source.joints, [0.0] * len(source.joints), 0, frame_id="0" * COUNTER)
        publisher = node.create_publisher(JointState, source.topic, profiles[source.topic])
        outlet = Outlet(publisher, source.topic, folder)
        joints.append((outlet, bytearray(serialize_message(msg))))
    began_s, ticks, frames = time.monotonic(), 0, 0
    while True:
        elapsed_s = time.monotonic() - began_s
        if elapsed_s * STATE_HZ < ticks:
            time.sleep(ticks / STATE_HZ - elapsed_s)
            continue
        for outlet, data in joints:
            outlet.send(data)
        ticks += 1
        if elapsed_s * CAMERA_HZ >= frames:
            for outlet in cameras:
                outlet.send(images[frames % len(images)])
            frames += 1


def make_recorder(spec: RobotSpec, folder: Path) -> RecorderNode:
    """An active recorder that writes into `folder`."""
    values = {"robot": str(spec.path), "folder": str(folder), "reserve_mb": 0}
    node = RecorderNode(parameter_overrides=[Parameter(n, value=v) for n, v in values.items()])
    node.trigger_configure()
    node.trigger_activate()
    return node


def hear_all(executor, counts) -> None:
    """Spin until every one of `counts()` is more than nothing."""
    while not all(counts()):
        executor.spin_once(timeout_sec=0.1)


def stamp_and_counter(data) -> tuple[int, int]:
    """Of a serialised message: its stamp (ns) and number."""
    sec, nanosec, _ = HEADER.unpack_from(data, 4)
    return sec * 1_000_000_000 + nanosec, int(bytes(data[16 : 16 + COUNTER]))


def headers(path: Path, wanted: set[str]) -> dict[str, list[tuple[int, int]]]:
    """Stamp (ns) and counter of every message in a bag, by topic."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    (files,) = find_bags(path)
    for file in files.files:
        for raw in read(file, look(file, files.findings), wanted, files.findings):
            found[raw.channel.topic].append(stamp_and_counter(raw.data))
    return found
