"""The lifecycle node `policy`: observation in, chunk out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from a1_msgs.msg import ActionChunk, ChunkVerdict
from a1_msgs.srv import SetInstruction
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.timer import Timer

from a1_core.errors import A1Error
from a1_policy_node.audit_book import AuditBook
from a1_policy_node.audit_status import audit_status
from a1_policy_node.execution import check_execution
from a1_policy_node.exit_choice import ExitChoice, choose, revise, thresholds_info
from a1_policy_node.loading import CheckpointLoader, Loaded, load, load_a1
from a1_policy_node.outlet import Publications
from a1_policy_node.run_task import RunTaskServer
from a1_policy_node.running import Run
from a1_policy_node.settings import Settings
from a1_policy_node.shadow import EpisodeAudit
from a1_policy_node.task import Outcome, Task
from a1_ros.diagnostics import Status
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.parameters import settings_from, specs_of
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns

WATCH_PERIOD_S = 0.1
NOT_ACTIVE = "the policy node is not active; configure and activate it first"
TUNING = {
    "thresholds",
    "mode",
    "fixed_exit",
    "deadline_ms",
    "audit_fraction",
    "execution",
    "warm_start",
    "executed_rows",
    "replan_period",
}


class PolicyNode(A1LifecycleNode):
    """Lifecycle, parameters, services and the action; what runs while it is active is in Run."""

    def __init__(self, *, load_checkpoint: CheckpointLoader = load_a1, **node_kwargs: Any) -> None:
        super().__init__("policy", specs_of(Settings), **node_kwargs)
        self._load_checkpoint = load_checkpoint
        self._loaded: Loaded | None = None
        self._choice: ExitChoice | None = None
        self._book = AuditBook(None)
        self._publications: Publications | None = None
        self._run: Run | None = None
        self._thumbnail_timer: Timer | None = None
        self._settings_now = self._settings()
        self._checked: tuple[Settings, ExitChoice] | None = None
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._drained = self.create_guard_condition(self._drain)
        self._run_task = RunTaskServer(
            self, refusal=self._refusal, begin=self._begin, end=self._end
        )
        self.create_service(SetInstruction, "a1/set_instruction", self._set_instruction)
        self.create_subscription(ChunkVerdict, "a1/chunk_verdict", self._verdict, RELIABLE)
        self.create_subscription(ActionChunk, "a1/plan", self._plan, RELIABLE)
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=self._steady)
        self.add_on_set_parameters_callback(self._check_tuning)
        self.add_post_set_parameters_callback(self._apply_tuning)

    def on_configured(self) -> None:
        """Load, refuse what does not fit, warm up."""
        settings = self._settings_now = self._settings()
        self._book = AuditBook(Path(settings.audit_folder) if settings.audit_folder else None)
        self._loaded = load(settings, self._load_checkpoint)
        check_execution(settings, self._loaded.spec, self._loaded.checkpoint.config.head)
        self._choice = choose(self._loaded, settings, self._book)
        self._publications = Publications(self, lockstep=settings.lockstep)
        self._publish_choice()
        self.get_logger().info(self._loaded.summary)

    def on_activated(self) -> None:
        """Start the worker and listen."""
        assert self._loaded and self._choice and self._publications
        self._run = Run(
            self,
            self._loaded,
            self._choice,
            self._publications,
            lambda: self._settings_now,
            drain_soon=self._drained.trigger,
            report=self.diagnostics.publish,
            audited=self._episode_audited,
        )
        self.diagnostics.set_source("inputs", self._run.inputs_status)
        self.diagnostics.set_source("inference", self._run.inference_status)
        self.diagnostics.set_source("audit", self._audit_status)
        rate_hz = self._settings_now.thumbnail_rate
        if rate_hz > 0:
            self._thumbnail_timer = self.create_timer(
                1 / rate_hz, self._run.thumbnails, clock=self._steady
            )

    def on_deactivated(self) -> None:
        """Stop listening; let the inference in hand finish."""
        if self._thumbnail_timer is not None:
            self.destroy_timer(self._thumbnail_timer)
            self._thumbnail_timer = None
        for name in ("inputs", "inference", "audit"):
            self.diagnostics.remove_source(name)
        run, self._run = self._run, None
        if run is not None:
            run.stop()
        self._run_task.conclude()

    def on_cleaned_up(self) -> None:
        """Forget the model and destroy the publishers."""
        if self._publications is not None:
            self._publications.destroy()
        self._publications = None
        self._choice = None
        self._loaded = None

    def destroy_node(self) -> None:
        """Take down, the action included."""
        self._run_task.destroy()
        super().destroy_node()

    def _drain(self) -> None:
        if self._run is not None:
            for news in self._run.drain():
                self._run_task.feedback(news, node_now_ns(self))
        self._run_task.conclude()

    def _watch(self) -> None:
        if self._run is not None:
            self._run.watch()
            # A task that is over is concluded once its last chunk is told of.
            self._drain()

    def _verdict(self, msg: ChunkVerdict) -> None:
        if self._run is not None:
            self._run.verdict(msg)

    def _plan(self, msg: ActionChunk) -> None:
        if self._run is not None:
            self._run.plan(msg)

    def _refusal(self) -> str:
        if self._run is None:
            return NOT_ACTIVE
        return self._run.failure and f"inference stopped: {self._run.failure}"

    def _begin(self, substeps: Sequence[str], timeout_ns: int) -> Task:
        assert self._run is not None
        return self._run.begin(substeps, timeout_ns)

    def _end(self, task: Task, outcome: Outcome, message: str) -> None:
        if self._run is not None:
            self._run.end(task, outcome, message)

    def _set_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        response.message = self._refusal()
        response.success = not response.message
        if self._run is not None and response.success:
            if request.instruction:
                self._run.begin([request.instruction], open_ended=True)
            else:
                self._run.end(self._run.inference.task, Outcome.CANCELED, "told to be idle")
            self._run_task.conclude()
        return response

    def _settings(self) -> Settings:
        return settings_from(Settings, self.parameters.values())

    def _check_tuning(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = {parameter.name: parameter.value for parameter in parameters}
        if self._loaded is not None and TUNING & changed.keys():
            wanted = {**self.parameters.values(), **changed}
            try:
                settings = settings_from(Settings, {n: wanted[n] for n in self.parameters.values()})
                check_execution(settings, self._loaded.spec, self._loaded.checkpoint.config.head)
                self._checked = settings, choose(self._loaded, settings, self._book)
            except A1Error as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_tuning(self, parameters: list[Parameter]) -> None:
        self._settings_now = self._settings()
        if self._loaded is None or not TUNING & {parameter.name for parameter in parameters}:
            return
        # What was checked is what counts: the file may have been replaced since.
        assert self._checked and self._checked[0] == self._settings_now
        self._put_in_force(self._checked[1])
        self._publish_choice()

    def _put_in_force(self, choice: ExitChoice) -> None:
        self._choice = choice
        if self._run is not None:
            self._run.inference.choose(choice)

    def _episode_audited(self, episode: EpisodeAudit) -> None:
        assert self._loaded and self._choice
        alarm = self._book.note(episode)
        self._put_in_force(revise(self._choice, self._loaded, self._settings_now, self._book))
        if alarm:
            self._publish_choice()
            self.get_logger().error(self._audit_status().message)
            self.diagnostics.publish()

    def _audit_status(self) -> Status:
        assert self._choice
        passes = None if self._run is None else self._run.passes
        return audit_status(self._choice, self._book, passes)

    def _publish_choice(self) -> None:
        assert self._loaded and self._publications and self._choice
        info = thresholds_info(self._loaded, self._choice, node_now_ns(self))
        self._publications.thresholds(info)
        if self._choice.not_covered:
            self.get_logger().warning(f"not certified: {self._choice.not_covered}")
