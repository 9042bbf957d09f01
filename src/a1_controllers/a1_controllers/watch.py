"""What the controller watches: fresh joint states, and a clock that does not jump."""

from dataclasses import dataclass

from a1_controllers.settings import ControllerSettings, Now
from a1_core.spec import RobotSpec

# A simulated clock may stand still and catch up while its machine is busy.
SIMULATED_PATIENCE = 4.0


@dataclass
class _Source:
    topic: str
    max_age_ns: int
    stamp_ns: int | None = None
    seen_ns: int = 0  # watch clock
    repeated_ns: int | None = None  # stamp of a message heard since, which was no newer
    offset_ns: int = 0  # node clock minus stamp at arrival


def _repeats(source: _Source) -> str:
    if source.repeated_ns is None:
        return ""
    return (
        f"; messages come, but the stamp {source.repeated_ns / 1e9:.3f} s is no newer than the one "
        "before: the driver has to stamp them as they are measured"
    )


class Watch:
    """Ages and clock; every answer is a sentence for the operator, or None when all is well."""

    def __init__(self, spec: RobotSpec, settings: ControllerSettings) -> None:
        self._settings = settings
        self._sources = [
            _Source(topic=source.topic, max_age_ns=round(source.max_age_s * 1e9))
            for source in spec.state_sources
        ]
        self._last: Now | None = None
        self._last_tick_ns: int | None = None

    def forget(self) -> None:
        """After a clock jump no stamp means anything: wait for new ones."""
        for source in self._sources:
            source.stamp_ns = None

    def state(self, index: int, stamp_ns: int, now: Now) -> None:
        """A joint state of source `index`; one whose stamp stands still does not count."""
        source = self._sources[index]
        if source.stamp_ns is not None and stamp_ns <= source.stamp_ns:
            return
        source.stamp_ns = stamp_ns
        source.seen_ns = now.watch_ns
        source.offset_ns = now.node_ns - stamp_ns
        source.repeated_ns = None

    def unused(self, index: int, stamp_ns: int) -> None:
        """A message of source `index` that nobody took; told of when its stamp is the reason."""
        source = self._sources[index]
        if source.stamp_ns is not None and stamp_ns <= source.stamp_ns:
            source.repeated_ns = stamp_ns

    def state_age_ns(self, now: Now) -> int | None:
        """Age of the oldest source's newest message; None before the first of each."""
        if any(source.stamp_ns is None for source in self._sources):
            return None
        return max(now.watch_ns - source.seen_ns for source in self._sources)

    def lost_state(self, now: Now) -> str | None:
        """Which joint state is missing or too old."""
        for source in self._sources:
            if source.stamp_ns is None:
                return f"no joint state on {source.topic}"
            age_ns = now.watch_ns - source.seen_ns
            if age_ns > source.max_age_ns:
                return (
                    f"joint state on {source.topic} is {age_ns / 1e6:.0f} ms old "
                    f"(limit {source.max_age_ns / 1e6:.0f} ms){_repeats(source)}"
                )
        return None

    def clock_offset(self) -> str | None:
        """Which source's stamps disagree with this node's clock."""
        limit_ns = self._settings.max_clock_offset_s * 1e9
        for source in self._sources:
            if abs(source.offset_ns) > limit_ns:
                return (
                    f"stamps on {source.topic} are {source.offset_ns / 1e6:.0f} ms behind this "
                    f"node's clock (limit {limit_ns / 1e6:.0f} ms): synchronise the clocks, or set "
                    "use_sim_time alike on all nodes"
                )
        return None

    def clock_jump_ns(self, now: Now) -> int:
        """How far the node's clock has jumped since it was last read here; 0 when it ran well."""
        last, self._last = self._last, now
        if last is None:
            return 0
        step_ns = now.node_ns - last.node_ns
        limit_ns = self._settings.max_clock_jump_s * 1e9
        if now.watch_ns == now.node_ns:  # simulated time: nothing to compare with but itself
            jump_ns = step_ns - self._settings.period_ns
            limit_ns *= SIMULATED_PATIENCE
        else:
            jump_ns = step_ns - (now.watch_ns - last.watch_ns)
        return jump_ns if abs(jump_ns) > limit_ns or step_ns < 0 else 0

    def late(self, now: Now) -> bool:
        """Whether this tick comes more than half a period late; asked once a tick."""
        last_ns, self._last_tick_ns = self._last_tick_ns, now.watch_ns
        return last_ns is not None and now.watch_ns - last_ns > 1.5 * self._settings.period_ns
