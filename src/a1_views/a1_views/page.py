"""Console script `page`: a page in the browser that shows how the policy thinks, as it thinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from a1_msgs.msg import (
    ChunkVerdict,
    ControllerState,
    EpisodeState,
    ExitState,
    ObservationRefusal,
    ThresholdsInfo,
)
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from a1_ros.parameters import Change, Parameters, ParameterSpec
from a1_ros.qos import LATCHED, RELIABLE, STATUS
from a1_ros.times import node_now_ns
from a1_views.board import Board
from a1_views.orders import Orders
from a1_views.server import PageServer
from a1_views.serving import serve

WATCH_PERIOD_S = 0.2
SPECS = (
    ParameterSpec(
        name="port",
        default=8117,
        description="TCP port on 127.0.0.1; 0: one that is free",
        range=(0, 65535),
        change=Change.NEVER,
    ),
    ParameterSpec(
        name="title",
        default="A1",
        description="What the page is called, e.g. the robot's name",
        change=Change.NEVER,
    ),
    ParameterSpec(
        name="controls",
        default=False,
        description="true: buttons to arm, disarm, stop, reset, choose the depth and instruct",
        change=Change.NEVER,
    ),
)


class PageNode(Node):
    """Listens, and serves what it heard. It sends nothing unless `controls` is set.

    What comes often and is of no use to nobody (the controller's state, pictures) is listened to
    while somebody looks.
    """

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("page", **node_kwargs)
        self.parameters = Parameters(self, SPECS)
        self._board = Board()
        board = self._board
        for kind, topic, take, qos in (
            (ExitState, "a1/exit_state", board.exit_state, RELIABLE),
            (ChunkVerdict, "a1/chunk_verdict", board.verdict, RELIABLE),
            (ObservationRefusal, "a1/refusal", board.refusal, RELIABLE),
            (ThresholdsInfo, "a1/thresholds_info", board.thresholds, LATCHED),
            (String, "a1/instruction", board.instruction, LATCHED),
            (EpisodeState, "a1/episode", board.episode, RELIABLE),
            (EpisodeState, "sim/episode", board.episode, RELIABLE),
            (DiagnosticArray, "/diagnostics", self._now(board.diagnostics), RELIABLE),
        ):
            self.create_subscription(kind, topic, take, qos)
        self._watched: list[Subscription] = []
        orders = Orders(self) if self.parameters["controls"] else None
        self._server = PageServer(
            lambda since: board.news(since, node_now_ns(self)),
            port=self.parameters["port"],
            title=self.parameters["title"],
            act=orders.carry_out if orders is not None else None,
        )
        self._server.start()
        self.create_timer(
            WATCH_PERIOD_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.get_logger().info(f"open {self.address} in a browser on this machine")

    @property
    def address(self) -> str:
        """Where the page is."""
        return self._server.address

    def destroy_node(self) -> None:
        """End the server, then the node."""
        self._server.stop()
        super().destroy_node()

    def _now(self, take: Callable[[Any, int], None]) -> Callable[[Any], None]:
        """`take` with the time of receipt."""
        return lambda msg: take(msg, node_now_ns(self))

    def _watch(self) -> None:
        """Listen to what comes often while there are viewers."""
        if bool(self._watched) == bool(self._server.viewers):
            return
        if self._watched:
            for subscription in self._watched:
                self.destroy_subscription(subscription)
            self._watched = []
            self._board.look_away()
            return
        board, listen = self._board, self.create_subscription
        self._watched = [
            listen(ControllerState, "a1/controller_state", self._now(board.controller), STATUS),
            listen(CompressedImage, "a1/thumbnails", board.thumbnails, STATUS),
        ]


def main() -> None:
    """Serve the page until it is interrupted."""
    serve(PageNode)


if __name__ == "__main__":
    main()
