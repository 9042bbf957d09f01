"""Serialised messages from topics to the session: nothing is decoded."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.subscription import Subscription

from a1_core.errors import A1Error
from a1_recorder.definitions import Definitions
from a1_recorder.session import Session
from a1_recorder.topics import Topic
from a1_ros.qos import qos_from_spec

DEPTH = 100
"""Messages the middleware keeps while a callback is late."""


class Subscriptions:
    """Subscribes to topics; those whose type nobody knows yet when `look` finds a publisher."""

    def __init__(self, node: Node, session: Session, definitions: Definitions) -> None:
        self._node = node
        self._session = session
        self._definitions = definitions
        self._subscriptions: list[Subscription] = []
        self._unknown: list[Topic] = []
        self.unrecorded: dict[str, str] = {}
        """Topics that cannot be recorded, and why."""

    def add(self, topic: Topic, where: str) -> None:
        """Record a topic; `where` (file and field) goes into the error of an unknown QoS."""
        if not topic.msgtype:
            self._unknown.append(topic)
            return
        wanted = qos_from_spec(topic.qos, where=where)
        self._subscribe(topic, topic.msgtype, wanted.reliability, wanted.durability)

    def look(self) -> None:
        """Look at who publishes what; now and then."""
        for stream in self._session.streams:
            stream.publishers(self._node.count_publishers(stream.topic.topic))
        for topic in list(self._unknown):
            name = self._node.resolve_topic_name(topic.topic)
            for info in self._node.get_publishers_info_by_topic(name)[:1]:
                self._unknown.remove(topic)
                offered = info.qos_profile
                self._subscribe(topic, info.topic_type, offered.reliability, offered.durability)

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(
        self,
        topic: Topic,
        msgtype: str,
        reliability: ReliabilityPolicy,
        durability: DurabilityPolicy,
    ) -> None:
        try:
            kind = message_class(msgtype)
            number = self._session.add_topic(topic, self._definitions.of(msgtype))
        except A1Error as error:
            self.unrecorded[topic.name] = str(error)
            self._node.get_logger().warning(f"{topic.name} is not recorded: {error}")
            return
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=DEPTH,
            reliability=reliability,
            durability=durability,
        )
        self._subscriptions.append(
            self._node.create_subscription(
                kind, topic.topic, partial(self._hear, number), profile, raw=True
            )
        )

    def _hear(self, number: int, data: bytes, info: dict[str, Any]) -> None:
        self._session.hear(
            number, data, info["source_timestamp"], info["publication_sequence_number"]
        )


def message_class(msgtype: str) -> Any:
    """The Python class of a message type; A1Error where its package is not installed."""
    package, _, name = msgtype.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        raise A1Error(f"type {msgtype} is not installed here; source its workspace") from None
