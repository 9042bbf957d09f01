"""Gripper goals: the newest wish wins, the one before is cancelled, nothing waits."""

from pathlib import Path

from control_msgs.action import GripperCommand
from rclpy.action import ActionServer, CancelResponse

from a1_controllers.gripper_command import GripperCommandClient
from a1_core.spec import load_spec

SPEC = load_spec(Path(__file__).parents[3] / "config/robots/franka.yaml")


class SlowHand:
    """A driver that works on each goal until it is cancelled."""

    def __init__(self, node) -> None:
        self.positions: list[float] = []
        self.cancelled = 0
        self._running = None
        self._server = ActionServer(
            node,
            GripperCommand,
            SPEC.gripper.command.action,
            self._end,
            handle_accepted_callback=self._begin,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        node.create_timer(0.02, self._look)

    def _begin(self, handle) -> None:
        assert self._running is None  # never two at a time
        self._running = handle
        self.positions.append(handle.request.command.position)

    def _look(self) -> None:
        if self._running is not None and self._running.is_cancel_requested:
            handle, self._running = self._running, None
            self.cancelled += 1
            handle.execute()

    def _end(self, handle) -> GripperCommand.Result:
        handle.canceled()
        return GripperCommand.Result()


def make_client(ros) -> GripperCommandClient:
    node = ros.node("client")
    client = GripperCommandClient(node, SPEC.gripper)
    node.create_timer(0.2, client.refresh)
    return client


def test_newest_wish_wins(ros, wait_for):
    client = make_client(ros)
    client.command(0.0)  # nobody is there yet: kept
    hand = SlowHand(ros.node("hand"))
    assert wait_for(lambda: hand.positions == [SPEC.gripper.command.closed])
    for unit in (0.2, 0.7, 1.0):
        client.command(unit)
    assert wait_for(lambda: hand.positions[-1] == SPEC.gripper.command.open)
    assert hand.cancelled == len(hand.positions) - 1 <= 2


def test_a_forgotten_wish_is_never_sent(ros, wait_for):
    client = make_client(ros)
    client.command(1.0)
    client.forget()
    hand = SlowHand(ros.node("hand"))
    assert wait_for(lambda: client.ready().ok)
    client.command(0.0)
    assert wait_for(lambda: hand.positions)
    assert hand.positions == [SPEC.gripper.command.closed]
