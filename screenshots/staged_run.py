"""A run that nobody ran: every message of A1's nodes, made up, the same each time.

Tests, pictures and measurements of the views publish it live or write it to a bag.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from a1_msgs.msg import (
    ActionChunk,
    ChunkVerdict,
    ControllerState,
    EpisodeState,
    ExitState,
    ObservationRefusal,
    ThresholdsInfo,
)
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from unique_identifier_msgs.msg import UUID

from a1_data.definitions import Definitions
from a1_ros.images import to_image, to_jpeg
from a1_ros.messages import uuid_to_msg
from a1_ros.qos import LATCHED, RELIABLE, STATUS
from a1_ros.times import NS_PER_S, ns_to_duration, ns_to_stamp

LAYERS = 8
EXITS = (2, 3, 4, 5, 6, 7, 8)
ETA = (float("-inf"), 0.06, 0.03, 0.02, 0.016, 0.014, float("inf"))
PERIOD_S = 0.3
HORIZON, ROW_S = 16, 0.1
INSTRUCTION = "put the orange cube in the bowl"
SUBSTEPS = ("pick up the orange cube", "place it in the bowl")
PHASES = ("approach", "descend", "grasp", "carry", "release")
TAKEN_S = 0.08
"""From an observation until its chunk is followed."""
STOP_S, REFUSED_S = (0.6, 0.68), (0.3, 0.32)
"""When the run is stopped and when a camera is silent, as shares of its length."""
QOS = {
    "/a1/thresholds_info": LATCHED,
    "/a1/instruction": LATCHED,
    "/a1/controller_state": STATUS,
    "/a1/thumbnails": STATUS,
}


class Said(NamedTuple):
    """One message, when and where."""

    at_ns: int
    topic: str
    msg: Any


def staged(begin_ns: int, seconds: float, *, images: bool = False) -> list[Said]:
    """Everything that is said from a time on, in order; `images` adds those of two cameras."""
    rng = np.random.default_rng(7)
    said = [Said(begin_ns, "/a1/thresholds_info", _thresholds())]
    said += _instructions(begin_ns, seconds)
    said += _controller(begin_ns, seconds)
    said += _episode(begin_ns, seconds)
    said += _chunks(begin_ns, seconds, rng)
    said += _diagnostics(begin_ns, seconds)
    said += [
        Said(at_ns, "/a1/thumbnails", thumbnails(at_ns, share))
        for at_ns, share in _moments(begin_ns, seconds, 1.0)
    ]
    if images:
        for at_ns, share in _moments(begin_ns, seconds, 0.2):
            for camera, rgb in zip(("front", "wrist"), _scene(share), strict=True):
                topic = f"/{camera}_camera/color/image_raw"
                said.append(Said(at_ns, topic, to_image(rgb, at_ns, camera)))
    return sorted(said, key=lambda one: one.at_ns)


def _moments(begin_ns: int, seconds: float, every_s: float) -> Iterator[tuple[int, float]]:
    for k in range(round(seconds / every_s)):
        yield begin_ns + round(k * every_s * NS_PER_S), k * every_s / seconds


def _stopped(share: float) -> bool:
    return STOP_S[0] <= share < STOP_S[1]


def _thresholds() -> ThresholdsInfo:
    return ThresholdsInfo(
        mode=ThresholdsInfo.ADAPTIVE,
        fixed_exit=-1,
        thresholds_digest="d8e916e511cf" + 52 * "0",
        checkpoint_digest="d45ca80cbdd2" + 52 * "0",
        head="mlp",
        num_steps=2,
        start="shared",
        metric="l2",
        fit="mass",
        distribution="exponential",
        parameter=0.66,
        samples=748,
        episodes=24,
        certified=True,
        risk=0.05,
        failure=0.1,
        tolerance=0.02,
        certificate_episodes=45,
        exits=list(EXITS),
        thresholds=list(ETA),
    )


def _chunks(begin_ns: int, seconds: float, rng: np.random.Generator) -> Iterator[Said]:
    session = uuid_to_msg(str(uuid.UUID(int=7)))
    for seq, (at_ns, share) in enumerate(_moments(begin_ns, seconds, PERIOD_S), start=1):
        if REFUSED_S[0] <= share < REFUSED_S[1]:
            refusal = ObservationRefusal(
                code="CAMERA_STALE",
                message="CAMERA_STALE: camera wrist: nothing for 0.8 s; the camera stopped or its "
                "stamps lag; look at its driver and the clocks",
            )
            yield Said(at_ns, "/a1/refusal", _stamped(refusal, at_ns))
            continue
        state = _exit_state(seq, share, rng)
        sent_ns = at_ns + round((state.observation_age_ms + state.total_ms + 1.2) * 1e6)
        yield Said(sent_ns, "/a1/chunk", _stamped(_chunk(session, seq), at_ns))
        yield Said(sent_ns, "/a1/exit_state", _stamped(state, at_ns))
        code = ChunkVerdict.STOPPED if _stopped(share) else ChunkVerdict.ACCEPTED
        detail = "stop was called" if _stopped(share) else ""
        verdict = ChunkVerdict(session_id=session, seq=seq, code=code, detail=detail)
        judged_ns = sent_ns + round(rng.uniform(1.0, 6.0) * 1e6)
        yield Said(judged_ns, "/a1/chunk_verdict", _stamped(verdict, judged_ns))
        if not _stopped(share):
            followed_ns = max(judged_ns, at_ns + round(TAKEN_S * NS_PER_S))
            plan = _stamped(_chunk(session, seq), followed_ns)
            yield Said(followed_ns, "/a1/plan", plan)


def _chunk(session: UUID, seq: int) -> ActionChunk:
    return ActionChunk(
        session_id=session,
        seq=seq,
        robot="franka",
        period=ns_to_duration(round(ROW_S * NS_PER_S)),
        valid_for=ns_to_duration(NS_PER_S),
        horizon=HORIZON,
        dim=1,
        names=["joint"],
        data=np.zeros(HORIZON, np.float32),
    )


def _exit_state(seq: int, share: float, rng: np.random.Generator) -> ExitState:
    """Deep at the grasp, shallow on the way; sometimes all the way to the last exit."""
    hard = np.exp(-(((share % 0.5) - 0.22) ** 2) / 0.004)
    values = [float("nan")]
    for eta in ETA[1:-1]:
        values.append(float(eta * np.exp(rng.normal(-0.35 + 1.1 * hard, 0.35))))
        if values[-1] <= eta:
            break
    else:
        values.append(float(0.012 * np.exp(rng.normal(0.0, 0.2))))
    count = len(values)
    layer = EXITS[count - 1]
    last = layer == EXITS[-1]
    backbone_ms = 4.2 * layer * float(rng.uniform(0.95, 1.25))
    stages = {
        "preprocess_ms": 0.8,
        "vision_ms": 9.5 * float(rng.uniform(0.95, 1.2)),
        "head_ms": 2.1,
    }
    return ExitState(
        seq=seq,
        exit_layer=layer,
        num_layers=LAYERS,
        exit_index=count - 1,
        depth_fraction=layer / LAYERS,
        flops_fraction=0.25 + 0.75 * layer / LAYERS,
        discrepancy=values[-1],
        threshold=ETA[count - 1],
        reason=ExitState.LAST_EXIT if last else ExitState.CONVERGED,
        observation_age_ms=float(rng.uniform(3.0, 12.0)),
        total_ms=sum(stages.values()) + backbone_ms,
        backbone_ms=backbone_ms,
        publish_ms=0.4,
        **stages,
        exits_evaluated=list(range(count)),
        discrepancies=values,
        thresholds=[float("nan"), *ETA[1:count]],
    )


def _instructions(begin_ns: int, seconds: float) -> Iterator[Said]:
    for number, text in enumerate(SUBSTEPS):
        at_ns = begin_ns + round(number * seconds / len(SUBSTEPS) * NS_PER_S)
        yield Said(at_ns, "/a1/instruction", String(data=text))


def _controller(begin_ns: int, seconds: float) -> Iterator[Said]:
    session = uuid_to_msg(str(uuid.UUID(int=7)))
    for at_ns, share in _moments(begin_ns, seconds, 0.05):
        seq = 1 + max(0, int((share * seconds - TAKEN_S) / PERIOD_S))
        tracking = not _stopped(share)
        state = ControllerState(
            mode=ControllerState.TRACKING if tracking else ControllerState.STOPPED,
            reason=f"chunk {seq} of POLICY" if tracking else "stop was called",
            session_id=session,
            seq=seq if tracking else 0,
            row=2 if tracking else -1,
            state_age_ms=4.0,
            chunk_age_ms=120.0,
            tracking_error=0.004 + 0.02 * abs(np.sin(9.0 * share)) * tracking,
            chunks_accepted=seq,
            chunks_refused=int(16 * (share > STOP_S[0])),
            slowed=int(5 * share),
        )
        yield Said(at_ns, "/a1/controller_state", _stamped(state, at_ns))


def _episode(begin_ns: int, seconds: float) -> Iterator[Said]:
    for at_ns, share in _moments(begin_ns, seconds, 0.2):
        state = EpisodeState(
            episode=3,
            running=True,
            elapsed_s=share * seconds,
            instruction=INSTRUCTION,
            phase=PHASES[int(share * len(PHASES))],
        )
        yield Said(at_ns, "/sim/episode", _stamped(state, at_ns))
    done = EpisodeState(episode=3, success=True, elapsed_s=seconds, instruction=INSTRUCTION)
    end_ns = begin_ns + round(seconds * NS_PER_S)
    yield Said(end_ns, "/sim/episode", _stamped(done, end_ns))


def _diagnostics(begin_ns: int, seconds: float) -> Iterator[Said]:
    statuses = (
        ("/policy: inference", DiagnosticStatus.OK, "running"),
        ("/policy: camera front", DiagnosticStatus.OK, "9.9 Hz"),
        (
            "/policy: camera wrist",
            DiagnosticStatus.WARN,
            (
                "7.1 Hz, and the robot spec promises 10 Hz; look at its driver, its cable and the "
                "network"
            ),
        ),
        ("/controller: controller", DiagnosticStatus.OK, "TRACKING: following"),
        ("/recorder: recording", DiagnosticStatus.OK, "recording"),
    )
    told = [
        DiagnosticStatus(
            name=name,
            level=level,
            message=message,
        )
        for name, level, message in statuses
    ]
    for at_ns, _ in _moments(begin_ns, seconds, 1.0):
        array = DiagnosticArray(status=told)
        array.header.stamp = ns_to_stamp(at_ns)
        yield Said(at_ns, "/diagnostics", array)


def thumbnails(at_ns: int, share: float) -> CompressedImage:
    """Both cameras side by side, as the policy node sends them."""
    row = np.concatenate(_scene(share), axis=1)
    return to_jpeg(cv2.resize(row, (192, 96)), at_ns, "front|wrist")


def _scene(share: float) -> tuple[np.ndarray, np.ndarray]:
    """A table with a cube that moves, seen twice."""
    pictures = []
    for size, tint in ((18, 105), (40, 90)):
        picture = np.full((128, 128, 3), tint, np.uint8)
        at = (int(30 + 60 * share), int(80 - 30 * np.sin(3.1 * share)))
        cv2.circle(picture, (96, 84), 22, (235, 235, 235), -1)
        cv2.rectangle(picture, at, (at[0] + size, at[1] + size), (240, 130, 20), -1)
        pictures.append(picture)
    return pictures[0], pictures[1]


def _stamped(msg: Any, at_ns: int) -> Any:
    msg.header.stamp = ns_to_stamp(at_ns)
    msg.header.frame_id = "fr3_link0"
    return msg


class Stage:
    """Publishes a staged run from a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._publishers: dict[str, Any] = {}
        for one in staged(0, 1.0):
            if one.topic not in self._publishers:
                self._publishers[one.topic] = node.create_publisher(
                    type(one.msg), one.topic, QOS.get(one.topic, RELIABLE)
                )
        # What comes only when something is wrong.
        self._publishers["/a1/refusal"] = node.create_publisher(
            ObservationRefusal, "/a1/refusal", RELIABLE
        )

    def heard_by(self, topic: str) -> int:
        """How many listen to a topic."""
        return int(self._publishers[topic].get_subscription_count())

    def say(self, one: Said) -> None:
        """Publish one message now."""
        self._publishers[one.topic].publish(one.msg)


def write_bag(
    path: Path,
    seconds: float,
    *,
    custom: dict[str, str] | None = None,
    leave_out: Collection[str] = (),
) -> None:
    """A staged run as a bag, with images; topics in `leave_out` were not recorded."""
    definitions = Definitions()
    bag = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    for key, value in (custom or {}).items():
        bag.set_custom_data(key, value)
    with bag:
        connections: dict[str, Any] = {}
        for one in staged(1_000 * NS_PER_S, seconds, images=True):
            if isinstance(one.msg, CompressedImage | DiagnosticArray) or one.topic in leave_out:
                continue
            if one.topic not in connections:
                msgtype = f"{type(one.msg).__module__.split('.')[0]}/msg/{type(one.msg).__name__}"
                told = definitions.of(msgtype)
                connections[one.topic] = bag.add_connection(
                    one.topic, msgtype, msgdef=told.text, rihs01=told.digest
                )
            bag.write(connections[one.topic], one.at_ns, bytes(serialize_message(one.msg)))
