"""Input of the tests of bags: a robot's run as messages, bags of it, what a live node sees."""

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from a1_core.assembler import Assembler
from a1_core.errors import ObservationRefused
from a1_core.intake import Intake, camera_stream, joints_stream
from a1_core.raw_image import CHANNELS
from a1_data.reader import Bag, ReadSettings, open_bags

ROOT = Path(__file__).parents[2]
FRANKA = ROOT / "config/robots/franka.yaml"
EPISODE_STATE = ROOT / "src/a1_msgs/msg/EpisodeState.msg"
PLUGINS = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
MS = 1_000_000
S = 1_000_000_000
START = 1_700_000_000 * S
DELAY = 3 * MS
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
JOINTS = "sensor_msgs/msg/JointState"
TEXT = "std_msgs/msg/String"
EPISODE = "a1_msgs/msg/EpisodeState"

TYPES = get_typestore(Stores.ROS2_JAZZY)
TYPES.register(get_types_from_msg(EPISODE_STATE.read_text(), EPISODE))


def make(msgtype: str, **fields):
    return TYPES.types[msgtype](**fields)


def header(stamp_ns: int):
    sec, nanosec = divmod(stamp_ns, S)
    stamp = make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id="there")


def image(stamp_ns: int, pixels: np.ndarray, encoding: str = "rgb8", padding: int = 0):
    """Pixels are as the encoding stores them, [h, w, c]."""
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=77)
    return make(
        IMAGE,
        header=header(stamp_ns),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=np.ascontiguousarray(rows).reshape(-1),
    )


def jpeg(stamp_ns: int, pixels: np.ndarray):
    encoded = cv2.imencode(".jpg", pixels)[1]
    return make(COMPRESSED, header=header(stamp_ns), format="jpeg", data=encoded.reshape(-1).copy())


def joints(stamp_ns: int, names, positions):
    empty = np.zeros(0)
    return make(
        JOINTS,
        header=header(stamp_ns),
        name=list(names),
        position=np.ascontiguousarray(positions, float),
        velocity=empty,
        effort=empty,
    )


def text(data: str):
    return make(TEXT, data=data)


def event(
    number: int,
    running: bool,
    *,
    instruction="",
    success=False,
    failed=False,
    steps=(),
    steps_done=0,
):
    return make(
        EPISODE,
        header=header(START),
        episode=number,
        seed=7,
        running=running,
        success=success,
        failed=failed,
        elapsed_s=0.0,
        kind="",
        colour="",
        instruction=instruction,
        phase="",
        steps=list(steps),
        steps_done=steps_done,
    )


@dataclass
class Message:
    """One message and when the recorder got it."""

    topic: str
    msgtype: str
    received_ns: int
    msg: object


@dataclass
class Run:
    """A robot's run; streams go round as a real one's do, with a little disorder."""

    spec: object
    seconds: float = 2.0
    encoding: str = "rgb8"
    size: tuple[int, int] = (24, 32)
    messages: list[Message] = field(default_factory=list)
    seed: int = 0

    def record(self) -> "Run":
        rng = np.random.default_rng(self.seed)
        arm, hand = self.spec.state_sources
        end = round(self.seconds * 1000)
        for at in range(0, end, 10):
            stamp = START + at * MS
            self.arm(stamp, np.linspace(0, 1, 7) * np.sin(at / 300))
            if at % 60 == 0:
                self.hand(stamp + 1 * MS, 0.02 + 0.02 * np.cos(at / 500))
            if at % 50 == 0:
                for camera in self.spec.cameras:
                    shift = int(rng.integers(-4, 5)) * MS
                    self.camera(camera, stamp + shift, self.pixels(rng))
        self.messages.sort(key=lambda message: message.received_ns)
        assert arm.topic != hand.topic
        return self

    def pixels(self, rng) -> np.ndarray:
        channels = CHANNELS[self.encoding]
        return rng.integers(0, 256, (*self.size, channels), np.uint8)

    def add(self, topic: str, msgtype: str, received_ns: int, msg: object) -> None:
        self.messages.append(Message(topic, msgtype, received_ns, msg))

    def arm(self, stamp_ns: int, positions) -> None:
        source = self.spec.state_sources[0]
        names = list(source.joints)
        self.add(
            source.topic, JOINTS, stamp_ns + DELAY, joints(stamp_ns, names[::-1], positions[::-1])
        )

    def hand(self, stamp_ns: int, position: float) -> None:
        source = self.spec.state_sources[1]
        names = [*source.joints, "fr3_finger_joint2"]
        self.add(
            source.topic, JOINTS, stamp_ns + DELAY, joints(stamp_ns, names, [position, position])
        )

    def camera(self, camera, stamp_ns: int, pixels: np.ndarray, delay: int = 12 * MS) -> None:
        msgtype = COMPRESSED if camera.type == "compressed" else IMAGE
        if camera.type == "compressed":
            msg = jpeg(stamp_ns, pixels)
        else:
            msg = image(stamp_ns, pixels, self.encoding)
        self.add(camera.topic, msgtype, stamp_ns + delay, msg)

    def of(self, topic: str) -> list[Message]:
        return [message for message in self.messages if message.topic == topic]

    def without(self, topic: str) -> "Run":
        kept = [message for message in self.messages if message.topic != topic]
        return Run(self.spec, messages=kept)

    def between(self, begin: float, end: float) -> list[Message]:
        lower, upper = (START + round(limit * S) for limit in (begin, end))
        return [message for message in self.messages if lower <= message.received_ns < upper]


def write_spec(path: Path, **cameras) -> Path:
    """The Franka's spec with quick cameras; keywords change every camera."""
    content = yaml.safe_load(FRANKA.read_text())
    for camera in content["cameras"]:
        camera.update({"width": None, "height": None, "rate_hz": 20.0, **cameras})
    path.write_text(yaml.safe_dump(content))
    return path


def write_bag(
    path: Path,
    messages,
    storage: str = "mcap",
    compression: CompressionMode = CompressionMode.NONE,
    **custom: str,
) -> Path:
    """A bag as rosbags writes it."""
    writer = Writer(path, version=9, storage_plugin=PLUGINS[storage])
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    for key, value in custom.items():
        writer.set_custom_data(key, value)
    with writer:
        connections = {}
        for message in messages:
            key = (message.topic, message.msgtype)
            if key not in connections:
                connections[key] = writer.add_connection(*key, typestore=TYPES)
            data = TYPES.serialize_cdr(message.msg, message.msgtype)
            writer.write(connections[key], message.received_ns, data)
    return path


def write_split(path: Path, parts, storage: str = "mcap", **options) -> Path:
    """A bag of several files, as a recorder splits it."""
    path.mkdir()
    whole = None
    for number, messages in enumerate(parts):
        part = write_bag(path.parent / f"part_{number}", messages, storage, **options)
        (data,) = data_files(part)
        suffixes = "".join(data.suffixes)
        shutil.move(data, path / f"{path.name}_{number}{suffixes}")
        content = yaml.safe_load((part / "metadata.yaml").read_text())
        information = content["rosbag2_bagfile_information"]
        information["relative_file_paths"] = [f"{path.name}_{number}{suffixes}"]
        if whole is None:
            whole = information
        else:
            whole["relative_file_paths"] += information["relative_file_paths"]
        shutil.rmtree(part)
    (path / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": whole}))
    return path


def data_files(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.name != "metadata.yaml")


def read(path: Path, spec, **settings) -> tuple[list, Bag]:
    """All frames of the one bag there, with an instruction unless told otherwise."""
    (bag,) = open_bags(path, spec, ReadSettings(**{"instruction": "do it", **settings}))
    frames = list(bag.frames())
    check_account(bag)
    return frames, bag


def check_account(bag: Bag) -> None:
    """Nothing is lost between the counts."""
    streams = bag.report.streams
    for stream in streams:
        assert stream.received == stream.accepted + sum(stream.dropped.values())
    reference = next(stream for stream in streams if stream.name.startswith("camera"))
    assert sum(bag.report.ticks.values()) == reference.accepted


def codes(bag: Bag) -> list[str]:
    return sorted(finding.code for finding in bag.findings)


def live(spec, messages, *, complete_states: bool = True) -> list:
    """What the policy node makes of the same messages, without a bag between."""
    assembler = Assembler(spec)
    intake = Intake(spec, complete_states=complete_states)
    cameras = {camera.topic: camera.name for camera in spec.cameras}
    observations = []
    newest_ns = 0
    for message in messages:
        msg = message.msg
        stamp_ns = msg.header.stamp.sec * S + msg.header.stamp.nanosec

        def push(msg=msg, topic=message.topic, stamp_ns=stamp_ns) -> bool:
            if topic in cameras:
                return assembler.push_image(cameras[topic], stamp_ns, rgb_of(msg))
            return assembler.push_state(stamp_ns, msg.name, msg.position)

        if message.topic in cameras:
            stream = camera_stream(cameras[message.topic])
        else:
            stream = joints_stream(message.topic)
        taken = intake.take(stream, stamp_ns, push)
        newest_ns = max(newest_ns, stamp_ns) if taken.accepted else newest_ns
        if taken.tick_ns is not None:
            try:
                intake.raise_rejection()
                observations.append(assembler.assemble(taken.tick_ns, newest_ns, "do it"))
            except ObservationRefused:
                continue
    return observations


def rgb_of(msg) -> np.ndarray:
    """The colours of a message, worked out here and not by what is tested."""
    if hasattr(msg, "format"):
        return cv2.imdecode(msg.data, cv2.IMREAD_COLOR)[..., ::-1]
    if msg.encoding not in CHANNELS:
        raise ObservationRefused("CAMERA_ENCODING", msg.encoding)
    row = msg.width * CHANNELS[msg.encoding]
    pixels = msg.data.reshape(msg.height, msg.step)[:, :row].reshape(msg.height, msg.width, -1)
    if msg.encoding == "mono8":
        return np.repeat(pixels, 3, axis=2)
    pixels = pixels[..., :3]
    return pixels[..., ::-1] if msg.encoding.startswith("bgr") else pixels


def assert_same(frames, observations) -> None:
    """Bit for bit, and as many."""
    assert observations, "nothing to compare with"
    assert [f.observation.stamp_ns for f in frames] == [o.stamp_ns for o in observations]
    for frame, observation in zip(frames, observations, strict=True):
        assert_equal(frame.observation, observation)


def assert_equal(ours, theirs) -> None:
    assert ours.instruction == theirs.instruction
    assert ours.state_D.tobytes() == theirs.state_D.tobytes()
    assert list(ours.images) == list(theirs.images)
    for camera, pixels in ours.images.items():
        np.testing.assert_array_equal(pixels, theirs.images[camera])


def sha256_of(paths) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
