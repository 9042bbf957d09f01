"""What is recorded for a robot: the spec's streams, the commands, and what A1 nodes say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from a1_core.spec import RobotSpec
from a1_data.episodes import INSTRUCTION_TOPIC, TEXT
from a1_data.streams import absolute, streams_of

EPISODE_TOPIC = "a1/episode"
THRESHOLDS_TOPIC = "/a1/thresholds_info"
A1_TOPICS = (
    ("a1/chunk", "a1_msgs/msg/ActionChunk", "reliable"),
    ("a1/chunk_verdict", "a1_msgs/msg/ChunkVerdict", "reliable"),
    ("a1/plan", "a1_msgs/msg/ActionChunk", "reliable"),
    ("a1/exit_state", "a1_msgs/msg/ExitState", "reliable"),
    ("a1/refusal", "a1_msgs/msg/ObservationRefusal", "reliable"),
    ("a1/controller_state", "a1_msgs/msg/ControllerState", "sensor"),
    (THRESHOLDS_TOPIC[1:], "a1_msgs/msg/ThresholdsInfo", "latched"),
    (INSTRUCTION_TOPIC[1:], TEXT, "reliable"),
)
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic to record.

    Attributes:
        topic: as it is subscribed to; a relative name is in the node's namespace.
        name: as the bag calls it.
        msgtype: empty where whoever publishes says it.
        qos: name of a profile.
        max_age_s: a longer silence is told; None where silence is normal.
        promised_hz: a lower rate is told; None where none is promised.
        kept: the newest message before an episode belongs to it.
    """

    topic: str
    msgtype: str
    qos: str
    max_age_s: float | None = None
    promised_hz: float | None = None
    kept: bool = False

    @property
    def name(self) -> str:
        return absolute(self.topic)


def recorded_topics(spec: RobotSpec, extra: Sequence[str]) -> tuple[Topic, ...]:
    """Cameras, joint states, commands, error states, what A1 nodes publish, and `extra`.

    Commands that go to a service or an action are no topic: what was commanded is in
    a1/controller_state.
    """
    qos = {absolute(camera.topic): camera.qos for camera in spec.cameras}
    qos |= {absolute(source.topic): source.qos for source in spec.state_sources}
    told = {absolute(camera.topic): camera.topic for camera in spec.cameras}
    told |= {absolute(source.topic): source.topic for source in spec.state_sources}
    topics = [
        Topic(
            topic=told[stream.topic],
            msgtype=stream.msgtype,
            qos=qos[stream.topic],
            max_age_s=stream.max_age_s,
            promised_hz=stream.rate_hz,
        )
        for stream in streams_of(spec)
    ]
    for command in spec.commands:
        if "/srv/" not in command.type:
            kind = command.type or TRAJECTORY
            topics.append(Topic(topic=command.topic, msgtype=kind, qos="reliable"))
    for gripper in spec.grippers:
        wire = gripper.command
        if wire.endpoint and "/msg/" in wire.type:
            topics.append(Topic(topic=wire.endpoint, msgtype=wire.type, qos="reliable"))
    topics += [
        Topic(topic=state.topic, msgtype=state.type, qos=state.qos)
        for command in spec.commands
        for state in command.error_states
    ]
    topics += [
        Topic(topic=topic, msgtype=kind, qos=qos, kept=kind == TEXT or qos == "latched")
        for topic, kind, qos in A1_TOPICS
    ]
    topics += [Topic(topic=topic, msgtype="", qos="sensor") for topic in extra if topic]
    unique = {topic.name: topic for topic in reversed(topics)}
    return tuple(reversed(unique.values()))
