"""From what a person holds to chunks: whose the arm is, when it follows, how it is let go.

Pure: the node gives the time, the controls and what the controller says, and sends what comes out.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import ActionChunk, Source, joint_chunk
from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_core.verdict import Verdict, VerdictCode
from a1_recorder.teleop.controls import Controls
from a1_recorder.teleop.steering import Steering
from a1_recorder.teleop.target import ROW_S, Target, Wish

Floats = NDArray[np.float64]

# The target waits when it is so far ahead of the arm's command: this time at full speed, and a bit.
LEAD_S, LEAD_RAD = 0.25, 0.02
# So near to the target, and so slow, the arm needs no more chunks to come to rest there.
NEAR_RAD, SLOW_RAD_S = 2e-3, 0.02
LONGEST_STEP_S = 0.2
HELD = {VerdictCode.NOT_ARMED, VerdictCode.STOPPED, VerdictCode.FAULT, VerdictCode.NOT_SOURCE}
MISSED = {VerdictCode.LIMIT, VerdictCode.WORKSPACE, VerdictCode.STEP, VerdictCode.SELF_COLLISION}


class Phase(Enum):
    """What the pilot is doing."""

    IDLE = "idle"
    DRIVING = "driving"
    STOPPING = "stopping"


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """The controller's newest state.

    Attributes:
        armed, tracking: of its mode, whose name is `mode`.
        session_id, source: who has the arm; empty where nobody does.
        position_D, velocity_D: commanded (rad; grippers 0..1), at `stamp_ns`.
    """

    stamp_ns: int
    mode: str
    armed: bool
    tracking: bool
    session_id: str
    source: Source
    position_D: Floats
    velocity_D: Floats


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a tick asks of the node."""

    chunk: ActionChunk | None = None
    give_back: bool = False


NOTHING = Step()
KEPT = "; the arm stays taken over: call a1/give_back, or take over and let go"

UNHEARD = "no joystick or keyboard is heard"
HELD_DOWN = "a button is held that was not pressed here; let go first"
WAITING = "waiting for the deadman or the take-over button"


class Pilot:
    """One person's way to the controller.

    A press of the deadman begins a session with source TELEOP, of the take-over button one with
    source TAKEOVER; letting go stops at rest, after which a take-over is given back. Where the
    joystick falls silent the arm stops too, but nothing is given back: nobody let go on purpose.

    Args:
        arms: names of those to choose from, one of which is driven; empty: all at once.

    Attributes:
        arm: number of the one that is driven; another is chosen while nothing is held.
        message: for the person: what happens, or why nothing does.
    """

    def __init__(
        self,
        spec: RobotSpec,
        target: Target,
        steering: Steering,
        arms: Sequence[str] = (),
    ) -> None:
        self._spec = spec
        self._arms = arms
        self._joints = spec.operating_limits.joints
        self.arm, self._choosing = 0, True
        self._target = target
        self._steering = steering
        self._lead_J = LEAD_S * spec.operating_limits.velocity + LEAD_RAD
        self._session, self._seq, self._judged = "", 0, 0
        self._openings_G = np.ones(len(spec.grippers))
        self._down: set[str] | None = None
        self._fresh: set[str] = set()
        self._gives_back = False
        self._last_ns = 0
        self._still = Wish(feed_J=np.zeros(len(spec.joint_names)))
        self.source = Source.TELEOP
        self.phase = Phase.IDLE
        self.message = UNHEARD

    def tick(self, now_ns: int, controls: Controls | None, heard: Heard | None) -> Step:
        """One step at `now_ns` (node's clock).

        Args:
            controls: None while the joystick is silent.
            heard: None while the controller is silent.
        """
        dt_s = min(max(now_ns - self._last_ns, 0) * 1e-9, LONGEST_STEP_S)
        self._last_ns = now_ns
        self._note_presses(controls)
        self._choose_arm(controls)
        if self.phase is Phase.IDLE:
            if controls is None or not self._fresh:
                return NOTHING
            self._fresh = set()
            self._begin(now_ns, controls, heard)
            if self.phase is Phase.IDLE:
                return NOTHING
        if heard is None or not heard.armed:
            kept = KEPT * (heard is None and self.source is Source.TAKEOVER)
            self._leave(_unarmed(heard) + kept)
            return NOTHING
        self._hold_or_let_go(controls)
        if self.phase is Phase.STOPPING:
            return self._stop(dt_s, heard)
        assert controls is not None
        return self._drive(dt_s, controls, heard)

    def verdict(self, session_id: str, seq: int, verdict: Verdict, heard: Heard | None) -> None:
        """The controller's answer to a chunk, whoever sent it."""
        if session_id != self._session or self.phase is Phase.IDLE:
            return
        self._judged = max(self._judged, seq)
        if verdict.code in HELD:
            self._leave(f"{verdict.code.name}: {verdict.detail}; let go, and press again")
        elif verdict.accepted:
            self.message = self._driving if self.phase is Phase.DRIVING else self.message
        elif verdict.code is not VerdictCode.SHADOW:
            self.message = f"{verdict.code.name}: {verdict.detail}"
            if verdict.code in MISSED and heard is not None:
                self._take_up(heard, heard.stamp_ns)
                self._target.start(self._target.q_J, np.zeros_like(self._target.q_J))

    def _note_presses(self, controls: Controls | None) -> None:
        """Which buttons went down and still are: one that was held all along is not pressed."""
        down = None if controls is None else controls.buttons
        new = set() if down is None or self._down is None else down - self._down
        self._down = down
        self._fresh = (self._fresh | new) & (down or set())
        if self.message in (UNHEARD, HELD_DOWN, WAITING):
            self.message = UNHEARD if down is None else HELD_DOWN if down else WAITING

    def _choose_arm(self, controls: Controls | None) -> None:
        """A press of the button, not its being held, chooses the next one."""
        pressed = controls is None or controls.next_arm
        if pressed and not self._choosing and self.phase is Phase.IDLE and len(self._arms) > 1:
            self.arm = (self.arm + 1) % len(self._arms)
            self.message = f"{self._arms[self.arm]} arm is chosen"
        self._choosing = pressed

    def _begin(self, now_ns: int, controls: Controls, heard: Heard | None) -> None:
        """Take the arm up where it is commanded to be."""
        if heard is None or not heard.armed:
            self.message = _unarmed(heard)
            return
        if heard.tracking and heard.session_id and not controls.take_over:
            self.message = f"{heard.source.name} moves the arm; press take-over to correct it"
            return
        self.source = Source.TAKEOVER if controls.take_over else Source.TELEOP
        self._take_up(heard, now_ns)
        if not self._steer():
            return
        self._session, self._seq, self._judged = str(uuid.uuid4()), 0, 0
        self._openings_G = heard.position_D[self._joints :].copy()
        self._gives_back = self.source is Source.TAKEOVER

    def _steer(self) -> bool:
        """Drive from where the target is; False where the steering cannot, and says why."""
        try:
            self._steering.start(self._target.stopping_place, self.arm)
        except A1Error as error:
            self.message = str(error)
            return False
        self.phase = Phase.DRIVING
        self.message = self._driving
        return True

    @property
    def _driving(self) -> str:
        which = f" {self._arms[self.arm]} arm" if len(self._arms) > 1 else ""
        return f"driving{which} as {self.source.name}"

    def _take_up(self, heard: Heard, now_ns: int) -> None:
        age_s = min(max(now_ns - heard.stamp_ns, 0) * 1e-9, LONGEST_STEP_S)
        q_J, qd_J = heard.position_D[: self._joints], heard.velocity_D[: self._joints]
        self._target.start(q_J + age_s * qd_J, qd_J)

    def _hold_or_let_go(self, controls: Controls | None) -> None:
        holds = controls is not None and controls.held
        lost = "the joystick is silent" if controls is None else self._steering.lost()
        if self.phase is Phase.DRIVING and (lost or not holds):
            self.phase = Phase.STOPPING
            self._gives_back = self._gives_back and not lost
            self.message = (f"{lost}; stopped, press again to go on" if lost else "let go") + (
                KEPT * self._keeps
            )
        elif self.phase is Phase.STOPPING and not lost and self._button in self._fresh:
            self._fresh = set()
            self._gives_back = self._steer() and self.source is Source.TAKEOVER

    @property
    def _keeps(self) -> bool:
        """Whether the arm stays taken over although nobody drives."""
        return self.source is Source.TAKEOVER and not self._gives_back

    @property
    def _button(self) -> str:
        """The one that drives as the session does."""
        return "take_over" if self.source is Source.TAKEOVER else "deadman"

    def _drive(self, dt_s: float, controls: Controls, heard: Heard) -> Step:
        target = self._target
        wish = self._steering.wish(target.q_J, controls, dt_s) if dt_s > 0.0 else self._still
        if (np.abs(target.q_J - heard.position_D[: self._joints]) > self._lead_J).any():
            wish = self._still
        target.advance(wish, dt_s)
        self._openings_G = self._steering.openings(controls, self._openings_G)
        return Step(chunk=self._chunk(wish, heard))

    def _stop(self, dt_s: float, heard: Heard) -> Step:
        """Chunks until the arm is as good as at rest, then wait until it is."""
        self._target.advance(self._still, dt_s)
        away_J = np.abs(self._target.q_J - heard.position_D[: self._joints])
        slow = (np.abs(heard.velocity_D[: self._joints]) < SLOW_RAD_S).all()
        ours = heard.tracking and heard.session_id == self._session
        if ours and not (slow and (away_J < NEAR_RAD).all()):
            return Step(chunk=self._chunk(self._still, heard))
        # A chunk that is judged after the arm was given back would take it over again.
        if ours or self._judged < self._seq:
            return NOTHING
        self.phase = Phase.IDLE
        if self._gives_back:
            self.message = "given back"
        return Step(give_back=self._gives_back)

    def _leave(self, message: str) -> None:
        """The arm is no longer ours."""
        self.phase = Phase.IDLE
        self._fresh = set()
        self.message = message

    def _chunk(self, wish: Wish, heard: Heard) -> ActionChunk:
        q_J, qd_J = heard.position_D[: self._joints], heard.velocity_D[: self._joints]
        rows_HJ = self._target.rows(wish, q_J, qd_J)
        openings_HG = np.tile(self._openings_G, (len(rows_HJ), 1))
        self._seq += 1
        return joint_chunk(
            self._spec,
            stamp_ns=heard.stamp_ns,
            session_id=self._session,
            seq=self._seq,
            source=self.source,
            actions_HD=np.concatenate([rows_HJ, openings_HG], axis=1),
            period_ns=round(ROW_S * 1e9),
        )


def _unarmed(heard: Heard | None) -> str:
    mode = "silent" if heard is None else heard.mode
    return f"the controller is {mode}; arm it, let go, and press again"
