"""What the controller tells: a ControllerState every tick, a status every second."""

import math

import numpy as np
from a1_msgs.msg import ControllerState

from a1_controllers.adapter import Readiness
from a1_controllers.controller import Controller
from a1_controllers.mode import MEND, Event, Mode
from a1_controllers.settings import Now
from a1_ros.diagnostics import Level, Status
from a1_ros.messages import floats, uuid_to_msg
from a1_ros.times import ns_to_stamp

LEVELS = {Mode.FAULT: Level.ERROR, Mode.STOPPED: Level.WARN}


class Reporter:
    """Fills one message again and again."""

    def __init__(self, controller: Controller) -> None:
        spec = controller.spec
        self._controller = controller
        self._unknown = floats(np.full(spec.dim, np.nan))
        self._rest = floats(np.zeros(spec.dim))
        self._msg = ControllerState(names=list(spec.action_names))
        self._msg.header.frame_id = spec.base_frame

    def state(self, now: Now) -> ControllerState:
        """The state after the tick at `now`; valid until the next call."""
        controller, msg = self._controller, self._msg
        lock, plan, setpoint = controller.admission.lock, controller.plan, controller.setpoint
        chunk = plan.chunk if plan is not None else None
        tracking = controller.mode.mode is Mode.TRACKING and chunk is not None
        counters = controller.counters
        msg.header.stamp = ns_to_stamp(now.node_ns)
        msg.mode = int(controller.mode.mode)
        msg.reason = controller.mode.reason
        msg.session_id = uuid_to_msg(lock.session_id if lock is not None else "")
        msg.source = int(lock.source) if lock is not None else 0
        msg.seq = chunk.seq if tracking and chunk is not None else 0
        msg.row = setpoint.row if tracking and setpoint is not None else -1
        msg.rows_applied = controller.player.rows_applied
        age_ns = controller.sensing.watch.state_age_ns(now)
        msg.state_age_ms = math.nan if age_ns is None else age_ns / 1e6
        msg.chunk_age_ms = math.nan if chunk is None else (now.node_ns - chunk.stamp_ns) / 1e6
        msg.tracking_error = controller.tracking_error
        msg.chunks_accepted = counters.chunks_accepted
        msg.chunks_refused = counters.chunks_refused
        msg.clamped = counters.clamped
        msg.slowed = counters.slowed
        msg.underruns = counters.underruns
        msg.late_ticks = counters.late_ticks
        measured = controller.sensing.measured_D
        msg.measured = self._unknown if measured is None else floats(measured)
        if setpoint is None or not (controller.mode.armed or controller.mode.latched):
            msg.position, msg.velocity, msg.acceleration = msg.measured, self._rest, self._rest
        else:
            msg.position = floats(setpoint.q_D)
            msg.velocity = floats(setpoint.qd_D)
            msg.acceleration = floats(setpoint.qdd_D)
        return msg

    def status(self, ready: Readiness, now: Now) -> Status:
        """For /diagnostics: the mode and why, or what keeps the arm from being armed.

        Of a mode that stays until somebody ends it, how to end it as well.
        """
        controller = self._controller
        mode, counters = controller.mode, controller.counters
        level, message = LEVELS.get(mode.mode, Level.OK), f"{mode.mode.name}: {mode.reason}"
        if mode.latched:
            message = f"{message}; {MEND[mode.mode, Event.ARM]}"
        sensing = controller.sensing
        trouble = sensing.lost(now) or sensing.complaint or sensing.watch.clock_offset()
        if level is Level.OK and not ready.ok:
            level, message = Level.WARN, ready.message
        elif level is Level.OK and trouble:
            level, message = Level.WARN, trouble
        age_ns = controller.sensing.watch.state_age_ns(now)
        return Status(
            level=level,
            message=message,
            values={
                "mode": mode.mode.name,
                "reason": mode.reason,
                "robot side": ready.message or "ready",
                "joint state age [ms]": "none" if age_ns is None else f"{age_ns / 1e6:.1f}",
                "chunks accepted": counters.chunks_accepted,
                "chunks refused": counters.chunks_refused,
                "refused for": ", ".join(
                    f"{code.name} {count}" for code, count in sorted(counters.refused_for.items())
                ),
                "plans slowed": counters.slowed,
                "clamped": counters.clamped,
                "underruns": counters.underruns,
                "late ticks": counters.late_ticks,
                "operating limits": controller.spec.digest[:12],
            },
        )
