"""From an observation to a published chunk: the work of the inference thread."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from a1_core.chunk import ActionChunk, RotationKind, Source, cut_short
from a1_core.errors import ObservationRefused
from a1_core.observation import Observation
from a1_core.policy import ExitTrace, PolicyOutput
from a1_core.prefix import Prefix
from a1_core.times import NS_PER_MS, NS_PER_S
from a1_policy_node.execution import Execution
from a1_policy_node.exit_choice import ExitChoice
from a1_policy_node.loading import Loaded
from a1_policy_node.shadow import ShadowPasses
from a1_policy_node.task import Outcome, Task


@dataclass(frozen=True, kw_only=True)
class Job:
    """One observation for the worker; `submitted_ns` is on the steady clock."""

    observation: Observation
    task: Task
    submitted_ns: int
    camera_skew_ms: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What surrounds an inference [ms]; the stages within it are in the trace."""

    observation_age_ms: float
    camera_skew_ms: float
    wait_ms: float


@dataclass(frozen=True, kw_only=True)
class Done:
    """An inference and its chunk, made for the task's sub-step number `substep`.

    Attributes:
        ends_substep: the sub-step is over with this chunk, whose remaining rows are left out.
        ended_ns: when the policy gave it, on the steady clock.
    """

    chunk: ActionChunk
    trace: ExitTrace
    timing: Timing
    observation: Observation
    substep: int
    ends_substep: bool
    ended_ns: int


class Outlet(Protocol):
    """Where the results go; called from the inference thread."""

    def chunk(self, done: Done) -> None:
        """Publish a chunk and its exit state."""

    def ack(self, tick_ns: int, seq: int) -> None:
        """The tick is done with; `seq` is the newest chunk's."""

    def refused(self, stamp_ns: int, refusal: ObservationRefused) -> None:
        """The observation of that time, or what the policy made of it, is not used."""

    def changed(self) -> None:
        """The task moved on or ended, or a chunk was published."""


class Inference:
    """Owns the policy and the task in hand. `run` is the worker's; the rest any thread's.

    The lock is held for a publication at most, never during an inference.
    """

    def __init__(
        self,
        loaded: Loaded,
        choice: ExitChoice,
        outlet: Outlet,
        passes: ShadowPasses,
        execution: Execution,
        *,
        now_ns: Callable[[], int],
        steady_ns: Callable[[], int],
    ) -> None:
        self._loaded = loaded
        self._outlet = outlet
        self._passes = passes
        self._execution = execution
        self._now_ns = now_ns
        self._steady_ns = steady_ns
        self._lock = threading.Lock()
        self._task: Task | None = None
        self._seq = 0
        self._session_seq = 0
        self._policy_session = ""
        self._choice = choice

    @property
    def task(self) -> Task | None:
        """The task in hand, None when idle."""
        task = self._task
        return task if task is not None and task.outcome is None else None

    @property
    def seq(self) -> int:
        """Sequence number of the newest chunk, of whatever session; 0 before the first."""
        return self._seq

    @property
    def mode(self) -> str:
        """How exits are chosen: adaptive, fixed or full."""
        return self._choice.setting.mode

    def begin(self, task: Task) -> None:
        """Take up a task; the one in hand ends as CANCELED."""
        with self._lock:
            if self._task is not None:
                self._task.end(
                    Outcome.CANCELED, "another instruction took its place", self._now_ns()
                )
            self._task = task
            self._session_seq = 0

    def end(self, task: Task | None, outcome: Outcome, message: str) -> None:
        """End a task that has not ended; nothing happens for None."""
        if task is not None:
            with self._lock:
                task.end(outcome, message, self._now_ns())

    def check_time(self) -> None:
        """End the task in hand when its time is up."""
        with self._lock:
            if self._task is not None:
                self._task.check_time(self._now_ns())

    def choose(self, choice: ExitChoice) -> None:
        """Choose how exits are taken from the next inference on."""
        with self._lock:
            self._choice = choice

    def run(self, job: Job) -> None:
        """Infer and publish, unless the job's task is over before or after."""
        started_ns = self._steady_ns()
        with self._lock:
            choice = self._choice
            instruction = job.task.instruction if job.task is self._task else ""
        if instruction:
            timing = self._timing(job, started_ns)
            observation = replace(job.observation, instruction=instruction)
            prefix = self._execution.prefix(observation)
            output = self._act(observation, job.task, choice, prefix)
            if output is not None:
                self._publish(job.task, observation, output, timing, choice, prefix)
        self._outlet.ack(job.observation.stamp_ns, self._seq)
        self._outlet.changed()

    def _timing(self, job: Job, started_ns: int) -> Timing:
        return Timing(
            observation_age_ms=max(0, self._now_ns() - job.observation.stamp_ns) / NS_PER_MS,
            camera_skew_ms=job.camera_skew_ms,
            wait_ms=(started_ns - job.submitted_ns) / NS_PER_MS,
        )

    def _act(
        self, observation: Observation, task: Task, choice: ExitChoice, prefix: Prefix | None
    ) -> PolicyOutput | None:
        if task.session_id != self._policy_session:
            self._loaded.policy.reset()
            self._policy_session = task.session_id
        try:
            output = self._loaded.policy.act(
                observation,
                setting=choice.setting,
                deadline_s=choice.deadline_s,
                prefix=prefix,
            )
        except ObservationRefused as refusal:
            self._outlet.refused(observation.stamp_ns, refusal)
            return None
        if not np.isfinite(output.actions_HD).all():
            text = "the policy gave actions that are not finite numbers"
            self._outlet.refused(
                observation.stamp_ns, ObservationRefused("OUTPUT_NON_FINITE", text)
            )
            return None
        return output

    def _publish(
        self,
        task: Task,
        observation: Observation,
        output: PolicyOutput,
        timing: Timing,
        choice: ExitChoice,
        prefix: Prefix | None,
    ) -> None:
        ended_ns = self._steady_ns()
        with self._lock:
            if task is not self._task or task.outcome is not None:
                return
            self._session_seq += 1
            self._seq = self._session_seq
            chunk = self._chunk(task, observation, output, choice.thresholds_digest, prefix)
            ends = task.note_chunk(output.end_of_substep)
            chunk = self._execution.sent(chunk, observation)
            self._outlet.chunk(
                Done(
                    chunk=cut_short(chunk, self._now_ns()) if ends else chunk,
                    trace=output.trace,
                    timing=timing,
                    observation=observation,
                    substep=task.substep,
                    ends_substep=ends,
                    ended_ns=ended_ns,
                )
            )
            if ends:
                task.end_substep(self._now_ns())
            self._passes.published(task, observation, output.actions_HD, choice.audit, prefix)

    def _chunk(
        self,
        task: Task,
        observation: Observation,
        output: PolicyOutput,
        thresholds_digest: str,
        prefix: Prefix | None,
    ) -> ActionChunk:
        spec = self._loaded.spec
        return ActionChunk(
            stamp_ns=observation.stamp_ns,
            session_id=task.session_id,
            seq=self._seq,
            source=Source.POLICY,
            robot=spec.robot,
            spec_digest=spec.digest,
            action_space=spec.policy.action_space,
            delta_base=spec.policy.delta_base,
            rotation=spec.policy.rotation or RotationKind.QUATERNION_XYZW,
            tip_frame=spec.pose_frames[1] if spec.policy.rotation is not None else "",
            base_frame=spec.pose_frames[0] if spec.policy.rotation is not None else spec.base_frame,
            period_ns=round(spec.policy.period_s * NS_PER_S),
            valid_for_ns=round(spec.policy.valid_for_s * NS_PER_S),
            committed_rows=prefix.committed_rows if prefix is not None else 0,
            end_of_substep=float(output.end_of_substep),
            exit_layer=output.trace.exit_layer,
            checkpoint_digest=self._loaded.checkpoint_digest,
            thresholds_digest=thresholds_digest,
            names=spec.policy_names,
            actions_HD=np.asarray(output.actions_HD, np.float32),
        )
