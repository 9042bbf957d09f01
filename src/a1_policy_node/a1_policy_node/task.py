"""The task in hand: which instruction holds, in which session, and when it is over. Pure."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from a1_msgs.action import RunTask

from a1_core.times import NS_PER_S


class Outcome(IntEnum):
    """How a task ended; the values of a1_msgs/action/RunTask."""

    SUCCEEDED = RunTask.Result.SUCCEEDED
    TIMED_OUT = RunTask.Result.TIMED_OUT
    CANCELED = RunTask.Result.CANCELED
    FAILED = RunTask.Result.FAILED
    BLOCKED = RunTask.Result.BLOCKED


@dataclass(frozen=True, kw_only=True)
class EndRule:
    """A sub-step is over when `count` chunks in a row say so with at least `probability`.

    The first chunk that says less begins the count anew, so that a single one, however sure, ends
    nothing where `count` is 2 or more.
    """

    probability: float
    count: int


class Task:
    """One instruction, or sub-steps one after the other, under one session id.

    Times are on the node's clock. `open_ended` tasks (set_instruction) never end by themselves.

    Attributes:
        chunks: published so far, and the newest one's sequence number.
        ended_by: for every sub-step that is done the sequence number of the chunk that said so.
    """

    def __init__(
        self,
        substeps: Sequence[str],
        *,
        now_ns: int,
        timeout_ns: int = 0,
        end_rule: EndRule,
        open_ended: bool = False,
    ) -> None:
        assert substeps
        self.session_id = str(uuid.uuid4())
        self.open_ended = open_ended
        self.chunks = 0
        self.ended_by: tuple[int, ...] = ()
        self.outcome: Outcome | None = None
        self.message = ""
        self._substeps = tuple(substeps)
        self._started_ns = now_ns
        self._ended_ns = now_ns
        self._timeout_ns = timeout_ns
        self._end_rule = end_rule
        self._end_votes = 0
        self._end_probability = 0.0

    @property
    def substeps_done(self) -> int:
        """Sub-steps that the policy said are done."""
        return len(self.ended_by)

    @property
    def instruction(self) -> str:
        """The instruction of the sub-step in hand; empty when the task is over."""
        return "" if self.outcome is not None else self._substeps[self.substeps_done]

    @property
    def substep(self) -> int:
        """Index of the sub-step in hand; the last one's once all are done."""
        return min(self.substeps_done, len(self._substeps) - 1)

    @property
    def progress(self) -> float:
        """Share of the task that is done, [0, 1]; the end probability counts within a sub-step."""
        if self.outcome is Outcome.SUCCEEDED:
            return 1.0
        return min(1.0, (self.substeps_done + self._end_probability) / len(self._substeps))

    def elapsed_s(self, now_ns: int) -> float:
        """Time used; stands still once the task is over."""
        until_ns = now_ns if self.outcome is None else self._ended_ns
        return (until_ns - self._started_ns) / NS_PER_S

    def note_chunk(self, end_probability: float) -> bool:
        """Count a chunk that is about to be published; whether it ends the sub-step in hand."""
        self.chunks += 1
        self._end_probability = end_probability
        if self.open_ended or self.outcome is not None:
            return False
        says_so = end_probability >= self._end_rule.probability
        self._end_votes = self._end_votes + 1 if says_so else 0
        return self._end_votes >= self._end_rule.count

    def end_substep(self, now_ns: int) -> None:
        """The newest chunk, which ended the sub-step, is out: on to the next, or done."""
        self._end_votes = 0
        self._end_probability = 0.0
        self.ended_by += (self.chunks,)
        if self.substeps_done == len(self._substeps):
            self.end(Outcome.SUCCEEDED, "the policy says that every sub-step is done", now_ns)

    def check_time(self, now_ns: int) -> None:
        """End the task when its time is up."""
        if self.outcome is None and 0 < self._timeout_ns <= now_ns - self._started_ns:
            allowed_s = self._timeout_ns / NS_PER_S
            self.end(
                Outcome.TIMED_OUT,
                f"not done after {allowed_s:g} s of the node's clock; allow more time, or look at "
                "/diagnostics for refused observations",
                now_ns,
            )

    def end(self, outcome: Outcome, message: str, now_ns: int) -> None:
        """End the task; the first outcome stays."""
        if self.outcome is None:
            self.outcome = outcome
            self.message = message
            self._ended_ns = now_ns
