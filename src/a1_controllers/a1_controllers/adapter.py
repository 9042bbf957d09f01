"""What the controller asks of a vendor's protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from a1_core.player import Setpoint


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether the robot's side can take commands; `message` says what to mend when it cannot."""

    ok: bool
    message: str


class Adapter(Protocol):
    """One vendor protocol. No call blocks; each is made from the node's own callbacks.

    A window is the player's: setpoints in ascending time, the last one at rest, so whatever is
    sent last is a safe stop when everything after it falls silent.
    """

    def start(self) -> None:
        """Make the endpoints and begin to ask the robot's side about itself."""

    def refresh(self) -> None:
        """Ask the robot's side again; called about once a second."""

    def ready(self) -> Readiness:
        """What the last answers say."""

    def command(self, window: Sequence[Setpoint], *, stamp_ns: int) -> None:
        """Follow `window`, whose first set-point is that of `stamp_ns` on the node's clock.

        It replaces what was sent before.
        """

    def brake(self, window: Sequence[Setpoint], *, stamp_ns: int) -> None:
        """Come to rest along `window`; the last command until the next `command`."""

    def gripper(self, unit: float) -> None:
        """Bring the gripper to `unit` (0 closed, 1 open); the newest wish wins."""

    def forget_gripper(self) -> None:
        """Drop a gripper wish that has not been sent: a stop must not open a hand later."""

    def close(self) -> None:
        """Take the endpoints down."""
