"""The leader arm's joint states: its joints in the arm's order, and its gripper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Leader:
    """The newest message of the leader's topic.

    Args:
        joints: the leader's names, in the order of the arm's joints.
        gripper: name of its gripper joint; empty: none.
        closed, open: positions of that joint when closed and open.
        timeout_s: silence after which the leader is lost (steady clock).
    """

    def __init__(
        self, joints: Sequence[str], *, gripper: str, closed: float, open: float, timeout_s: float
    ) -> None:
        self._names = (*joints, *([gripper] if gripper else []))
        self._count = len(joints)
        self._closed, self._open = closed, open
        self._timeout_ns = round(timeout_s * 1e9)
        self._heard_ns: int | None = None
        self._values: Floats = np.zeros(0)
        self.complaint = ""

    def take(self, names: Sequence[str], positions: Sequence[float], now_ns: int) -> None:
        """One message; one that lacks a joint, or holds no numbers, does not count."""
        place = {name: index for index, name in enumerate(names[: len(positions)])}
        missing = [name for name in self._names if name not in place]
        if missing:
            self.complaint = f"{', '.join(missing)} not in the leader's joint state"
            return
        values = np.array([positions[place[name]] for name in self._names], np.float64)
        if not np.isfinite(values).all():
            self.complaint = "a joint of the leader is not finite"
            return
        self._values, self._heard_ns, self.complaint = values, now_ns, ""

    def joints(self, now_ns: int) -> Floats | None:
        """Its joints [J] (rad); None while it is silent."""
        if self._heard_ns is None or now_ns - self._heard_ns > self._timeout_ns:
            return None
        return self._values[: self._count]

    def opening(self, now_ns: int) -> float | None:
        """0 closed .. 1 open; None while it is silent, or has no gripper."""
        if self.joints(now_ns) is None or len(self._values) == self._count:
            return None
        span = self._open - self._closed
        return float(np.clip((self._values[-1] - self._closed) / span, 0.0, 1.0))
