"""How a chunk follows the one before: free, around committed rows, averaged, or from rest."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from a1_core.chunk import JOINT_SPACES, ActionChunk, absolute_rows, rows_in_space
from a1_core.ensembling import ensembled
from a1_core.errors import A1Error
from a1_core.observation import Observation
from a1_core.plan_in_hand import PlanInHand, ToldPlan
from a1_core.prefix import Prefix, make_prefix
from a1_core.spec import RobotSpec
from a1_policy_node.settings import Settings

ENSEMBLE = 8
"""Predictions that are averaged, at most."""
ANSWER_S = 0.1
"""A controller that runs answers a chunk within a control period and its way."""
UNANSWERED_S = 1.0
"""A chunk without an answer by then was not heard; another may be made."""


def check_execution(settings: Settings, spec: RobotSpec, head: str) -> None:
    """Raises A1Error when rows of the robot's policy, by that head, cannot be executed that way."""
    wanted, space = settings.execution, spec.policy.action_space
    if wanted in ("real_time", "ensemble") and space not in JOINT_SPACES:
        raise A1Error(
            f"parameter execution is {wanted}, which needs rows of joints; policy.action_space of "
            f"{spec.path} is {space.name}: set execution to asynchronous"
        )
    if settings.executed_rows == 1:
        raise A1Error(
            "parameter executed_rows is 1, but row 0 is where the arm is: give 2 or more, or 0 for "
            "all rows"
        )
    if wanted == "synchronous" and settings.executed_rows and space not in JOINT_SPACES:
        raise A1Error(
            f"parameter executed_rows is {settings.executed_rows}, which needs rows of joints; "
            f"policy.action_space of {spec.path} is {space.name}: set executed_rows to 0"
        )
    if settings.warm_start and (head != "fm" or space not in JOINT_SPACES):
        raise A1Error(
            "parameter warm_start is true, which needs the flow-matching head and rows of joints; "
            f"the checkpoint's head is {head}, policy.action_space of {spec.path} is {space.name}: "
            "set warm_start to false"
        )


class Execution:
    """Knows the plan in execution. Plans and verdicts come from the executor's thread, chunks
    from the worker's.

    Args:
        settings: as they are now.
        expected_ns: delay of a chunk that is reckoned with before one was measured.
    """

    def __init__(
        self, spec: RobotSpec, settings: Callable[[], Settings], *, expected_ns: int
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._expected_ns = expected_ns
        self._lock = threading.Condition()
        self._hand = PlanInHand()
        self._session = ""
        self._instruction = ""
        self._unanswered, self._sent_s = 0, 0.0
        self._predictions: deque[ToldPlan] = deque(maxlen=ENSEMBLE)

    def told(self, chunk: ActionChunk) -> None:
        """The controller has gone over to a plan; A1Error when it is none of this robot's."""
        plan = ToldPlan.of(chunk, self._spec)
        with self._lock:
            ours = chunk.session_id == self._session
            before = self._hand.at(plan.stamp_ns)
            made = [each for each in self._predictions if ours and each.seq == plan.seq]
            if made and (before is None or made[0].stamp_ns >= before.rests_ns):
                # From rest row 0 was played when the chunk arrived, not when it was observed.
                self._predictions.clear()
                self._predictions.append(replace(made[0], stamp_ns=plan.stamp_ns))
            self._hand.note_plan(plan, ours=ours)
            if ours and plan.seq == self._unanswered:
                self._unanswered = 0
                self._lock.notify_all()

    def refused(self, session_id: str, seq: int) -> None:
        """The controller did not take a chunk; one of another session does not matter."""
        with self._lock:
            if session_id != self._session:
                return
            self._predictions = deque(
                (each for each in self._predictions if each.seq != seq), maxlen=ENSEMBLE
            )
            if seq == self._unanswered:
                self._unanswered = 0
                self._lock.notify_all()

    def may_observe(self, stamp_ns: int) -> bool:
        """Whether an observation of that time may become a chunk."""
        if self._settings().execution != "synchronous":
            return True
        with self._lock:
            plan = self._hand.at(stamp_ns)
            return not self._waits() and (plan is None or stamp_ns >= plan.rests_ns)

    def prefix(self, observation: Observation) -> Prefix | None:
        """What the chunk of an observation has to go on from; None: it is free.

        Under another instruction than the plan's only committed rows are kept, and the plan is no
        guess of what is to be done. When one inference follows another without a pause, what the
        controller makes of the chunk that was just sent is waited for: that is the plan which will
        be in execution, not the one before.
        """
        settings = self._settings()
        keeps = settings.execution == "real_time"
        with self._lock:
            if keeps or settings.warm_start:
                self._lock.wait_for(lambda: not self._waits(), ANSWER_S)
            plan = self._hand.at(observation.stamp_ns)
            delay_ns = self._hand.delay_ns(self._expected_ns) if keeps else 0
            same = observation.instruction == self._instruction
        guess = settings.warm_start and same
        if plan is None or not (keeps or guess):
            return None
        return make_prefix(
            plan,
            self._spec,
            stamp_ns=observation.stamp_ns,
            state_D=observation.state_D,
            delay_ns=delay_ns,
            soft_rows=settings.soft_rows if keeps and same else 0,
            guess=guess,
        )

    def sent(self, chunk: ActionChunk, observation: Observation) -> ActionChunk:
        """The chunk as it is to be published, which is reckoned with from now on."""
        settings = self._settings()
        with self._lock:
            if chunk.session_id != self._session:
                self._session = chunk.session_id
                self._hand.forget_sent()
                self._predictions.clear()
            if observation.instruction != self._instruction:
                self._instruction = observation.instruction
                self._predictions.clear()
            if settings.execution == "ensemble":
                chunk = self._ensembled(chunk, observation.state_D, settings.ensemble_decay)
            if settings.execution == "synchronous" and settings.executed_rows:
                chunk = _cut(chunk, observation.state_D, settings.executed_rows)
            self._hand.note_sent(chunk.seq, chunk.stamp_ns)
            self._unanswered, self._sent_s = chunk.seq, time.monotonic()
        return chunk

    def _waits(self) -> bool:
        """Whether the controller may still answer the last chunk."""
        return bool(self._unanswered) and time.monotonic() - self._sent_s < UNANSWERED_S

    def _ensembled(
        self, chunk: ActionChunk, state_D: NDArray[np.floating], decay: float
    ) -> ActionChunk:
        newest = ToldPlan(
            seq=chunk.seq,
            stamp_ns=chunk.stamp_ns,
            period_ns=chunk.period_ns,
            names=chunk.names,
            rows_HD=absolute_rows(chunk, state_D),
        )
        rows_HD = ensembled(newest, tuple(self._predictions), decay=decay)
        self._predictions.append(newest)
        return _with_rows(chunk, rows_HD, state_D)


def _cut(chunk: ActionChunk, state_D: NDArray[np.floating], rows: int) -> ActionChunk:
    """The chunk that stands still from the last of its first `rows` rows on."""
    rows_HD = absolute_rows(chunk, state_D).copy()
    rows_HD[rows:] = rows_HD[min(rows, len(rows_HD)) - 1]
    return _with_rows(chunk, rows_HD, state_D)


def _with_rows(
    chunk: ActionChunk, rows_HD: NDArray[np.float64], state_D: NDArray[np.floating]
) -> ActionChunk:
    """The chunk with other rows, given as absolute positions."""
    said_HD = rows_in_space(
        rows_HD,
        state_D,
        action_space=chunk.action_space,
        delta_base=chunk.delta_base,
        names=chunk.names,
    )
    return replace(chunk, actions_HD=said_HD.astype(np.float32))
