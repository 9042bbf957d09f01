"""Console script `foxglove`: A1's topics for Foxglove, on machines without foxglove_bridge.

Messages go out as they came, with the definitions of their types, so that a layout made for the one
bridge serves with the other. Nothing is taken from a viewer: he can look, and no more. A topic is
subscribed to while somebody looks at it.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

import foxglove
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from a1_core.errors import A1Error
from a1_data.definitions import Definitions
from a1_ros.parameters import Change, Parameters, ParameterSpec
from a1_ros.qos import LATCHED, RELIABLE, SENSOR
from a1_ros.times import node_now_ns
from a1_views.serving import serve

HOST = "127.0.0.1"
LOOK_PERIOD_S = 1.0
FOLLOW_PERIOD_S = 0.1
SPECS = (
    ParameterSpec(
        name="port",
        default=8765,
        description="TCP port on 127.0.0.1, as in ws://127.0.0.1:PORT; 0: one that is free",
        range=(0, 65535),
        change=Change.NEVER,
    ),
    ParameterSpec(
        name="folders",
        default=["a1", "sim"],
        description="Topics below these names are offered, in the node's namespace",
        change=Change.NEVER,
    ),
    ParameterSpec(
        name="topics",
        default=["/diagnostics"],
        description="Topics that are offered besides, such as cameras",
        change=Change.NEVER,
    ),
)


class FoxgloveNode(Node):
    """Offers the topics that somebody publishes, and forwards those that somebody looks at."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("foxglove", **node_kwargs)
        self.parameters = Parameters(self, SPECS)
        self._definitions = Definitions()
        self._sink = foxglove.Context()
        self._channels: dict[str, foxglove.Channel] = {}
        self._unknown: set[str] = set()
        self._subscriptions_by_topic: dict[str, Subscription] = {}
        self._viewers = _Viewers()
        port = self.parameters["port"]
        try:
            self._server = foxglove.start_server(
                name="A1",
                host=HOST,
                port=port,
                server_listener=self._viewers,
                context=self._sink,
            )
        except RuntimeError as error:
            raise A1Error(
                f"port {port}: Foxglove cannot be served there ({error}); end what uses it, or "
                "give another port, 0 for any that is free"
            ) from None
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_PERIOD_S, self._look, clock=steady)
        self.create_timer(FOLLOW_PERIOD_S, self._follow, clock=steady)
        self._look()
        self.get_logger().info(f"open {self.address} in Foxglove on this machine")

    @property
    def address(self) -> str:
        """What Foxglove connects to."""
        return f"ws://{HOST}:{self._server.port}"

    def destroy_node(self) -> None:
        """End the server, then the node."""
        self._server.stop()
        super().destroy_node()

    def _look(self) -> None:
        """Offer the topics that have come up since."""
        folders = [f"{self.resolve_topic_name(folder)}/" for folder in self.parameters["folders"]]
        named = {self.resolve_topic_name(topic) for topic in self.parameters["topics"] if topic}
        for topic, (msgtype, *_) in self.get_topic_names_and_types():
            wanted = topic in named or any(topic.startswith(folder) for folder in folders)
            known = topic in self._channels or topic in self._unknown
            if wanted and not known and "/msg/" in msgtype:
                self._offer(topic, msgtype)

    def _offer(self, topic: str, msgtype: str) -> None:
        try:
            text = self._definitions.of(msgtype).text
        except A1Error as error:
            self._unknown.add(topic)
            self.get_logger().warning(f"{topic} is left out: {error}")
            return
        schema = foxglove.Schema(name=msgtype, encoding="ros2msg", data=text.encode())
        self._channels[topic] = foxglove.Channel(
            topic, schema=schema, message_encoding="cdr", context=self._sink
        )

    def _follow(self) -> None:
        """Subscribe to what is looked at, and to nothing else.

        A latched message comes once a subscription: who comes later has it by a new one.
        """
        newly_watched = self._viewers.newly_watched()
        watched = self._viewers.topics() & self._channels.keys()
        for topic, subscription in tuple(self._subscriptions_by_topic.items()):
            latched = subscription.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL
            if topic not in watched or (latched and topic in newly_watched):
                self.destroy_subscription(self._subscriptions_by_topic.pop(topic))
        for topic in watched - self._subscriptions_by_topic.keys():
            channel = self._channels[topic]

            def forward(data: bytes, channel: foxglove.Channel = channel) -> None:
                channel.log(data, log_time=node_now_ns(self))

            kind = _message_class(channel.schema_name() or "")
            self._subscriptions_by_topic[topic] = self.create_subscription(
                kind, topic, forward, self._qos(topic), raw=True
            )

    def _qos(self, topic: str) -> QoSProfile:
        """What all publishers of a topic offer."""
        offered = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        if any(profile.reliability is not ReliabilityPolicy.RELIABLE for profile in offered):
            return SENSOR
        latched = [profile.durability is DurabilityPolicy.TRANSIENT_LOCAL for profile in offered]
        return LATCHED if offered and all(latched) else RELIABLE


class _Viewers(foxglove.websocket.ServerListener):
    """Who looks at what; told by the server's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at: set[tuple[int, str]] = set()
        self._newly_watched: set[str] = set()

    def newly_watched(self) -> set[str]:
        """Topics that another viewer has begun to look at since the last call."""
        with self._lock:
            newly_watched, self._newly_watched = self._newly_watched, set()
            return newly_watched

    def topics(self) -> set[str]:
        """Topics that somebody looks at."""
        with self._lock:
            return {topic for _, topic in self._looked_at}

    def on_subscribe(self, client: Any, channel: Any) -> None:
        """A viewer began to look at a topic."""
        with self._lock:
            self._looked_at.add((client.id, channel.topic))
            self._newly_watched.add(channel.topic)

    def on_unsubscribe(self, client: Any, channel: Any) -> None:
        """A viewer no longer looks at a topic, or left."""
        with self._lock:
            self._looked_at.discard((client.id, channel.topic))


def _message_class(msgtype: str) -> Any:
    """The class of a message type, e.g. a1_msgs/msg/ExitState."""
    package, _, name = msgtype.partition("/msg/")
    return getattr(import_module(f"{package}.msg"), name)


def main() -> None:
    """Serve Foxglove until it is interrupted."""
    serve(FoxgloveNode)


if __name__ == "__main__":
    main()
