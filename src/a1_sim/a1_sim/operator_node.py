"""The operator: resets the world, arms, hands out a task, watches, disarms. For scripts.

Its callbacks run in whatever executor it is given to; its methods are called from another thread
and wait there.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from a1_msgs.action import RunTask
from a1_msgs.msg import ChunkVerdict, ControllerState, EpisodeState, ExitState
from a1_msgs.srv import ResetWorld
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from a1_core.errors import A1Error
from a1_ros.qos import RELIABLE, STATUS
from a1_ros.times import stamp_to_ns
from a1_sim.records import EpisodePlan, EpisodeRecord, ExitSample, StepRecord

ANSWER_S = 20.0
SILENCE_S = 30.0
# A policy that says it is done may be right a moment before the world has come to rest.
GRACE_S = 1.0
# One that says so later than this after the world is taken never to have said it.
LATE_S = 3.0
# More than the chunks of any task.
NEVER_VOTES = 1000
# After a reset everybody has to have heard where the arm is now.
SETTLED_S = 0.15
OUTCOMES = {
    RunTask.Result.SUCCEEDED: "the policy called it done",
    RunTask.Result.TIMED_OUT: "timeout",
    RunTask.Result.CANCELED: "canceled",
    RunTask.Result.FAILED: "the policy failed",
    RunTask.Result.BLOCKED: "blocked",
}


class Operator(Node):
    """Runs episodes on a simulated robot; `health` is asked while it waits and may raise."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("operator", start_parameter_services=False, **node_kwargs)
        self.health: Callable[[], None] = lambda: None
        self._news = threading.Condition()
        self._episode: EpisodeState | None = None
        self._controller: ControllerState | None = None
        self._heard_s = time.monotonic()
        self._samples: list[ExitSample] = []
        self._begin_ns = 0
        self._refused, self._refusal = 0, ""
        self._done_s: list[float] = []
        self._observed_s: dict[int, float] = {}
        self._policy_votes: int | None = None
        self.create_subscription(EpisodeState, "sim/episode", self._on_episode, RELIABLE)
        self.create_subscription(ExitState, "a1/exit_state", self._on_exit, RELIABLE)
        self.create_subscription(ChunkVerdict, "a1/chunk_verdict", self._on_verdict, RELIABLE)
        self._reset_world = self.create_client(ResetWorld, "sim/reset")
        self._arm = self.create_client(SetBool, "a1/arm")
        self._unlatch = self.create_client(Trigger, "a1/reset")
        self._task = ActionClient(self, RunTask, "a1/run_task")
        self._policy = AsyncParameterClient(self, "policy")

    def wait_ready(self, *, policy: bool = True, timeout_s: float = 120.0) -> None:
        """Wait until simulator, controller and policy answer; A1Error says who does not."""
        end_s = time.monotonic() + timeout_s
        while True:
            missing = [
                name
                for name, there in (
                    ("simulator (sim/reset)", self._reset_world.service_is_ready()),
                    ("controller (a1/arm)", self._arm.service_is_ready()),
                    ("policy (a1/run_task)", not policy or self._task.server_is_ready()),
                    ("simulator's clock (sim/episode)", self._episode is not None),
                )
                if not there
            ]
            if not missing:
                self._heard_s = time.monotonic()
                return
            self.health()
            if time.monotonic() > end_s:
                raise A1Error(f"no answer within {timeout_s:.0f} s from {', '.join(missing)}")
            time.sleep(0.05)

    def watch_controller(self) -> None:
        """Also listen to the controller's state, which comes at every control tick."""
        self.create_subscription(
            ControllerState, "a1/controller_state", self._on_controller, STATUS
        )

    def wait_armed(self, timeout_s: float = 120.0) -> None:
        """Wait until the launch file, which arms by itself, has done so."""
        self.wait_for(
            lambda: (
                self._controller is not None and self._controller.mode != ControllerState.DISARMED
            ),
            "arming by the launch file",
            timeout_s,
        )

    def set_policy(self, **parameters: Any) -> None:
        """Set parameters of the policy node; A1Error repeats its reason for refusing."""
        wanted = [Parameter(key, value=value) for key, value in parameters.items()]
        for result in self.answer(self._policy.set_parameters(wanted), "policy").results:
            if not result.successful:
                raise A1Error(f"policy refused {parameters}: {result.reason}")

    def let_the_world_judge(self) -> None:
        """Tasks end by success, failure or time, not by the policy's own end_of_substep."""
        if self._policy_votes is None:
            asked = self._policy.get_parameters(["end_votes"])
            self._policy_votes = self.answer(asked, "policy").values[0].integer_value
            self.set_policy(end_votes=NEVER_VOTES)

    def let_the_policy_judge(self) -> None:
        """As the policy is set up: its own end_of_substep moves it on to the next sub-step."""
        if self._policy_votes is not None:
            self.set_policy(end_votes=self._policy_votes)
            self._policy_votes = None

    def run(
        self,
        plan: EpisodePlan,
        *,
        policy: bool = True,
        during: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> EpisodeRecord:
        """One episode from reset to disarm; without `policy` somebody else sends the chunks.

        The world judges what is done. Of several steps the policy itself says when it goes on to
        the next, and after the last one it is waited for until it says that too.

        `during` is given the instruction; it is entered once the layout stands, before the arm may
        move, and left when the task has ended.
        """
        began_s = time.monotonic()
        self.disarm()
        if policy:
            self.let_the_policy_judge() if plan.steps else self.let_the_world_judge()
        instruction, number = self.reset(plan)
        with during(instruction):
            self.arm()
            with self._news:
                self._samples, self._refused, self._refusal = [], 0, ""
                self._done_s, self._observed_s = [], {}
                assert self._episode is not None
                self._begin_ns = stamp_to_ns(self._episode.header.stamp)
                sentences = tuple(self._episode.steps)
            goal = self.begin(*sentences) if policy else None
            result = None if goal is None else goal.get_result_async()
            watched_s = time.monotonic()
            reason = self._watch(plan, number, result)
            watched_s = time.monotonic() - watched_s
        # What comes after the end, while everybody is told, does not count.
        with self._news:
            state, samples, done_s = self._episode, tuple(self._samples), tuple(self._done_s)
            refused, refusal = self._refused, self._refusal
        ended_by: tuple[int, ...] = ()
        if goal is not None and result is not None:
            self.answer(goal.cancel_goal_async(), "policy (cancel)")
            ended_by = tuple(self.answer(result, "policy (result)").result.ended_by)
        self.disarm()
        now_s = (stamp_to_ns(state.header.stamp) - self._begin_ns) * 1e-9
        elapsed_s = done_s[-1] if state.success else now_s
        return EpisodeRecord(
            task=plan.task,
            kind=plan.kind,
            seed=plan.seed,
            colour=state.colour,
            instruction=instruction,
            success=state.success,
            failed=state.failed,
            reason=reason,
            elapsed_s=elapsed_s,
            wall_s=time.monotonic() - began_s,
            clock_rate=now_s / max(watched_s, 1e-6),
            refused=refused,
            refusal=refusal,
            exits=samples,
            steps=self._steps(sentences, done_s, ended_by),
        )

    def _steps(
        self, sentences: Sequence[str], done_s: Sequence[float], ended_by: Sequence[int]
    ) -> tuple[StepRecord, ...]:
        fired_s = [self._observed_s.get(seq) for seq in ended_by]
        return tuple(
            StepRecord(instruction=sentence, done_s=done, fired_s=fired)
            for sentence, done, fired in zip(
                sentences, _filled(done_s, sentences), _filled(fired_s, sentences), strict=True
            )
        )

    def arm(self, timeout_s: float = 20.0) -> None:
        """Arm; tried until `timeout_s`, as the arm may still have to come to rest."""
        end_s = time.monotonic() + timeout_s
        while not (answer := self._call(self._arm, SetBool.Request(data=True))).success:
            if time.monotonic() > end_s:
                raise A1Error(f"controller refused to arm: {answer.message}")
            time.sleep(0.05)

    def disarm(self) -> None:
        """Disarm; a stop or fault, which latches, is reset."""
        answer = self._call(self._arm, SetBool.Request(data=False))
        if answer.success:
            return
        reset = self._call(self._unlatch, Trigger.Request())
        if not reset.success:
            raise A1Error(f"controller refused to disarm: {answer.message}; {reset.message}")

    @property
    def episode(self) -> EpisodeState | None:
        """The newest episode state."""
        return self._episode

    @property
    def controller(self) -> ControllerState | None:
        """The newest state of the controller; None without `watch_controller`."""
        return self._controller

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until `condition`, looked at with every message; A1Error names `what`."""
        end_s = time.monotonic() + timeout_s
        with self._news:
            while not condition():
                self._news.wait(0.2)
                self.health()
                if time.monotonic() > end_s:
                    raise A1Error(f"{what}: did not happen within {timeout_s:.0f} s")

    def reset(self, plan: EpisodePlan) -> tuple[str, int]:
        """Pose the plan's layout; returns the instruction and the episode's number."""
        before = self._episode.episode if self._episode is not None else 0
        request = ResetWorld.Request(
            seed=plan.seed, kind=plan.kind, colour=plan.colour, steps=plan.steps
        )
        response = self._call(self._reset_world, request)
        if not response.success:
            raise A1Error(f"simulator refused the reset: {response.message}")
        self.wait_for(
            lambda: (
                self._episode is not None
                and self._episode.episode > before
                and self._episode.elapsed_s >= SETTLED_S
            ),
            "the new episode on sim/episode",
            ANSWER_S,
        )
        assert self._episode is not None
        return response.instruction, self._episode.episode

    def begin(
        self, *steps: str, heard: Callable[[RunTask.Feedback], None] = lambda feedback: None
    ) -> ClientGoalHandle:
        """Give the policy one instruction, or several sub-steps, and return the goal.

        `heard` gets the feedback.
        """
        several = len(steps) > 1
        goal = RunTask.Goal(substeps=steps) if several else RunTask.Goal(instruction=steps[0])
        sent = self._task.send_goal_async(goal, lambda message: heard(message.feedback))
        handle = self.answer(sent, "policy (a1/run_task)")
        if not handle.accepted:
            raise A1Error("policy refused the task; its log says why")
        return handle

    def _watch(self, plan: EpisodePlan, number: int, result: Future | None) -> str:
        ended: list[str] = []
        graced: list[float] = []
        if result is not None:
            result.add_done_callback(lambda future: ended.append(_outcome(future.result().result)))
        # Who is never asked is not waited for.
        asked = result is not None and bool(plan.steps)

        def reason() -> str | None:
            state = self._episode
            assert state is not None
            if state.episode != number:
                raise A1Error("somebody else reset the simulator during the episode")
            if state.failed:
                return "failed"
            elapsed_s = (stamp_to_ns(state.header.stamp) - self._begin_ns) * 1e-9
            if state.success:
                waits = asked and not ended and elapsed_s < self._done_s[-1] + LATE_S
                return None if waits else "success"
            if elapsed_s >= plan.timeout_s:
                return "timeout"
            if ended and not graced:
                graced.append(elapsed_s + GRACE_S)
            return ended[0] if graced and elapsed_s >= graced[0] else None

        with self._news:
            while (why := reason()) is None:
                self._news.wait(0.2)
                self.health()
                if time.monotonic() - self._heard_s > SILENCE_S:
                    raise A1Error(f"simulator silent for {SILENCE_S:.0f} s: sim/episode stopped")
        return why

    def _call(self, client: Client, request: Any) -> Any:
        return self.answer(client.call_async(request), client.srv_name)

    def answer(self, future: Future, who: str) -> Any:
        """Wait for the answer of a service; A1Error when `who` does not give one in time."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        end_s = time.monotonic() + ANSWER_S
        while not done.wait(0.2):
            self.health()
            if time.monotonic() > end_s:
                raise A1Error(f"{who} did not answer within {ANSWER_S:.0f} s")
        return future.result()

    def _on_episode(self, msg: EpisodeState) -> None:
        with self._news:
            self._episode = msg
            self._heard_s = time.monotonic()
            if msg.steps_done > len(self._done_s):
                self._done_s.append((stamp_to_ns(msg.header.stamp) - self._begin_ns) * 1e-9)
            self._news.notify_all()

    def _on_controller(self, msg: ControllerState) -> None:
        with self._news:
            self._controller = msg
            self._news.notify_all()

    def _on_exit(self, msg: ExitState) -> None:
        with self._news:
            stamp_s = (stamp_to_ns(msg.header.stamp) - self._begin_ns) * 1e-9
            if self._episode is None or stamp_s < 0:
                return
            self._observed_s[msg.seq] = stamp_s
            self._samples.append(
                ExitSample(
                    time_s=stamp_s,
                    phase=self._episode.phase,
                    exit_layer=msg.exit_layer,
                    num_layers=msg.num_layers,
                    depth_fraction=msg.depth_fraction,
                    flops_fraction=msg.flops_fraction,
                    inference_ms=msg.total_ms,
                    chunk_ms=msg.observation_age_ms + msg.total_ms,
                    end_of_substep=msg.end_of_substep,
                )
            )
            self._news.notify_all()

    def _on_verdict(self, msg: ChunkVerdict) -> None:
        if msg.code != ChunkVerdict.ACCEPTED:
            self._refused += 1
            self._refusal = msg.detail


def _filled(values: Sequence[float | None], sentences: Sequence[str]) -> list[float | None]:
    """As many values as sentences; None for those that are not there."""
    return [*values, *[None] * (len(sentences) - len(values))]


def _outcome(result: RunTask.Result) -> str:
    return f"{OUTCOMES.get(result.outcome, 'ended')}: {result.message}".rstrip(": ")
