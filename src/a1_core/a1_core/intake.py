"""Messages of a robot's streams into the assembler, and which tick is complete: live and from bags.

The policy node hands on what it hears, a bag's reader what it reads; the rule is this one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from a1_core.errors import ObservationRefused
from a1_core.spec import RobotSpec
from a1_core.times import NS_PER_S

WAITING_TICKS = 3


class Taken(NamedTuple):
    """What became of one message.

    Attributes:
        accepted: whether the assembler took it.
        tick_ns: the tick that is complete with it, if one is: the newest.
        overtaken_ns: older ticks that were waiting and are passed over for it.
        given_up_ns: ticks that make room for newer ones without having become complete.
    """

    accepted: bool
    tick_ns: int | None = None
    overtaken_ns: tuple[int, ...] = ()
    given_up_ns: tuple[int, ...] = ()


class Intake:
    """Which tick is complete, message by message.

    A tick is the stamp of the first camera's image. It is complete when no image nearer to it can
    come from another camera and, with `complete_states`, every joint state has reached it: that
    makes the observation independent of the order in which streams arrive, and a robot wait for
    its slowest stream.

    Attributes:
        rejections: why a stream's newest message could not be used, by stream.
    """

    def __init__(self, spec: RobotSpec, *, complete_states: bool) -> None:
        self._spec = spec
        self._complete_states = complete_states
        self._reference = camera_stream(spec.cameras[0].name)
        self._waiting_ns: deque[int] = deque()
        self._newest_ns: dict[str, int] = {}
        self.rejections: dict[str, ObservationRefused] = {}

    def take(self, stream: str, stamp_ns: int, push: Callable[[], bool]) -> Taken:
        """Takes one message of a stream (`camera_stream`, `joints_stream`).

        `push` gives it to the assembler: False when that does not want it, ObservationRefused
        when it cannot be used, which is kept in `rejections` until a good one comes.
        """
        try:
            accepted = push()
            self.rejections.pop(stream, None)
        except ObservationRefused as refusal:
            accepted = False
            self.rejections[stream] = refusal
        if not accepted:
            return Taken(accepted=False)
        self._newest_ns[stream] = stamp_ns
        given_up_ns = self._wait(stamp_ns) if stream == self._reference else ()
        return self._complete_one()._replace(given_up_ns=given_up_ns)

    def raise_rejection(self) -> None:
        """Raises why a stream's newest message could not be used, if one could not."""
        for name, rejection in self.rejections.items():
            raise ObservationRefused(rejection.code, f"{name}: {rejection.detail}")

    def forget(self) -> tuple[int, ...]:
        """Forgets what was heard, as after a clock jump; the ticks that were waiting."""
        waiting_ns = tuple(self._waiting_ns)
        self._waiting_ns.clear()
        self._newest_ns.clear()
        return waiting_ns

    def _wait(self, tick_ns: int) -> tuple[int, ...]:
        self._waiting_ns.append(tick_ns)
        return (self._waiting_ns.popleft(),) if len(self._waiting_ns) > WAITING_TICKS else ()

    def _complete_one(self) -> Taken:
        """The newest tick that is complete; older ones are passed over."""
        for tick_ns in reversed(self._waiting_ns):
            if self._complete(tick_ns):
                overtaken_ns = []
                while self._waiting_ns[0] != tick_ns:
                    overtaken_ns.append(self._waiting_ns.popleft())
                self._waiting_ns.popleft()
                return Taken(accepted=True, tick_ns=tick_ns, overtaken_ns=tuple(overtaken_ns))
        return Taken(accepted=True)

    def _complete(self, tick_ns: int) -> bool:
        for camera in self._spec.cameras[1:]:
            half_period_ns = round(0.5 * NS_PER_S / camera.rate_hz)
            if self._newest_ns.get(camera_stream(camera.name), 0) < tick_ns - half_period_ns:
                return False
        needed_ns = tick_ns if self._complete_states else 1
        return all(
            self._newest_ns.get(joints_stream(source.topic), 0) >= needed_ns
            for source in self._spec.state_sources
        )


def is_due(tick_ns: int, last_ns: int | None, period_s: float, rate_hz: float) -> bool:
    """Whether a tick is used when one is wanted every `period_s`; `last_ns` is the last one used.

    A quarter of the reference camera's period (`rate_hz`) is forgiven.
    """
    if last_ns is None:
        return True
    return tick_ns - last_ns >= (period_s - 0.25 / rate_hz) * NS_PER_S


def camera_stream(name: str) -> str:
    """Name of a camera's stream in diagnostics and reports."""
    return f"camera {name}"


def joints_stream(topic: str) -> str:
    """Name of a joint-state stream in diagnostics and reports."""
    return f"joints {topic}"
