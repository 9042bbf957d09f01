"""The controller's modes and every transition between them, as one table."""

from dataclasses import dataclass, replace
from enum import Enum, IntEnum


class Mode(IntEnum):
    """What the controller is doing; values are the wire's constants (ControllerState.mode)."""

    DISARMED = 0
    SHADOW = 1
    HOLD = 2
    TRACKING = 3
    STOPPED = 4
    FAULT = 5


class Event(Enum):
    """Everything that can change the mode."""

    ARM = "arm"
    DISARM = "disarm"
    STOP = "stop"
    RESET = "reset"
    PLAN = "start a plan"  # an accepted chunk, or the way home
    FINISHED = "finish the plan"
    LOST = "lose an input"  # policy, link or joint state
    BACK = "regain an input"
    FAULT = "fault"
    TIMEOUT = "hold timeout"


ARMED = frozenset({Mode.HOLD, Mode.TRACKING})
LATCHED = frozenset({Mode.STOPPED, Mode.FAULT})

TRANSITIONS: dict[tuple[Mode, Event], Mode] = {
    (Mode.DISARMED, Event.ARM): Mode.HOLD,
    (Mode.DISARMED, Event.DISARM): Mode.DISARMED,
    (Mode.DISARMED, Event.STOP): Mode.STOPPED,
    (Mode.SHADOW, Event.STOP): Mode.STOPPED,
    (Mode.SHADOW, Event.DISARM): Mode.SHADOW,
    (Mode.HOLD, Event.DISARM): Mode.DISARMED,
    (Mode.HOLD, Event.STOP): Mode.STOPPED,
    (Mode.HOLD, Event.PLAN): Mode.TRACKING,
    (Mode.HOLD, Event.LOST): Mode.HOLD,
    (Mode.HOLD, Event.BACK): Mode.HOLD,
    (Mode.HOLD, Event.FAULT): Mode.FAULT,
    (Mode.HOLD, Event.TIMEOUT): Mode.DISARMED,
    (Mode.TRACKING, Event.DISARM): Mode.DISARMED,
    (Mode.TRACKING, Event.STOP): Mode.STOPPED,
    (Mode.TRACKING, Event.PLAN): Mode.TRACKING,
    (Mode.TRACKING, Event.FINISHED): Mode.HOLD,
    (Mode.TRACKING, Event.LOST): Mode.HOLD,
    (Mode.TRACKING, Event.FAULT): Mode.FAULT,
    (Mode.STOPPED, Event.STOP): Mode.STOPPED,
    (Mode.STOPPED, Event.RESET): Mode.DISARMED,
    (Mode.FAULT, Event.STOP): Mode.STOPPED,
    (Mode.FAULT, Event.RESET): Mode.DISARMED,
}

MEND: dict[tuple[Mode, Event], str] = {
    (Mode.SHADOW, Event.ARM): "set the parameter shadow to false to let the controller move",
    (Mode.HOLD, Event.ARM): "disarm first",
    (Mode.TRACKING, Event.ARM): "disarm first",
    (Mode.STOPPED, Event.ARM): "find out why it was stopped, then call reset, then arm",
    (Mode.FAULT, Event.ARM): "mend the fault, then call reset, then arm",
    (Mode.STOPPED, Event.DISARM): "a stop stays until reset",
    (Mode.FAULT, Event.DISARM): "a fault stays until reset",
    (Mode.DISARMED, Event.RESET): "nothing to reset; call arm",
    (Mode.DISARMED, Event.PLAN): "call arm first",
}


@dataclass(frozen=True, kw_only=True)
class ModeState:
    """A mode, why it was entered (a sentence for the operator) and since when (node clock)."""

    mode: Mode
    reason: str
    since_ns: int

    @property
    def armed(self) -> bool:
        return self.mode in ARMED

    @property
    def latched(self) -> bool:
        return self.mode in LATCHED

    def allows(self, event: Event) -> bool:
        return (self.mode, event) in TRANSITIONS

    def refusal(self, event: Event) -> str:
        """Why this event cannot happen now, and what to do about it."""
        mend = MEND.get((self.mode, event), "not possible in this mode")
        return f"cannot {event.value} while {self.mode.name} ({self.reason}): {mend}"

    def after(self, event: Event, *, reason: str, now_ns: int) -> "ModeState":
        """The state after `event`; unchanged when the table has no such transition."""
        mode = TRANSITIONS.get((self.mode, event))
        if mode is None:
            return self
        if mode is self.mode:
            return replace(self, reason=reason)
        return ModeState(mode=mode, reason=reason, since_ns=now_ns)


def initial(*, shadow: bool, now_ns: int) -> ModeState:
    """The mode after activation: never armed."""
    if shadow:
        return ModeState(mode=Mode.SHADOW, reason="parameter shadow", since_ns=now_ns)
    return ModeState(mode=Mode.DISARMED, reason="just activated", since_ns=now_ns)
