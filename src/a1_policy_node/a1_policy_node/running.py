"""The active policy node: ticks in, jobs to the worker, results out to status and task."""

import math
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from a1_msgs.msg import ActionChunk, ChunkVerdict
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration

from a1_core.assembler import Assembler
from a1_core.errors import A1Error, ObservationRefused
from a1_core.intake import is_due
from a1_core.observation import Observation
from a1_core.policy import ExitReason
from a1_core.verdict import VerdictCode
from a1_policy_node.blocking import BlockWatch
from a1_policy_node.execution import Execution
from a1_policy_node.exit_choice import ExitChoice
from a1_policy_node.inference import Done, Inference, Job
from a1_policy_node.inputs import Inputs
from a1_policy_node.loading import Loaded
from a1_policy_node.outlet import Publications
from a1_policy_node.run_task import ChunkNews
from a1_policy_node.settings import Settings
from a1_policy_node.shadow import EpisodeAudit, ShadowPasses
from a1_policy_node.statistics import InferenceStatistics
from a1_policy_node.status import inference_status, inputs_status, refusal_message
from a1_policy_node.task import EndRule, Outcome, Task
from a1_policy_node.worker import Worker
from a1_ros.diagnostics import Status
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.messages import msg_to_chunk, msg_to_uuid
from a1_ros.times import NS_PER_MS, NS_PER_S, node_now_ns, steady_now_ns

SILENCE_NS = 300_000_000
# The instruction is repeated, so that a recorder that comes late, or asks for no old text, has it.
REPEAT_NS = 1_000_000_000


class Run:
    """Lives from activate to deactivate.

    All of it runs in the executor's thread but the outlet's methods (chunk, ack, refused, changed),
    which the worker calls: they publish, and leave the rest in `_events` for `drain`. `audited`
    hears of every episode that was played under audited thresholds.
    """

    def __init__(
        self,
        node: A1LifecycleNode,
        loaded: Loaded,
        choice: ExitChoice,
        publications: Publications,
        settings: Callable[[], Settings],
        *,
        drain_soon: Callable[[], None],
        report: Callable[[], None],
        audited: Callable[[EpisodeAudit], None],
    ) -> None:
        self._node = node
        self._spec = loaded.spec
        self._publications = publications
        self._settings = settings
        self._drain_soon = drain_soon
        self._report = report
        self._audited = audited
        self.passes = ShadowPasses(
            loaded.policy,
            full_s=loaded.full_s,
            room_s=self._room_s,
            report=self._episode_audited,
            steady_ns=steady_now_ns,
            random=np.random.default_rng(),
        )
        self._events: deque[Done | EpisodeAudit | tuple[int, ObservationRefused]] = deque()
        self._statistics = InferenceStatistics()
        self._blocking = BlockWatch()
        self._refusal = ""
        self.failure = ""
        self._last_task: Task | None = None
        self._told = ("", 0)
        self._submitted_ns: int | None = None
        self._ticked_ns = steady_now_ns()
        self._seen: Observation | None = None
        self._execution = Execution(
            loaded.spec, settings, expected_ns=round(loaded.full_s * NS_PER_S)
        )
        self.inference = Inference(
            loaded,
            choice,
            self,
            self.passes,
            self._execution,
            now_ns=self._now_ns,
            steady_ns=steady_now_ns,
        )
        self._worker: Worker[Job] = Worker(
            self.inference.run, self._worker_failed, self.passes.idle
        )
        self._worker.start()
        self._assembler = Assembler(loaded.spec)
        self._inputs = Inputs(
            node,
            loaded.spec,
            self._assembler,
            now_ns=self._now_ns,
            steady_ns=steady_now_ns,
            on_tick=self._tick,
            complete_states=settings().lockstep,
        )
        self._jumps = node.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._clock_jumped,
        )

    def stop(self) -> None:
        """Stop listening, end the task, let the inference in hand finish."""
        self._jumps.unregister()
        self._inputs.destroy()
        self.end(self.inference.task, Outcome.CANCELED, "the node was deactivated")
        self._worker.stop()
        self.passes.stop()
        self.drain()
        self._tell_instruction()

    # -- tasks

    def begin(
        self, substeps: Sequence[str], timeout_ns: int = 0, *, open_ended: bool = False
    ) -> Task:
        """Begin a task in a session of its own; the next observation is due at once."""
        settings = self._settings()
        task = Task(
            substeps,
            now_ns=self._now_ns(),
            timeout_ns=timeout_ns,
            end_rule=EndRule(probability=settings.end_probability, count=settings.end_votes),
            open_ended=open_ended,
        )
        self._submitted_ns = None
        self._ticked_ns = steady_now_ns()
        self._last_task = task
        self._seen = None
        self._blocking = BlockWatch()
        self.inference.begin(task)
        self._tell_instruction()
        return task

    def end(self, task: Task | None, outcome: Outcome, message: str) -> None:
        """End a task unless it is over; nothing happens for None."""
        if task is not None:
            self.inference.end(task, outcome, message)

    def _tell_instruction(self) -> None:
        """Publish what is to be done when it changed, and now and then; not the worker's."""
        task, now_ns = self.inference.task, steady_now_ns()
        text = task.instruction if task is not None else ""
        before, told_ns = self._told
        if text != before or (text and now_ns - told_ns > REPEAT_NS):
            self._told = (text, now_ns)
            self._publications.instruction(text)

    # -- observations, in the executor's thread

    def _tick(self, tick_ns: int) -> None:
        self._ticked_ns = steady_now_ns()
        task, due = self.inference.task, self._due(tick_ns)
        # While an inference takes longer than the period, what waits for its end must not grow old.
        if task is None or not (due or self._worker.waits):
            self.ack(tick_ns, self.inference.seq)
            return
        try:
            self._inputs.raise_rejection()
            observation = self._assembler.assemble(tick_ns, self._now_ns(), task.instruction)
        except ObservationRefused as refusal:
            self._note_refusal(tick_ns, refusal)
            self.ack(tick_ns, self.inference.seq)
            return
        self._set_refusal("")
        job = Job(
            observation=observation,
            task=task,
            submitted_ns=steady_now_ns(),
            camera_skew_ms=self._assembler.camera_skew_ns(tick_ns) / NS_PER_MS,
        )
        if due:
            self._worker.submit(job)
        elif not self._worker.replace(job):
            self.ack(tick_ns, self.inference.seq)
            return
        self._submitted_ns = tick_ns  # after it waits, see _room_s

    def _clock_jumped(self, jump: TimeJump) -> None:
        """The clock went back or changed: what was heard belongs to another time."""
        self._node.get_logger().warning("the clock jumped: all buffered observations are dropped")
        self._assembler.clear()
        self._inputs.forget()
        self._submitted_ns = None

    def _due(self, tick_ns: int) -> bool:
        period_s = self._settings().replan_period
        return (
            is_due(tick_ns, self._submitted_ns, period_s, self._spec.cameras[0].rate_hz)
            and self._execution.may_observe(tick_ns)
            and not (self._settings().execution == "synchronous" and self._worker.busy)
        )

    def _room_s(self) -> float:
        """How long no observation waits or is due, on the node's clock; the worker asks."""
        submitted_ns = self._submitted_ns
        if self._worker.busy:
            return 0.0
        if self.inference.task is None:
            return math.inf
        if submitted_ns is None:
            return 0.0
        return self._settings().replan_period - (self._now_ns() - submitted_ns) / NS_PER_S

    def watch(self) -> None:
        """Ten times a second: what must be noticed although no observation comes."""
        self.inference.check_time()
        self._worker.wake()
        task = self.inference.task
        if task is not None and self._unfollowed and not self._waits_for_arming(task):
            self.end(task, Outcome.BLOCKED, self._unfollowed)
        elif steady_now_ns() - self._ticked_ns > SILENCE_NS and not self._worker.busy:
            self._look_into_silence(task)
        self._tell_instruction()

    @property
    def _unfollowed(self) -> str:
        """Why the controller has not followed for a while; empty when it does."""
        after_ns = round(self._settings().blocked_after * NS_PER_S)
        blocked = self._blocking.blocked(after_ns)
        return f"the controller does not follow: {self._blocking.reason}" if blocked else ""

    def _waits_for_arming(self, task: Task) -> bool:
        """An instruction may be given before the controller is armed; a stop or fault ends it."""
        return task.open_ended and self._blocking.code is VerdictCode.NOT_ARMED

    def _look_into_silence(self, task: Task | None) -> None:
        """No tick has become complete for a while: say why, and let a lock-stepped clock go on."""
        reference_ns = self._inputs.reference_ns()
        try:
            if task is not None:
                self._inputs.raise_rejection()
                self._assembler.assemble(reference_ns, self._now_ns(), task.instruction)
        except ObservationRefused as refusal:
            self._note_refusal(reference_ns, refusal)
        self.ack(reference_ns, self.inference.seq)

    def _note_refusal(self, stamp_ns: int, refusal: ObservationRefused) -> None:
        message = refusal_message(refusal.code, refusal.detail)
        self._statistics.note_refusal(refusal.code)
        self._publications.refusal(stamp_ns, self._spec.base_frame, refusal.code, message)
        self._set_refusal(message)

    def _set_refusal(self, message: str) -> None:
        """What stands in the way of a chunk; said at once when it begins and when it ends."""
        before, self._refusal = self._refusal, message
        if bool(before) != bool(message):
            self._report()
            log = self._node.get_logger()
            log.warning(f"no chunk: {message}") if message else log.info("chunks again")

    def verdict(self, msg: ChunkVerdict) -> None:
        """The controller's answer to a chunk."""
        task, session_id = self.inference.task, msg_to_uuid(msg.session_id)
        if msg.code != VerdictCode.ACCEPTED:  # of a task that has just ended too
            self._execution.refused(session_id, msg.seq)
        if task is not None and session_id == task.session_id:
            self._blocking.note(VerdictCode(msg.code), msg.detail, self._now_ns())

    def plan(self, msg: ActionChunk) -> None:
        """What the controller will do from now on; what is no plan of this robot is passed over."""
        try:
            self._execution.told(msg_to_chunk(msg))
        except A1Error as error:
            self._node.get_logger().warning(f"a1/plan: {error}", throttle_duration_sec=1.0)

    # -- the outlet, called from the worker's thread

    def chunk(self, done: Done) -> None:
        """Publish; the rest waits for `drain`."""
        self._publications.chunk(done)
        self._events.append(done)

    def ack(self, tick_ns: int, seq: int) -> None:
        """Acknowledge a camera tick in lockstep."""
        self._publications.ack(tick_ns, seq)

    def refused(self, stamp_ns: int, refusal: ObservationRefused) -> None:
        """The policy refused an observation, or its output is of no use."""
        self._events.append((stamp_ns, refusal))

    def changed(self) -> None:
        """There is something to drain."""
        self._drain_soon()

    def _episode_audited(self, episode: EpisodeAudit) -> None:
        self._events.append(episode)
        self._drain_soon()

    def _worker_failed(self, text: str) -> None:
        self.failure = text.strip().splitlines()[-1]
        self._node.get_logger().error(f"inference stopped:\n{text}")
        self.end(self.inference.task, Outcome.FAILED, f"inference stopped: {self.failure}")
        self._drain_soon()

    # -- results, in the executor's thread

    def drain(self) -> list[ChunkNews]:
        """Count what the worker left; what is to be told of the chunks among it."""
        published = []
        while self._events:
            event = self._events.popleft()
            if isinstance(event, tuple):
                self._note_refusal(*event)
            elif isinstance(event, EpisodeAudit):
                self._audited(event)
            else:
                published.append(self._note_chunk(event))
        self._tell_instruction()
        return published

    def _note_chunk(self, done: Done) -> ChunkNews:
        trace, timing = done.trace, done.timing
        self._seen = done.observation
        if done.ends_substep:
            # What is asked for changes: the next observation is due at once.
            self._submitted_ns = None
        self._statistics.note_chunk(
            trace.exit_layer,
            {
                "observation age": timing.observation_age_ms,
                "wait for worker": timing.wait_ms,
                "inference": trace.total_ms,
            },
            cut_short=trace.reason is ExitReason.DEADLINE,
        )
        return ChunkNews(
            session_id=done.chunk.session_id,
            seq=done.chunk.seq,
            exit_layer=trace.exit_layer,
            depth_fraction=trace.depth_fraction,
            substep=done.substep,
            instruction=done.observation.instruction,
            end_of_substep=done.chunk.end_of_substep,
            substeps_done=done.substep + done.ends_substep,
        )

    def thumbnails(self) -> None:
        """The images of the newest chunk's observation, small; the cameras' newest when idle."""
        seen, newest = self._seen, self._inputs.images
        if seen is not None and self.inference.task is not None:
            names, images = list(seen.images), list(seen.images.values())
            self._publications.thumbnails(images, seen.stamp_ns, "|".join(names))
        elif newest:
            stamp_ns = max(stamp for stamp, _ in newest.values())
            images = [rgb for _, rgb in newest.values()]
            self._publications.thumbnails(images, stamp_ns, "|".join(newest))

    def inputs_status(self) -> Status:
        """The streams, for diagnostics."""
        return inputs_status(
            self._inputs.streams, self._inputs.rejections, self._inputs.limits_s, steady_now_ns()
        )

    def inference_status(self) -> Status:
        """Inference and task, for diagnostics."""
        return inference_status(
            self._statistics,
            task=self._last_task,
            mode=self.inference.mode,
            replaced=self._worker.replaced,
            refusal=self._refusal,
            unfollowed=self._unfollowed,
            failure=self.failure,
            now_ns=self._now_ns(),
        )

    def _now_ns(self) -> int:
        return node_now_ns(self._node)
