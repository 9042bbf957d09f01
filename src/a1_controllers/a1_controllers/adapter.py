"""What the controller asks of a robot, and what a vendor's protocol has to offer for that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from a1_core.player import Setpoint

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether the robot's side can take commands; `message` says what to mend when it cannot."""

    ok: bool
    message: str


READY = Readiness(ok=True, message="")


def not_ready(message: str) -> Readiness:
    """A refusal that says what to mend."""
    return Readiness(ok=False, message=message)


class ArmLink(Protocol):
    """One command of a spec over one vendor protocol. No call blocks.

    A window is the player's: setpoints in ascending time, the last one at rest, so whatever is
    sent last is a safe stop when everything after it falls silent. Setpoints hold all columns of
    the robot; a link takes those of its command.
    """

    def start(self) -> None:
        """Make the endpoints and begin to ask the robot's side about itself."""

    def refresh(self) -> None:
        """Ask the robot's side again; called about once a second."""

    def ready(self) -> Readiness:
        """What the last answers say."""

    def fault(self) -> str:
        """Why the arm cannot follow now; empty when it can."""

    def update(self, *, armed: bool, measured_D: Floats | None) -> None:
        """Once a tick: whether the arm is ours, and where it is (rad; None before the first)."""

    def command(self, window: Sequence[Setpoint], *, stamp_ns: int) -> None:
        """Follow `window`, whose first set-point is that of `stamp_ns` on the node's clock.

        It replaces what was sent before.
        """

    def recover(self) -> None:
        """An operator wants to go on after a fault: help the robot out of it if it needs that."""

    def close(self) -> None:
        """Take the endpoints down; what the robot has been told last is at rest by itself."""


class GripperLink(Protocol):
    """One gripper over one vendor protocol. No call blocks."""

    def start(self) -> None:
        """Make the endpoints."""

    def refresh(self) -> None:
        """Send again what had no answer; called about once a second."""

    def ready(self) -> Readiness:
        """Whether the gripper can be told."""

    def update(self, unit: float) -> None:
        """Once a tick: the measured opening (0 closed, 1 open)."""

    def command(self, unit: float) -> None:
        """Bring the gripper to `unit` (0 closed, 1 open); the newest wish wins."""

    def forget(self) -> None:
        """Drop a wish that has not been sent: a stop must not open a hand later."""

    def close(self) -> None:
        """Take the endpoints down."""
