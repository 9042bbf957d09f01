"""The controller without ROS: judges chunks, plays them, and says what to send at every tick."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from a1_controllers.adapter import Readiness
from a1_controllers.admission import Admission
from a1_controllers.gripper_goal import GripperGoals
from a1_controllers.mode import Event, Mode, ModeState, initial
from a1_controllers.output import Answer, Counters, Output
from a1_controllers.plan import TOLD_PERIOD_NS, Plan, told
from a1_controllers.sensing import Sensing
from a1_controllers.settings import ControllerSettings, Now
from a1_core.chunk import ActionChunk, Source
from a1_core.errors import A1Error, ObservationRefused
from a1_core.go_to import go_to_rows
from a1_core.limits import SafetyGate
from a1_core.player import ChunkPlayer, Setpoint
from a1_core.spec import RobotSpec
from a1_core.verdict import Verdict, VerdictCode


class Controller:
    """State machine, player, gate and watchdogs of one robot; every call is given the time.

    The player lives on a time of its own, the node's clock minus its jumps, so that a jump of the
    clock is no jump of the arm; whatever uses that time looks for a jump first. Only windows that
    are played by the node's clock, those of trajectory controllers, go forward with it.
    """

    def __init__(
        self,
        spec: RobotSpec,
        settings: ControllerSettings,
        gate: SafetyGate,
        now: Now,
        counters: Counters | None = None,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.counters = counters or Counters()
        self.mode: ModeState = initial(shadow=settings.shadow, now_ns=now.node_ns)
        self.plan: Plan | None = None
        self.admission = Admission()
        self.sensing = Sensing(spec, settings)
        self.player = ChunkPlayer(spec.operating_limits, grippers=len(spec.grippers))
        self.setpoint: Setpoint | None = None
        self._gate = gate
        self._jumped_ns = 0
        self._told_ns: int | None = None  # the last tick that sent what there was to send
        self._played_by_clock = all(c.adapter == "joint_trajectory" for c in spec.commands)
        self._braking = False
        self._lost: str | None = None
        self._joints = len(spec.joint_names)
        self._grips = GripperGoals(len(spec.grippers), settings)

    # Chunks

    def judge(self, chunk: ActionChunk, now: Now) -> Verdict:
        """The one verdict on a chunk; ACCEPTED has already changed the plan."""
        self._watch_clock(now)
        self._watch_loop(now)
        verdict = self._judge(chunk, now)
        if verdict.code in (VerdictCode.ACCEPTED, VerdictCode.SHADOW):
            self.counters.chunks_accepted += 1
        else:
            self.counters.refused_for[verdict.code] += 1
        return verdict

    def _judge(self, chunk: ActionChunk, now: Now) -> Verdict:
        motion_ns = self._motion_ns(now)
        at_rest = self.mode.mode is not Mode.TRACKING and self.player.done(motion_ns)
        refused = self.admission.judge(chunk, mode=self.mode, at_rest=at_rest, now_ns=now.node_ns)
        if refused is not None:
            return refused
        if self._going_home and chunk.source is not Source.TAKEOVER:
            return Verdict(code=VerdictCode.NOT_SOURCE, detail="the arm is going home")
        header = self._gate.check_header(chunk)
        if not header.accepted:
            return header
        lost = self.sensing.lost(now)
        if lost is not None:
            return Verdict(code=VerdictCode.STALE, detail=lost)
        try:
            base_D = self.sensing.state_at(chunk.stamp_ns)
        except ObservationRefused as refusal:
            return Verdict(code=VerdictCode.STALE, detail=f"at its stamp, {refusal.detail}")
        in_shadow = self.mode.mode is Mode.SHADOW
        commanded_D = self.sensing.measured_D if in_shadow else self.player.sample(motion_ns).q_D
        rows_HD = self._gate.rows(chunk, base_D)
        if isinstance(rows_HD, Verdict):
            return rows_HD
        verdict = self._gate.check(chunk, rows_HD, commanded_D=commanded_D)
        if not verdict.accepted:
            return verdict
        if in_shadow:
            self.admission.admit(chunk)
            return Verdict(code=VerdictCode.SHADOW, detail="would have been accepted")
        offer = self.player.offer(
            verdict.rows_HD,
            stamp_ns=chunk.stamp_ns - self._jumped_ns,
            period_ns=chunk.period_ns,
            now_ns=motion_ns,
            committed_rows=chunk.committed_rows,
        )
        if offer.accepted:
            self.counters.clamped += verdict.clamped
            self.counters.slowed += offer.slow_down > 1.0
            self.admission.admit(chunk)
            self._begin(Plan(chunk=chunk, accepted=now))
            self._change(Event.PLAN, f"chunk {chunk.seq} of {chunk.source.name}", now)
        return offer

    def _begin(self, plan: Plan) -> None:
        self.plan = plan
        self._braking = False

    # Services

    def arm(self, ready: Readiness, now: Now) -> Answer:
        """Commanded := measured, at rest; or why not."""
        self._watch_clock(now)
        refusal = self._arm_refusal(ready, now)
        if refusal is not None:
            return Answer(ok=False, message=refusal)
        measured_D = self.sensing.measured_D
        assert measured_D is not None
        self._jumped_ns = 0
        self.player.start(measured_D, now.node_ns)
        self.plan, self._braking, self._lost, self._told_ns = None, False, None, None
        self.setpoint = self.player.sample(now.node_ns)
        self.admission.arm(now.node_ns)
        self._grips.start(measured_D[self._joints :], now.node_ns)
        self._change(Event.ARM, "armed, waiting for a chunk", now)
        return Answer(ok=True, message="armed")

    def _arm_refusal(self, ready: Readiness, now: Now) -> str | None:
        settings = self.settings
        if not self.mode.allows(Event.ARM):
            return self.mode.refusal(Event.ARM)
        if settings.hardware and settings.confirmed_limits != self.spec.digest[:12]:
            return (
                f"operating limits of {self.spec.path} are not confirmed: read them, then set the "
                f"parameter confirmed_limits to '{self.spec.digest[:12]}'"
            )
        if not ready.ok:
            return ready.message
        sensing = self.sensing
        lost = sensing.lost(now) or sensing.watch.clock_offset()
        if lost is not None or sensing.measured_D is None:
            return lost
        if sensing.speed > settings.max_arming_speed_rad_s:
            return f"the arm moves ({sensing.speed:.2f} rad/s): wait until it rests"
        return self._outside_limits(sensing.measured_D)

    def _outside_limits(self, state_D: NDArray[np.float64]) -> str | None:
        limits = self.spec.operating_limits
        for index, name in enumerate(self.spec.joint_names):
            low, high = limits.position_lower[index], limits.position_upper[index]
            if not low <= state_D[index] <= high:
                return (
                    f"{name} is at {state_D[index]:.3f} rad, outside the operating limits "
                    f"{low:.3f}..{high:.3f}: move the arm by hand or with the vendor's tools"
                )
        return None

    def disarm(self, now: Now) -> tuple[Answer, Output]:
        """Brake and let go; the output is the last command."""
        if not self.mode.allows(Event.DISARM):
            return Answer(ok=False, message=self.mode.refusal(Event.DISARM)), Output()
        output = self._last_output(now) if self.mode.armed else Output()
        self._change(Event.DISARM, "disarmed", now)
        return Answer(ok=True, message=self.mode.mode.name), output

    def stop(self, reason: str, now: Now) -> Output:
        """Brake at once and stay stopped until reset."""
        output = self._last_output(now) if self.mode.armed else Output()
        self._change(Event.STOP, reason, now)
        return output

    def reset(self, now: Now) -> Answer:
        """From STOPPED or FAULT to DISARMED, and never further."""
        if not self.mode.allows(Event.RESET):
            return Answer(ok=False, message=self.mode.refusal(Event.RESET))
        self._change(Event.RESET, "reset; arm to go on", now)
        if self.settings.shadow:
            self.mode = initial(shadow=True, now_ns=now.node_ns)
        return Answer(ok=True, message=self.mode.mode.name)

    def give_back(self, now: Now) -> Answer:
        """End a take-over; once the arm rests the others may move it again."""
        if not self.admission.give_back(now.node_ns):
            return Answer(ok=False, message="nobody has taken the arm over; nothing to give back")
        return Answer(ok=True, message="given back; at rest any source may move the arm")

    def go_home(self, velocity_scale: float, now: Now) -> Answer:
        """Start the way home, slowly, from rest."""
        self._watch_clock(now)
        motion_ns = self._motion_ns(now)
        if self.mode.mode is not Mode.HOLD or not self.player.done(motion_ns):
            return Answer(ok=False, message="go_home needs the arm armed and at rest (HOLD)")
        if self._lost is not None:
            return Answer(ok=False, message=self._lost)
        spec, period_ns = self.spec, self.spec.policy.period_ns
        start_D = self.player.sample(motion_ns).q_D
        goal_D = np.append(spec.home, start_D[self._joints :])
        try:
            rows_HD = go_to_rows(
                start_D,
                goal_D,
                spec.operating_limits,
                period_s=spec.policy.period_s,
                speed=velocity_scale,
            )
        except A1Error as error:
            return Answer(ok=False, message=f"velocity_scale: {error}")
        touch = self._gate.touch(rows_HD, start_D)
        if touch is not None:
            return Answer(ok=False, message=f"SELF_COLLISION: on the way home, {touch}")
        offer = self.player.offer(
            rows_HD, stamp_ns=motion_ns, period_ns=period_ns, now_ns=motion_ns
        )
        if not offer.accepted:
            return Answer(ok=False, message=f"{offer.code.name}: {offer.detail}")
        self._begin(Plan(chunk=None, accepted=now))
        self.admission.release()
        self._change(Event.PLAN, "going home", now)
        return Answer(ok=True, message=f"going home in {len(rows_HD) * period_ns * 1e-9:.1f} s")

    def robot_fault(self, reason: str, now: Now) -> None:
        """The robot's side cannot follow: brake with what still gets through, and latch."""
        self._watch_clock(now)
        self._watch_loop(now)
        self._brake(Event.FAULT, reason, now)

    # The tick

    def tick(self, now: Now) -> Output:
        """Watch, then sample; what comes out goes to the adapter as it is."""
        self._watch_clock(now)
        self._watch_loop(now)
        self.counters.late_ticks += self.sensing.watch.late(now)
        if self.mode.armed:
            self._watch_inputs(now)
        setpoint = self.player.sample(self._motion_ns(now))
        if self.mode.mode is Mode.TRACKING:
            verdict = self._gate.check_setpoint(setpoint, self.setpoint)
            if not verdict.accepted:
                self._brake(self._trouble, f"{verdict.code.name}: {verdict.detail}", now)
                setpoint = self.player.sample(self._motion_ns(now))
        self.setpoint = setpoint
        self._told_ns = self._motion_ns(now)
        self.player.told(self._told_ns)
        if self.mode.mode is Mode.TRACKING and setpoint.done:
            self.counters.underruns += self._plan_is_chunk()
            self._change(Event.FINISHED, "plan finished, waiting for a chunk", now)
        if setpoint.done and self._held_too_long(now):
            reason = f"held for more than {self.settings.hold_timeout_s:.1f} s; arm again"
            self._change(Event.TIMEOUT, reason, now)
        if setpoint.done or not (self.mode.armed or self.mode.latched):
            return Output()
        return Output(
            window=self._window(now), braking=self._braking, grippers=self._gripper_wishes(now)
        )

    def told_plan(self, now: Now) -> ActionChunk:
        """The motion from now to rest; see `plan.told`."""
        rows_ND = self.player.ahead(self._motion_ns(now), TOLD_PERIOD_NS * 1e-9)
        return told(self.spec, None if self._braking else self.plan, rows_ND, now)

    def _held_too_long(self, now: Now) -> bool:
        held_s = (now.node_ns - self.mode.since_ns) * 1e-9
        waits = self.mode.mode is Mode.HOLD and self.settings.hardware
        return waits and held_s > self.settings.hold_timeout_s

    def _watch_clock(self, now: Now) -> None:
        jump_ns = self.sensing.watch.clock_jump_ns(now)
        if not jump_ns:
            return
        self.sensing.forget()
        self.admission.renew(now.node_ns)
        reason = f"the clock jumped by {jump_ns / 1e9:.3f} s"
        self._lost = reason
        if jump_ns > 0 and self._played_by_clock and self._told_ns is not None:
            self._go_on_as_told(self._trouble, reason, now)
            return
        self._jumped_ns += jump_ns
        self._brake(self._trouble, reason, now)

    def _watch_loop(self, now: Now) -> None:
        """After a pause longer than a window the arm is on that window's braking tail, or at rest.

        The plan went on meanwhile; commanding it again would be a step.
        """
        if self.mode.mode is not Mode.TRACKING or self._told_ns is None:
            return
        pause_s = (self._motion_ns(now) - self._told_ns) * 1e-9
        if pause_s <= self.settings.window_s:
            return
        reason = f"the control loop stood still for {pause_s * 1e3:.0f} ms"
        self._go_on_as_told(Event.LOST, reason, now)

    def _go_on_as_told(self, event: Event, reason: str, now: Now) -> None:
        """The arm is on the tail of the last window, or where it ends: the command goes there too.

        Braking from where the plan says, or said, would be a step.
        """
        if not self.mode.armed:
            return
        self.player.brake_as_told(self.settings.window_s)
        self._braking, self._told_ns = True, None
        self._change(event, reason, now)

    @property
    def _trouble(self) -> Event:
        """What a trouble that may pass leads to: a simulated arm goes on by itself after it."""
        return Event.FAULT if self.settings.hardware else Event.LOST

    def _watch_inputs(self, now: Now) -> None:
        lost = self.sensing.lost(now)
        if lost is not None:
            if self._lost is None:
                self._brake(Event.LOST, lost, now)
            self._lost = lost
            return
        if self._lost is not None:
            self._lost = None
            self._change(Event.BACK, "input is back, waiting for a chunk", now)
        error = self.tracking_error
        if error > self.settings.max_following_error_rad:
            reason = (
                f"the arm is {error:.2f} rad from its command: the robot stopped by itself, or "
                f"{self._receivers} takes no commands"
            )
            self._brake(Event.FAULT, reason, now)
            return
        if self.mode.mode is Mode.TRACKING and self._plan_is_chunk():
            assert self.plan is not None
            silent_s = (now.watch_ns - self.plan.accepted.watch_ns) * 1e-9
            if silent_s > self.spec.policy.max_open_loop_s:
                self.counters.underruns += 1
                self._brake(Event.LOST, f"no chunk for {silent_s:.2f} s", now)

    @property
    def tracking_error(self) -> float:
        """Largest distance of an arm joint between command and measurement (rad); 0 unarmed."""
        measured_D = self.sensing.measured_D
        if self.setpoint is None or measured_D is None or not self.mode.armed:
            return 0.0
        return float(np.abs(self.setpoint.q_D - measured_D)[: self._joints].max())

    def _brake(self, event: Event, reason: str, now: Now) -> None:
        """Stop as fast as the limits allow, when there is a motion to stop."""
        if not self.mode.armed:
            return
        self.player.brake(self._motion_ns(now))
        self._braking = True
        self._change(event, reason, now)

    def _last_output(self, now: Now) -> Output:
        self._watch_clock(now)
        self._watch_loop(now)
        motion_ns = self._motion_ns(now)
        if self.player.done(motion_ns):
            return Output()
        self.player.brake(motion_ns)
        self._braking = True
        return Output(window=self._window(now), braking=True)

    def _window(self, now: Now) -> Sequence[Setpoint]:
        settings = self.settings
        return self.player.window(self._motion_ns(now), settings.window_s, settings.point_spacing_s)

    def _gripper_wishes(self, now: Now) -> tuple[float | None, ...]:
        if self.mode.mode is not Mode.TRACKING or not self._plan_is_chunk():
            return ()
        return self._grips.wishes(self.player.asked(self._motion_ns(now)), now.node_ns)

    @property
    def _receivers(self) -> str:
        """Who takes the arm's commands, for the operator."""
        return ", ".join(command.controller or command.endpoint for command in self.spec.commands)

    def _plan_is_chunk(self) -> bool:
        return self.plan is not None and self.plan.chunk is not None

    @property
    def _going_home(self) -> bool:
        return self.mode.mode is Mode.TRACKING and not self._plan_is_chunk()

    def _motion_ns(self, now: Now) -> int:
        return now.node_ns - self._jumped_ns

    def _change(self, event: Event, reason: str, now: Now) -> None:
        self.mode = self.mode.after(event, reason=reason, now_ns=now.node_ns)
