"""The joint states of leader arms: their joints in the arms' order, and their grippers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Leader:
    """What was heard last of every joint; two leader arms may tell on a topic each.

    Args:
        joints: the leader's names, in the order of the arms' joints.
        grippers: names of its gripper joints, in the order of the robot's; empty: none.
        closed, open: positions of those joints when closed and open.
        timeout_s: silence of a joint after which the leader is lost (steady clock).

    Attributes:
        complaint: for a person: what the newest message lacks; empty where all is well.
    """

    def __init__(
        self,
        joints: Sequence[str],
        *,
        grippers: Sequence[str],
        closed: Sequence[float],
        open: Sequence[float],
        timeout_s: float,
    ) -> None:
        names = (*joints, *grippers)
        self._place = {name: index for index, name in enumerate(names)}
        self._count = len(joints)
        self._closed, self._open = np.array(closed), np.array(open)
        self._timeout_ns = round(timeout_s * 1e9)
        self._heard_ns: list[int | None] = [None] * len(names)
        self._values: Floats = np.zeros(len(names))
        self.complaint = ""

    def take(self, names: Sequence[str], positions: Sequence[float], now_ns: int) -> None:
        """One message; one that holds none of the joints, or no numbers, does not count."""
        told = {n: q for n, q in zip(names, positions, strict=False) if n in self._place}
        if not np.isfinite([*told.values()]).all():
            self.complaint = "a joint of the leader is not finite"
            return
        for name, position in told.items():
            self._values[self._place[name]] = position
            self._heard_ns[self._place[name]] = now_ns
        unheard = [name for name, place in self._place.items() if self._heard_ns[place] is None]
        self.complaint = f"{', '.join(unheard)} not in the leader's joint state" * bool(unheard)

    def joints(self, now_ns: int) -> Floats | None:
        """Its joints [J] (rad); None while it, or one of several, is silent."""
        for heard_ns in self._heard_ns:
            if heard_ns is None or now_ns - heard_ns > self._timeout_ns:
                return None
        return self._values[: self._count].copy()

    def openings(self, now_ns: int) -> Floats | None:
        """0 closed .. 1 open [G]; None while it is silent, or has no grippers."""
        if self.joints(now_ns) is None or len(self._values) == self._count:
            return None
        span = self._open - self._closed
        return np.clip((self._values[self._count :] - self._closed) / span, 0.0, 1.0)
