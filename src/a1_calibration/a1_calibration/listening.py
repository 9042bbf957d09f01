"""Live topics into bags: what is played (`ros2 bag play`) or seen now can then be calibrated on.

Messages are written as they come over the wire, decoded by nobody, and read afterwards as any bag
is: nothing of a calibration depends on how fast the network computes, and it can be repeated. A
bag is an episode unless episode events are heard: a silence of the first camera ends it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from a1_msgs.msg import EpisodeState
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from a1_core.errors import BagError
from a1_core.spec import RobotSpec
from a1_core.times import NS_PER_S
from a1_data.episodes import EPISODE, EVENT_TOPICS, INSTRUCTION_TOPIC, TEXT
from a1_data.share import find_definition
from a1_data.streams import absolute, streams_of
from a1_ros.executor import make_executor
from a1_ros.qos import RELIABLE, qos_from_spec
from a1_ros.times import steady_now_ns

KINDS = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
    "sensor_msgs/msg/JointState": JointState,
    TEXT: String,
    EPISODE: EpisodeState,
}
DEPTH = 200
"""Messages that wait while a large image is written."""
UNFINISHED = "unfinished"


@dataclass(kw_only=True)
class _Ear:
    """One topic: as it is subscribed to, as bags call it, and with which quality of service."""

    topic: str
    name: str
    msgtype: str
    wanted: QoSProfile
    reliability: ReliabilityPolicy
    subscription: Subscription | None = None


def _ears_of(spec: RobotSpec) -> list[_Ear]:
    """The robot's streams, episode events, instructions."""
    told = {absolute(source.topic): (source.topic, source.qos) for source in spec.state_sources}
    told |= {absolute(camera.topic): (camera.topic, camera.qos) for camera in spec.cameras}
    ears = []
    for stream in streams_of(spec):
        topic, qos = told[stream.topic]
        profile = qos_from_spec(qos, where=stream.where)
        ears.append(_ear(topic, stream.topic, stream.msgtype, profile))
    said = [*[(name, EPISODE) for name in EVENT_TOPICS], (INSTRUCTION_TOPIC, TEXT)]
    return ears + [_ear(name[1:], name, msgtype, RELIABLE) for name, msgtype in said]


def _ear(topic: str, name: str, msgtype: str, wanted: QoSProfile) -> _Ear:
    return _Ear(
        topic=topic, name=name, msgtype=msgtype, wanted=wanted, reliability=wanted.reliability
    )


class Listener:
    """Subscribes to a robot's streams, episode events and instructions, and writes what comes.

    Attributes:
        images: of the first camera that were written; messages: of all topics.
        lost: messages that did not come, by the publishers' own numbers.
        bags: that were finished, in order.

    Args:
        folder: for the bags; made where there is none.
        gap_s: a silence of the first camera that ends a bag, unless episode events are heard.
        quiet_s: one that ends the listening, once an image was heard.
        steady_ns: clock for silences.

    Raises BagError when the folder holds something already.
    """

    def __init__(
        self,
        node: Node,
        spec: RobotSpec,
        folder: Path,
        *,
        gap_s: float,
        quiet_s: float,
        steady_ns: Callable[[], int],
    ) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BagError(
                f"{folder}: holds something already; name a new folder, or read it as bags"
            )
        self._node = node
        self._folder = folder
        self._gap_s, self._quiet_s = gap_s, quiet_s
        self._steady_ns = steady_ns
        self._types = _types()
        self._bag: _Bag | None = None
        self._newest_image_ns: int | None = None
        self._events = False
        self._error: BagError | None = None
        self._numbers: dict[str, int] = {}
        self.images = 0
        self.messages = 0
        self.lost = 0
        self.bags: list[Path] = []
        streams = streams_of(spec)
        self._camera = next(stream.topic for stream in streams if stream.camera is not None)
        self._ears = _ears_of(spec)
        for ear in self._ears:
            self._subscribe(ear)

    def _subscribe(self, ear: _Ear) -> None:
        profile = QoSProfile(
            history=ear.wanted.history,
            depth=DEPTH,
            reliability=ear.reliability,
            durability=ear.wanted.durability,
        )
        callback = partial(self._hear, ear.name, ear.msgtype)
        ear.subscription = self._node.create_subscription(
            KINDS[ear.msgtype], ear.topic, callback, profile, raw=True
        )

    def _look(self) -> None:
        """Hear reliably what is published reliably: large images get lost otherwise."""
        for ear in self._ears:
            name = self._node.resolve_topic_name(ear.topic)
            infos = self._node.get_publishers_info_by_topic(name)
            offers = {info.qos_profile.reliability for info in infos}
            good = offers == {ReliabilityPolicy.RELIABLE}
            best = ReliabilityPolicy.RELIABLE if good else ear.wanted.reliability
            if infos and best != ear.reliability:
                self._node.destroy_subscription(ear.subscription)
                ear.reliability = best
                self._subscribe(ear)

    def over(self) -> bool:
        """Whether nothing more is to be expected; to be asked some times a second.

        Raises BagError when what was heard could not be written.
        """
        if self._error is not None:
            raise self._error
        self._look()
        if self._newest_image_ns is None:
            return False
        silence_s = (self._steady_ns() - self._newest_image_ns) / NS_PER_S
        if silence_s >= self._gap_s and not self._events and self._bag and self._bag.images:
            self._finish()
        return silence_s >= self._quiet_s

    def stop(self) -> None:
        """Stop listening; the bag in hand is finished. Raises BagError when it cannot be."""
        for ear in self._ears:
            self._node.destroy_subscription(ear.subscription)
        self._ears.clear()
        self._finish()
        shutil.rmtree(self._folder / UNFINISHED, ignore_errors=True)

    def _hear(self, name: str, msgtype: str, data: bytes, info: dict[str, Any]) -> None:
        if self._error is not None:
            return
        self._count(name, info)
        try:
            if self._bag is None:
                self._bag = _Bag(self._folder, f"live_{len(self.bags):03d}", self._types)
            self._bag.write(name, msgtype, info["received_timestamp"], data)
        except OSError as error:
            self._error = _unwritable(self._folder, error)  # a callback has nobody to raise to
            return
        self.messages += 1
        self._events |= msgtype == EPISODE
        if name == self._camera:
            self._bag.images += 1
            self.images += 1
            self._newest_image_ns = self._steady_ns()

    def _count(self, name: str, info: dict[str, Any]) -> None:
        number = info.get("publication_sequence_number")
        if number is not None:
            before = self._numbers.get(name, number)
            self.lost += max(0, number - before - 1)  # a lower one is another publisher's
            self._numbers[name] = number

    def _finish(self) -> None:
        bag, self._bag = self._bag, None
        if bag is None:
            return
        try:
            path = bag.finish()
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        if path is not None:
            self.bags.append(path)


def listen(
    spec: RobotSpec,
    folder: Path,
    *,
    gap_s: float,
    quiet_s: float,
    heard: Callable[[int], None],
) -> Listener:
    """Listen in a node of its own until the topics are silent; `heard` is told the images so far.

    Raises BagError as `Listener` does; what was heard until then, or until an interrupt, is kept.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("calibrate")
    executor = make_executor()
    executor.add_node(node)
    try:
        listener = Listener(
            node, spec, folder, gap_s=gap_s, quiet_s=quiet_s, steady_ns=steady_now_ns
        )
        try:
            while not listener.over():
                executor.spin_once(timeout_sec=0.1)
                heard(listener.images)
        finally:
            listener.stop()
    finally:
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
    return listener


class _Bag:
    """One bag; a draft until it is finished."""

    def __init__(self, folder: Path, name: str, types: Typestore) -> None:
        self._final = folder / name
        self._draft = folder / UNFINISHED / name
        self._draft.parent.mkdir(parents=True, exist_ok=True)
        self._types = types
        self._writer = Writer(self._draft, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections: dict[str, Connection] = {}
        self.images = 0

    def write(self, topic: str, msgtype: str, received_ns: int, data: bytes) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, msgtype, typestore=self._types
            )
        self._writer.write(self._connections[topic], received_ns, data)

    def finish(self) -> Path | None:
        """Where it lies; None, and nothing, when it has no image."""
        self._writer.close()
        if not self.images:
            shutil.rmtree(self._draft)
            return None
        self._draft.rename(self._final)
        return self._final


def _types() -> Typestore:
    """The definitions of what is heard, as the bags carry them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    text = find_definition(EPISODE)
    if text is None:
        raise BagError(f"{EPISODE}: its .msg file is not found; source the workspace it is from")
    store.register(get_types_from_msg(text, EPISODE))
    return store


def _unwritable(folder: Path, error: OSError) -> BagError:
    return BagError(f"{folder}: cannot be written ({error.strerror}); make room or name another")
