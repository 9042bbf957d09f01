"""What the window hears. Callbacks run in the thread that spins the node, and leave messages."""

from collections import deque
from collections.abc import Callable
from typing import Any

from a1_msgs.msg import ChunkVerdict, ControllerState, ExitState, ObservationRefusal, ThresholdsInfo
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from a1_ros.qos import LATCHED, RELIABLE, STATUS
from a1_rqt.run_state import RunState
from a1_rqt.spinning import in_its_thread

INBOX = 2000


class Listener:
    """Subscriptions of `node` below `namespace`; `deliver` hands on what came, to its caller.

    The controller's state comes with every control tick, more often than anybody can read: nothing
    wakes for it, and what the middleware holds is taken when the picture is drawn.
    """

    def __init__(self, node: Node, namespace: str = "") -> None:
        self._node = node
        self._inbox: deque[tuple[Callable[[RunState, Any], None], Any]] = deque(maxlen=INBOX)
        self._aside = _Aside()
        self._heard_s = 0.0
        prefix = f"{namespace}/a1" if namespace else "a1"
        note = RunState
        self._subscriptions = [
            self._hear(ExitState, f"{prefix}/exit_state", RELIABLE, note.note_exit),
            self._hear(ChunkVerdict, f"{prefix}/chunk_verdict", RELIABLE, note.note_verdict),
            self._hear(ObservationRefusal, f"{prefix}/refusal", RELIABLE, note.note_refusal),
            self._hear(ThresholdsInfo, f"{prefix}/thresholds_info", LATCHED, note.note_thresholds),
            self._hear(CompressedImage, f"{prefix}/thumbnails", STATUS, note.note_thumbnails),
        ]
        self._controller = node.create_subscription(
            ControllerState,
            f"{prefix}/controller_state",
            lambda msg: None,
            STATUS,
            callback_group=self._aside,
        )
        self._subscriptions.append(self._controller)

    def deliver(self, state: RunState) -> None:
        """Give the state what came since the last call."""
        while self._inbox:
            note, msg = self._inbox.popleft()
            note(state, msg)

    def deliver_controller(self, state: RunState, now_s: float) -> None:
        """Give the state the newest control tick, if there is a new one, or how long none came.

        `now_s` is a time of a clock that never jumps.
        """
        handle = self._controller.handle
        with handle:
            taken = handle.take_message(ControllerState, False)
        if taken is not None:
            state.note_controller(taken[0])
            self._heard_s = now_s
        state.silence_s = now_s - self._heard_s

    def destroy(self) -> None:
        """Destroy the subscriptions, in the thread that spins the node."""
        in_its_thread(self._node, self._destroy)

    def _destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _hear(self, kind: type, topic: str, qos: Any, note: Callable[[RunState, Any], None]) -> Any:
        return self._node.create_subscription(
            kind, topic, lambda msg: self._inbox.append((note, msg)), qos
        )


class _Aside(CallbackGroup):
    """Entities that no executor waits for."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        return None
