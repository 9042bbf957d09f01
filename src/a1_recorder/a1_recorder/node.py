"""The lifecycle node `recorder`: topics in, one bag an episode out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a1_msgs.msg import EpisodeState, ThresholdsInfo
from a1_msgs.srv import DiscardEpisode, LabelEpisode, StartRecording, StopRecording
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.subscription import Subscription
from rclpy.task import Future
from sensor_msgs.msg import Joy

from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_data.definitions import Definitions
from a1_data.episodes import EPISODE
from a1_recorder.pedal import Pedal
from a1_recorder.record_action import RecordEpisodeServer
from a1_recorder.recording import Recording
from a1_recorder.session import Clocks, Session, left_drafts
from a1_recorder.settings import Settings
from a1_recorder.status import recording_status, streams_status
from a1_recorder.subscriptions import Subscriptions
from a1_recorder.topics import EPISODE_TOPIC, THRESHOLDS_TOPIC, recorded_topics
from a1_recorder.writer_thread import WriterThread
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.parameters import settings_from, specs_of
from a1_ros.qos import RELIABLE, SENSOR
from a1_ros.times import node_now_ns, ns_to_stamp, steady_now_ns

WATCH_PERIOD_S = 0.1
MEASURE_PERIOD_S = 1.0
POLL_PERIOD_S = 0.02
NOT_ACTIVE = "the recorder is not active; configure and activate it first"


class RecorderNode(A1LifecycleNode):
    """Lifecycle, services, action and pedal; the episodes are the session's."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("recorder", specs_of(Settings), **node_kwargs)
        self._settings: Settings | None = None
        self._definitions: Definitions | None = None
        self._session: Session | None = None
        self._writer: WriterThread | None = None
        self._listening: Subscriptions | None = None
        self._joy: Subscription | None = None
        self._failure = ""
        self._stopped: dict[str, Future] = {}
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._episode_out = self.create_publisher(EpisodeState, EPISODE_TOPIC, RELIABLE)
        self._drained = self.create_guard_condition(self._drain)
        self._action = RecordEpisodeServer(
            self, refusal=self._refusal, begin=self._begin, stop=self._stop_episode
        )
        # Two answers wait for the writer; in the node's own group they would hold up all else.
        apart = ReentrantCallbackGroup()
        self.create_service(StartRecording, "a1/start_recording", self._on_start)
        self.create_service(StopRecording, "a1/stop_recording", self._on_stop, callback_group=apart)
        self.create_service(
            DiscardEpisode, "a1/discard_episode", self._on_discard, callback_group=apart
        )
        self.create_service(LabelEpisode, "a1/label_episode", self._on_label)
        self.create_timer(POLL_PERIOD_S, self._poll, clock=self._steady)
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=self._steady)
        self.create_timer(MEASURE_PERIOD_S, self._measure, clock=self._steady)

    def on_configured(self) -> None:
        """Read the spec, look at the folder, know the messages."""
        settings = self._settings = settings_from(Settings, self.parameters.values())
        self._spec = load_spec(settings.robot)
        folder = Path(settings.folder).expanduser().absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise A1Error(
                f"folder '{folder}' cannot be made: {error.strerror}; give another one"
            ) from None
        self._folder = folder
        self._definitions = Definitions()
        for draft in left_drafts(folder):
            self.get_logger().warning(
                f"{draft} was left by a recorder that was killed, or is being written by another; "
                "what it holds can be read as it is"
            )

    def on_activated(self) -> None:
        """Listen. What arrives is recorded once an episode is started."""
        settings, definitions = self._settings, self._definitions
        assert settings is not None and definitions is not None
        self._failure = ""
        reserve_bytes = settings.reserve_mb * 1_000_000
        self._writer = WriterThread(
            queue_bytes=settings.queue_mb * 1_000_000,
            flush_period_s=settings.flush_period,
            reserve_bytes=reserve_bytes,
            changed=self._drained.trigger,
        )
        self._session = Session(
            folder=self._folder,
            spec=self._spec,
            writer=self._writer,
            clocks=Clocks(steady_ns=steady_now_ns, wall_ns=time.time_ns),
            event_definition=definitions.of(EPISODE),
            event=self._event,
            facts=self._facts,
            chunk_bytes=settings.chunk_kb * 1000,
            compression=settings.compression,
            reserve_bytes=reserve_bytes,
        )
        self._listening = Subscriptions(self, self._session, definitions)
        for topic in recorded_topics(self._spec, settings.extra_topics):
            self._listening.add(topic, f"{self._spec.path}: {topic.name}")
        self._listen_to_pedal(settings)
        self.diagnostics.set_source("recording", self._recording_status)
        self.diagnostics.set_source("streams", self._streams_status)

    def on_deactivated(self) -> None:
        """Finish the episode in hand, then stop listening."""
        for name in ("recording", "streams"):
            self.diagnostics.remove_source(name)
        if self._session is not None and self._session.current is not None:
            self._stop_episode()
        if self._writer is not None:
            self._writer.close()
        self._drain()
        if self._listening is not None:
            self._listening.destroy()
        if self._joy is not None:
            self.destroy_subscription(self._joy)
        self._listening = self._joy = self._session = self._writer = None

    def on_cleaned_up(self) -> None:
        """Forget spec and definitions."""
        self._settings = None
        self._definitions = None

    def destroy_node(self) -> None:
        """Take down, the action included."""
        if self._session is not None:
            self.on_deactivated()
        self._action.destroy()
        super().destroy_node()

    # -- episodes

    def _refusal(self) -> str:
        if self._session is None:
            return NOT_ACTIVE
        current = self._session.current
        return f"{current.episode_id} is being recorded" if current is not None else ""

    def _active(self) -> Session:
        if self._session is None:
            raise A1Error(NOT_ACTIVE)
        return self._session

    def _begin(self, instruction: str, driver: str) -> Recording:
        self._failure = ""
        recording = self._active().start(
            instruction or self.parameters["instruction"], driver or self.parameters["driver"]
        )
        self._publish_event(recording, True)
        self.get_logger().info(f"recording {recording.episode_id}: {recording.instruction}")
        return recording

    def _stop_episode(self) -> Recording:
        session = self._active()
        self._poll()
        recording = session.stop()
        self._publish_event(recording, False)
        return recording

    def _drain(self) -> None:
        for recording in self._session.drain() if self._session is not None else ():
            ended = recording.ended
            assert ended is not None
            if ended.failure:
                self._failure = ended.failure
                self.get_logger().error(
                    f"recording stopped: {ended.failure}; {ended.messages} messages are kept"
                )
                self.diagnostics.publish()
            elif ended.path is not None:
                self.get_logger().info(f"{ended.path}: {ended.messages} messages")
            else:
                self.get_logger().info(f"{recording.episode_id} is discarded")
            stopped = self._stopped.pop(recording.episode_id, None)
            if stopped is not None:
                stopped.set_result(recording)
        self._action.conclude()

    def _until_ended(self, recording: Recording) -> Future:
        return self._stopped.setdefault(recording.episode_id, Future())

    # -- what others ask for

    def _on_start(
        self, request: StartRecording.Request, response: StartRecording.Response
    ) -> StartRecording.Response:
        try:
            response.episode_id = self._begin(request.instruction, request.driver).episode_id
            response.success = True
        except A1Error as error:
            response.message = str(error)
        return response

    async def _on_stop(
        self, request: StopRecording.Request, response: StopRecording.Response
    ) -> StopRecording.Response:
        try:
            recording = await self._until_ended(self._stop_episode())
        except A1Error as error:
            response.message = str(error)
            return response
        response.success = not recording.ended.failure
        response.message = recording.ended.failure
        response.episode_id = recording.episode_id
        response.path = str(recording.path)
        response.duration_s = recording.duration_s
        response.messages = recording.messages
        return response

    async def _on_discard(
        self, request: DiscardEpisode.Request, response: DiscardEpisode.Response
    ) -> DiscardEpisode.Response:
        try:
            recording = self._discard(request.episode_id, request.reason)
            if recording is not None:
                recording = await self._until_ended(recording)
                response.message = recording.ended.failure
            response.success = not response.message
        except A1Error as error:
            response.message = str(error)
        return response

    def _on_label(
        self, request: LabelEpisode.Request, response: LabelEpisode.Response
    ) -> LabelEpisode.Response:
        try:
            name = self._active().label(
                request.episode_id, request.outcome, request.instruction, request.note
            )
            response.success = True
            response.message = f"labelled {name}"
        except A1Error as error:
            response.message = str(error)
        return response

    def _discard(self, episode_id: str, reason: str) -> Recording | None:
        session = self._active()
        current = session.current
        recording = session.discard(episode_id)
        if recording is not None:
            self._publish_event(recording, False)
        name = current.episode_id if current is not None else episode_id or "the last episode"
        self.get_logger().info(f"discarding {name}" + (f": {reason}" if reason else ""))
        return recording

    # -- pedal

    def _listen_to_pedal(self, settings: Settings) -> None:
        if not settings.pedal_topic:
            return
        outcome = LabelEpisode.Request
        pedal = Pedal(
            {
                settings.pedal_start_stop: self._start_or_stop,
                settings.pedal_success: lambda: self._judge(outcome.SUCCESS),
                settings.pedal_failure: lambda: self._judge(outcome.FAILURE),
                settings.pedal_discard: lambda: self._discard("", "by pedal"),
            }
        )

        def press(msg: Joy) -> None:
            try:
                pedal.take(msg.buttons)
            except A1Error as error:
                self.get_logger().warning(f"pedal: {error}")

        self._joy = self.create_subscription(Joy, settings.pedal_topic, press, SENSOR)

    def _start_or_stop(self) -> None:
        if self._active().current is None:
            self._begin("", "")
        else:
            self._stop_episode()

    def _judge(self, outcome: int) -> None:
        session = self._active()
        session.label("", outcome, "", "")
        if session.current is not None:
            self._stop_episode()

    # -- now and then

    def _poll(self) -> None:
        if self._listening is not None:
            self._listening.take(time.time_ns())

    def _watch(self) -> None:
        if self._session is None:
            return
        self._action.watch(node_now_ns(self))

    def _measure(self) -> None:
        if self._session is None or self._listening is None:
            return
        self._listening.look()
        self._session.measure()
        current = self._session.current
        if current is not None:
            self._action.feedback(self._session.duration_s(current), self._session.late_topic())

    def _streams_status(self) -> Any:
        simulated = bool(self.get_parameter("use_sim_time").value)
        return streams_status(self._active(), steady_now_ns(), simulated=simulated)

    def _recording_status(self) -> Any:
        assert self._writer is not None and self._listening is not None
        return recording_status(
            self._active(),
            waiting_bytes=self._writer.waiting_bytes,
            failure=self._failure,
            alive=self._writer.alive,
            unrecorded=self._listening.unrecorded,
        )

    # -- what goes into a bag besides messages

    def _event_message(self, recording: Recording, running: bool) -> EpisodeState:
        msg = EpisodeState(
            episode=recording.number,
            running=running,
            success=recording.outcome == "success",
            failed=recording.outcome == "failure",
            instruction=recording.instruction,
            elapsed_s=0.0 if running else recording.duration_s,
        )
        msg.header.stamp = ns_to_stamp(node_now_ns(self))
        msg.header.frame_id = self._spec.base_frame
        return msg

    def _event(self, recording: Recording, running: bool) -> bytes:
        return bytes(serialize_message(self._event_message(recording, running)))

    def _publish_event(self, recording: Recording, running: bool) -> None:
        self._episode_out.publish(self._event_message(recording, running))

    def _facts(self) -> Mapping[str, str]:
        """Operator and digests; called by the writer's thread too."""
        facts = {"operator": self.parameters["operator"]}
        session = self._session
        info = session.kept(THRESHOLDS_TOPIC) if session is not None else None
        if info is not None:
            told = deserialize_message(info, ThresholdsInfo)
            facts["checkpoint_digest"] = told.checkpoint_digest
            facts["thresholds_digest"] = told.thresholds_digest
        return {name: text for name, text in facts.items() if text}
