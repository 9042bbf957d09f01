"""The streams of a robot as a bag has to hold them, and what a bag lacks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from a1_core.intake import camera_stream, joints_stream
from a1_core.spec import RobotSpec
from a1_data.findings import Findings

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
JOINT_STATE = "sensor_msgs/msg/JointState"
IMAGES = {"raw": IMAGE, "compressed": COMPRESSED_IMAGE}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One topic that the spec names.

    Attributes:
        name: as diagnostics and reports call it.
        topic: with its leading slash, as bags write it.
        msgtype: what it must carry.
        where: file and field of the spec.
        camera: the camera's name; None for joint states.
        max_age_s: longest silence.
        rate_hz: how often it is promised to come.
    """

    name: str
    topic: str
    msgtype: str
    where: str
    camera: str | None
    max_age_s: float
    rate_hz: float


def streams_of(spec: RobotSpec) -> tuple[Stream, ...]:
    """Every topic of joint states once, then every camera, the reference first."""
    joints = {
        source.topic: Stream(
            name=joints_stream(source.topic),
            topic=absolute(source.topic),
            msgtype=JOINT_STATE,
            where=f"{spec.path}: state_sources[{index}]",
            camera=None,
            max_age_s=source.max_age_s,
            rate_hz=source.rate_hz,
        )
        for index, source in reversed(list(enumerate(spec.state_sources)))
    }
    cameras = [
        Stream(
            name=camera_stream(camera.name),
            topic=absolute(camera.topic),
            msgtype=IMAGES[camera.type],
            where=f"{spec.path}: cameras[{index}]",
            camera=camera.name,
            max_age_s=camera.max_age_s,
            rate_hz=camera.rate_hz,
        )
        for index, camera in enumerate(spec.cameras)
    ]
    return (*reversed(joints.values()), *cameras)


def absolute(topic: str) -> str:
    """A topic's name as a node without a namespace resolves it."""
    return topic if topic.startswith("/") else f"/{topic}"


def find_stream(stream: Stream, counts: Mapping[tuple[str, str], int], findings: Findings) -> None:
    """Say what a bag lacks of a stream; `counts` are its messages by topic and type."""
    types = {msgtype for (topic, msgtype) in counts if topic == stream.topic}
    for msgtype in sorted(types - {stream.msgtype}):
        mend = f"mend {stream.where}.topic, or record the right one"
        if {msgtype, stream.msgtype} == {IMAGE, COMPRESSED_IMAGE}:
            kind = next(kind for kind, name in IMAGES.items() if name == msgtype)
            mend = f"set {stream.where}.type to {kind}"
        findings.add("WRONG_TYPE", stream.topic, f"is {msgtype}, not {stream.msgtype}", mend)
    if counts.get((stream.topic, stream.msgtype), 0) or types - {stream.msgtype}:
        return
    if types:
        what = "is in the bag without a single message"
    else:
        others = sorted(t for (t, msgtype), n in counts.items() if n and msgtype == stream.msgtype)
        what = "is not in the bag" + (f", which has {', '.join(others)}" if others else "")
    mend = f"record it, or mend {stream.where}.topic"
    compressed = f"{stream.topic}/compressed"
    if counts.get((compressed, COMPRESSED_IMAGE), 0) and stream.msgtype == IMAGE:
        mend = f"record it, or set {stream.where} to topic {compressed}, type compressed"
    findings.add("TOPIC_MISSING", stream.topic, what, mend)
