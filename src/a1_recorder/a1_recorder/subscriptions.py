"""Serialised messages from topics to the session: nothing is decoded.

The subscriptions are polled, all together, and not waited for: an executor that wakes up for each
message spends more on waking than the recorder on writing. Nothing is lost by it, since the
middleware keeps messages and notes when each came.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from a1_core.errors import A1Error
from a1_data.definitions import Definitions
from a1_recorder.session import Session
from a1_recorder.topics import Topic
from a1_ros.guard import EARS
from a1_ros.qos import qos_from_spec

DEPTH = 1000
"""Messages the middleware keeps between two polls: five seconds of 200 Hz."""
IMAGE_DEPTH = 100
"""The same of images, which take memory: three seconds of 30 Hz."""

Heard = tuple[int, int, int, bytes, int | None]
"""Time of receipt, number of the topic, time of publication, message, publisher's number."""


@dataclass(kw_only=True)
class _Listened:
    number: int
    topic: str
    kind: Any
    wanted: QoSProfile
    reliability: ReliabilityPolicy
    subscription: Subscription


class Subscriptions:
    """Subscribes to topics; those whose type nobody knows yet when `look` finds a publisher.

    The subscriptions belong to a node of their own that no executor spins.
    """

    def __init__(self, node: Node, session: Session, definitions: Definitions) -> None:
        self._node = node
        self._session = session
        self._definitions = definitions
        self._ears = rclpy.create_node(
            node.get_name() + EARS,
            context=node.context,
            namespace=node.get_namespace(),
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._listened: list[_Listened] = []
        self._unknown: list[Topic] = []
        self._early: list[Heard] = []
        self.unrecorded: dict[str, str] = {}
        """Topics that cannot be recorded, and why."""

    def add(self, topic: Topic, where: str) -> None:
        """Record a topic; `where` (file and field) goes into the error of an unknown QoS."""
        if not topic.msgtype:
            self._unknown.append(topic)
            return
        self._listen(topic, topic.msgtype, qos_from_spec(topic.qos, where=where))

    def take(self, until_ns: int) -> None:
        """Hand on, in order, all that came until a time since the epoch; keep what came later."""
        heard = self._early
        for listened in self._listened:
            handle, kind = listened.subscription.handle, listened.kind
            with handle:
                while (taken := handle.take_message(kind, True)) is not None:
                    data, info = taken
                    heard.append(
                        (
                            info["received_timestamp"],
                            listened.number,
                            info["source_timestamp"],
                            data,
                            info["publication_sequence_number"],
                        )
                    )
        heard.sort(key=_receipt)
        self._early = [message for message in heard if message[0] > until_ns]
        for received_ns, number, published_ns, data, sequence in heard:
            if received_ns <= until_ns:
                self._session.hear(number, data, received_ns, published_ns, sequence)

    def look(self) -> None:
        """Look at who publishes what; now and then.

        Between episodes a best-effort subscription becomes a reliable one where all publishers
        offer that: large images get lost on the way otherwise.
        """
        for listened in self._listened:
            infos = self._node.get_publishers_info_by_topic(listened.topic)
            self._session.streams[listened.number].publishers(len(infos))
            offers = {info.qos_profile.reliability for info in infos}
            good = offers == {ReliabilityPolicy.RELIABLE}
            best = ReliabilityPolicy.RELIABLE if good else listened.wanted.reliability
            if infos and best != listened.reliability and self._session.current is None:
                self._ears.destroy_subscription(listened.subscription)
                listened.reliability = best
                listened.subscription = self._subscribe(
                    listened.topic, listened.kind, listened.wanted, best
                )
        for topic in list(self._unknown):
            name = self._node.resolve_topic_name(topic.topic)
            for info in self._node.get_publishers_info_by_topic(name)[:1]:
                self._unknown.remove(topic)
                self._listen(topic, info.topic_type, info.qos_profile)

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        self._listened.clear()
        self._ears.destroy_node()

    def _listen(self, topic: Topic, msgtype: str, wanted: QoSProfile) -> None:
        try:
            kind = message_class(msgtype)
            number = self._session.add_topic(topic, self._definitions.of(msgtype))
        except A1Error as error:
            self.unrecorded[topic.name] = str(error)
            self._node.get_logger().warning(f"{topic.name} is not recorded: {error}")
            return
        name = self._node.resolve_topic_name(topic.topic)
        self._listened.append(
            _Listened(
                number=number,
                topic=name,
                kind=kind,
                wanted=wanted,
                reliability=wanted.reliability,
                subscription=self._subscribe(name, kind, wanted, wanted.reliability),
            )
        )

    def _subscribe(
        self, topic: str, kind: Any, wanted: QoSProfile, reliability: ReliabilityPolicy
    ) -> Subscription:
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=IMAGE_DEPTH if kind.__name__.endswith("Image") else DEPTH,
            reliability=reliability,
            durability=wanted.durability,
        )
        return self._ears.create_subscription(kind, topic, _never, profile, raw=True)


def _receipt(message: Heard) -> int:
    return message[0]


def _never(data: bytes) -> None:
    """No executor spins the subscriptions."""


def message_class(msgtype: str) -> Any:
    """The Python class of a message type; A1Error where its package is not installed."""
    package, _, name = msgtype.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        raise A1Error(f"type {msgtype} is not installed here; source its workspace") from None
