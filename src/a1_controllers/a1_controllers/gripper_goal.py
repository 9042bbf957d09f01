"""When a gripper wish is worth a goal: drivers block on each one, so only real changes count."""

from dataclasses import dataclass


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
