"""When a gripper wish is worth a goal: drivers block on each one, so only real changes count."""

from dataclasses import dataclass

from a1_controllers.settings import ControllerSettings
from a1_core.motion import Floats


@dataclass(kw_only=True)
class GripperGoal:
    """Deadband and pace between the policy's gripper column and goals (units 0 closed .. 1 open).

    A wish within `snap` of either end is that end: a hand that is meant to close must squeeze,
    not stop a hair before the object.
    """

    deadband: float
    interval_s: float
    snap: float = 0.1
    sent_unit: float | None = None
    sent_ns: int = 0

    def start(self, unit: float, now_ns: int) -> None:
        """Begin at the measured opening; nothing is sent for it."""
        self.sent_unit = self._snapped(unit)
        self.sent_ns = now_ns - int(self.interval_s * 1e9)

    def wish(self, unit: float, now_ns: int) -> float | None:
        """The goal to send now, or None when the wish is no change or comes too soon."""
        wanted = self._snapped(unit)
        if self.sent_unit is not None and abs(wanted - self.sent_unit) < self.deadband:
            return None
        if now_ns - self.sent_ns < self.interval_s * 1e9:
            return None
        self.sent_unit = wanted
        self.sent_ns = now_ns
        return wanted

    def _snapped(self, unit: float) -> float:
        if unit < self.snap:
            return 0.0
        return 1.0 if unit > 1.0 - self.snap else unit


class GripperGoals:
    """One goal a gripper, in the order of the spec."""

    def __init__(self, grippers: int, settings: ControllerSettings) -> None:
        self._goals = [
            GripperGoal(deadband=settings.gripper_deadband, interval_s=settings.gripper_interval_s)
            for _ in range(grippers)
        ]

    def start(self, opening_G: Floats, now_ns: int) -> None:
        """Begin at the measured openings."""
        for goal, opening in zip(self._goals, opening_G, strict=True):
            goal.start(float(opening), now_ns)

    def wishes(self, opening_G: Floats, now_ns: int) -> tuple[float | None, ...]:
        """The goals to send now; None for a gripper that gets none."""
        return tuple(
            goal.wish(float(opening), now_ns)
            for goal, opening in zip(self._goals, opening_G, strict=True)
        )
