"""The simulated hand's goals: reached, or stalled on something between the fingers. Pure."""

from dataclasses import dataclass
from enum import Enum

REACHED_M = 0.0015
STALL_M = 0.0005
STALL_NS = 250_000_000


class GripperStatus(Enum):
    """How a goal stands."""

    MOVING = "moving"
    REACHED = "reached"
    STALLED = "stalled"


@dataclass(kw_only=True)
class GripperGoal:
    """Watches the way of the fingers to `position_m` (travel of one finger)."""

    position_m: float
    start_ns: int
    start_m: float

    def __post_init__(self) -> None:
        self._mark_ns, self._mark_m = self.start_ns, self.start_m

    def status(self, now_ns: int, finger_m: float) -> GripperStatus:
        """Reached within 1.5 mm; stalled when the fingers stood still for a quarter second."""
        if abs(finger_m - self.position_m) <= REACHED_M:
            return GripperStatus.REACHED
        if abs(finger_m - self._mark_m) > STALL_M:
            self._mark_ns, self._mark_m = now_ns, finger_m
        elif now_ns - self._mark_ns >= STALL_NS:
            return GripperStatus.STALLED
        return GripperStatus.MOVING
