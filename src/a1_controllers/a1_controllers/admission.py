"""Whose chunks count: arming time, the locked session and source, order and age."""

from dataclasses import dataclass

from a1_controllers.mode import Mode, ModeState
from a1_core.chunk import ActionChunk, Source
from a1_core.verdict import Verdict, VerdictCode

FUTURE_TOLERANCE_NS = 50_000_000

REFUSING_MODES = {
    Mode.DISARMED: VerdictCode.NOT_ARMED,
    Mode.STOPPED: VerdictCode.STOPPED,
    Mode.FAULT: VerdictCode.FAULT,
}


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The one session and source that may move the arm, and its newest accepted chunk."""

    session_id: str
    source: Source
    seq: int
    stamp_ns: int


class Admission:
    """Decides by mode, sender, order and age; what the rows say is the safety gate's matter.

    A chunk whose source is TAKEOVER takes the arm from any other source, in motion too, and keeps
    it at rest until it is given back: a pause of the person who corrects is no invitation.

    Attributes:
        lock: who has the arm; None where nobody does.
        taken_over: the lock is a take-over's that was not given back.
    """

    def __init__(self) -> None:
        self.lock: Lock | None = None
        self.taken_over = False
        self._begin_ns = 0
        self._begin = ""
        self._newest_seq: dict[str, int] = {}

    def arm(self, now_ns: int) -> None:
        """Forget the lock; chunks observed before `now_ns` no longer count."""
        self.lock, self.taken_over = None, False
        self._begin_ns, self._begin = now_ns, "arming"

    def renew(self, now_ns: int) -> None:
        """After a clock jump: nothing observed before counts; only a take-over keeps its lock."""
        self.release()
        self._begin_ns, self._begin = now_ns, "the clock jumped"

    def give_back(self, now_ns: int) -> bool:
        """End the take-over: at rest any session may begin, with what it observes from now on.

        False where nobody has taken over.
        """
        given, self.taken_over = self.taken_over, False
        if given:
            self._begin_ns, self._begin = now_ns, "the arm was given back"
        return given

    def release(self) -> None:
        """Let any session begin: the arm is at rest and nobody's, unless it is taken over."""
        if not self.taken_over:
            self.lock = None

    def judge(
        self, chunk: ActionChunk, *, mode: ModeState, at_rest: bool, now_ns: int
    ) -> Verdict | None:
        """Why this chunk does not count, or None when it does."""
        if mode.mode in REFUSING_MODES:
            return Verdict(code=REFUSING_MODES[mode.mode], detail=mode.reason)
        return (
            self._sender(chunk, at_rest) or self._order(chunk) or self._age(chunk, now_ns) or None
        )

    def admit(self, chunk: ActionChunk) -> None:
        """Remember an accepted chunk: its session holds the lock from now on."""
        self._newest_seq[chunk.session_id] = chunk.seq
        self.taken_over = chunk.source is Source.TAKEOVER
        self.lock = Lock(
            session_id=chunk.session_id,
            source=chunk.source,
            seq=chunk.seq,
            stamp_ns=chunk.stamp_ns,
        )

    def _sender(self, chunk: ActionChunk, at_rest: bool) -> Verdict | None:
        lock = self.lock
        if lock is None or (chunk.session_id, chunk.source) == (lock.session_id, lock.source):
            return None
        takes_over = chunk.source is Source.TAKEOVER
        if takes_over and lock.source is not Source.TAKEOVER:
            return None
        if at_rest and (takes_over or not self.taken_over):
            return None
        until = "is given back (a1/give_back)" if self.taken_over else "rests"
        return Verdict(
            code=VerdictCode.NOT_SOURCE,
            detail=f"session {lock.session_id} ({lock.source.name}) holds the arm until it {until};"
            f" this is {chunk.session_id} ({chunk.source.name})",
        )

    def _order(self, chunk: ActionChunk) -> Verdict | None:
        newest = self._newest_seq.get(chunk.session_id, 0)
        if chunk.seq > newest:
            return None
        return Verdict(
            code=VerdictCode.OUT_OF_ORDER,
            detail=f"seq {chunk.seq} after seq {newest} of the same session",
        )

    def _age(self, chunk: ActionChunk, now_ns: int) -> Verdict | None:
        age_ns = now_ns - chunk.stamp_ns
        if chunk.stamp_ns < self._begin_ns:
            before_ms = (self._begin_ns - chunk.stamp_ns) / 1e6
            text = f"observed {before_ms:.0f} ms before {self._begin}"
        elif age_ns > chunk.valid_for_ns:
            text = f"{age_ns / 1e6:.0f} ms old, valid for {chunk.valid_for_ns / 1e6:.0f} ms"
        elif age_ns < -FUTURE_TOLERANCE_NS:
            text = f"{-age_ns / 1e6:.0f} ms from the future: synchronise the clocks"
        else:
            return None
        return Verdict(code=VerdictCode.STALE, detail=text)
