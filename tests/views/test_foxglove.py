"""The bridge, asked by a client that speaks Foxglove's protocol."""

import json
import struct
from contextlib import contextmanager

import pytest
from a1_msgs.msg import ExitState
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from staged_run import staged
from waiting import wait_for
from websockets.sync.client import connect

from a1_core.errors import A1Error
from a1_data.definitions import Definitions
from a1_views.foxglove import FoxgloveNode

MESSAGE_DATA = 1
HEADER = struct.Struct("<BIQ")


@pytest.fixture
def make_bridge(ros):
    def make(**parameters) -> FoxgloveNode:
        values = {"port": 0, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        return ros.add(FoxgloveNode(parameter_overrides=overrides, use_global_arguments=False))

    return make


class Client:
    def __init__(self, socket) -> None:
        self._socket = socket
        self.channels: dict[str, dict] = {}

    def offered(self, topic: str) -> dict:
        while topic not in self.channels:
            text = self._socket.recv(timeout=15)
            if isinstance(text, str) and json.loads(text)["op"] == "advertise":
                for channel in json.loads(text)["channels"]:
                    self.channels[channel["topic"]] = channel
        return self.channels[topic]

    def subscribe(self, topic: str, number: int = 7) -> None:
        one = {"id": number, "channelId": self.offered(topic)["id"]}
        self._socket.send(json.dumps({"op": "subscribe", "subscriptions": [one]}))

    def unsubscribe(self, number: int = 7) -> None:
        self._socket.send(json.dumps({"op": "unsubscribe", "subscriptionIds": [number]}))

    def message(self) -> bytes:
        while True:
            data = self._socket.recv(timeout=15)
            if isinstance(data, bytes) and data[0] == MESSAGE_DATA:
                return data[HEADER.size :]


@contextmanager
def client_of(bridge):
    with connect(bridge.address, subprotocols=["foxglove.sdk.v1"]) as socket:
        yield Client(socket)


def test_messages_go_out_as_they_came_with_their_definition(make_bridge, stage):
    bridge = make_bridge()
    state = next(one for one in staged(0, 1.0) if one.topic == "/a1/exit_state")
    with client_of(bridge) as client:
        channel = client.offered("/a1/exit_state")
        assert channel["schemaName"] == "a1_msgs/msg/ExitState"
        assert (channel["encoding"], channel["schemaEncoding"]) == ("cdr", "ros2msg")
        assert channel["schema"] == Definitions().of("a1_msgs/msg/ExitState").text
        client.subscribe("/a1/exit_state")
        assert wait_for(lambda: stage.heard_by("/a1/exit_state"))
        stage.say(state)
        heard = deserialize_message(client.message(), ExitState)
    assert heard.exit_layer == state.msg.exit_layer
    assert list(heard.exits_evaluated) == list(state.msg.exits_evaluated)


def test_latched_messages_reach_who_comes_late(make_bridge, stage):
    stage.say(next(one for one in staged(0, 1.0) if one.topic == "/a1/thresholds_info"))
    bridge = make_bridge()
    with client_of(bridge) as client, client_of(bridge) as second:
        client.subscribe("/a1/thresholds_info")
        assert client.message()
        second.subscribe("/a1/thresholds_info")
        assert second.message()


def test_only_what_is_looked_at_is_subscribed_to(make_bridge, stage):
    bridge = make_bridge()
    with client_of(bridge) as client:
        client.subscribe("/a1/exit_state")
        assert wait_for(lambda: stage.heard_by("/a1/exit_state") == 1)
        assert stage.heard_by("/a1/chunk_verdict") == 0
        client.unsubscribe()
        assert wait_for(lambda: stage.heard_by("/a1/exit_state") == 0)


def test_topics_are_those_asked_for(make_bridge, stage, ros):
    from std_msgs.msg import String

    ros.node("chatty").create_publisher(String, "/chatter", 1)
    bridge = make_bridge(topics=["/chatter"])
    with client_of(bridge) as client:
        client.offered("/chatter")
        client.offered("/a1/exit_state")
        client.offered("/sim/episode")
        assert "/diagnostics" not in client.channels


def test_a_port_that_is_taken_is_named_with_the_mend(make_bridge):
    port = int(make_bridge().address.rsplit(":", 1)[1])
    with pytest.raises(A1Error, match=rf"port {port}: .*give another port"):
        make_bridge(port=port)
