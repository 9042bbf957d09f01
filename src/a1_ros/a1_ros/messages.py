"""The wire's messages and a1_core's values, both ways."""

import array
import uuid
from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from a1_msgs import msg as wire
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from unique_identifier_msgs.msg import UUID

from a1_core.chunk import ActionChunk, ActionSpace, DeltaBase, RotationKind, Source
from a1_core.errors import A1Error
from a1_core.policy import ExitTrace
from a1_core.verdict import Verdict, VerdictCode
from a1_ros.times import ns_to_duration, ns_to_stamp, stamp_to_ns

Code = TypeVar("Code", bound=IntEnum)


def floats(values: NDArray[np.floating] | Sequence[float], code: str = "d") -> array.array:
    """An array of the wire: code 'f' for float32[], 'd' for float64[], filled in one copy."""
    out = array.array(code)
    out.frombytes(np.ascontiguousarray(values, np.dtype(code)).tobytes())
    return out


def uuid_to_msg(session_id: str) -> UUID:
    """Message of a UUID in text; the empty text is the all-zero UUID."""
    raw = uuid.UUID(session_id).bytes if session_id else bytes(16)
    return UUID(uuid=np.frombuffer(raw, np.uint8))


def msg_to_uuid(msg: UUID) -> str:
    """Text of a UUID message; the all-zero UUID is the empty text."""
    raw = bytes(msg.uuid)
    return str(uuid.UUID(bytes=raw)) if any(raw) else ""


def chunk_to_msg(chunk: ActionChunk) -> wire.ActionChunk:
    """The wire's form of a chunk."""
    horizon, dim = chunk.actions_HD.shape
    msg = wire.ActionChunk(
        session_id=uuid_to_msg(chunk.session_id),
        seq=chunk.seq,
        source=int(chunk.source),
        robot=chunk.robot,
        spec_digest=chunk.spec_digest,
        action_space=int(chunk.action_space),
        delta_base=int(chunk.delta_base),
        rotation=int(chunk.rotation),
        tip_frame=chunk.tip_frame,
        period=ns_to_duration(chunk.period_ns),
        valid_for=ns_to_duration(chunk.valid_for_ns),
        horizon=horizon,
        dim=dim,
        committed_rows=chunk.committed_rows,
        end_of_substep=chunk.end_of_substep,
        exit_layer=chunk.exit_layer,
        checkpoint_digest=chunk.checkpoint_digest,
        thresholds_digest=chunk.thresholds_digest,
        names=list(chunk.names),
        data=floats(chunk.actions_HD, "f"),
    )
    msg.header.stamp = ns_to_stamp(chunk.stamp_ns)
    msg.header.frame_id = chunk.base_frame
    return msg


def msg_to_chunk(msg: wire.ActionChunk) -> ActionChunk:
    """The chunk of a message; raises A1Error when its sizes or codes contradict each other."""
    data = np.frombuffer(msg.data, np.float32) if len(msg.data) else np.empty(0, np.float32)
    if msg.horizon * msg.dim != data.size or msg.dim != len(msg.names) or not data.size:
        raise A1Error(
            f"chunk {msg.seq}: horizon {msg.horizon} x dim {msg.dim} with {len(msg.names)} names "
            f"and {data.size} numbers; send horizon * dim numbers and dim names"
        )
    return ActionChunk(
        stamp_ns=stamp_to_ns(msg.header.stamp),
        session_id=msg_to_uuid(msg.session_id),
        seq=msg.seq,
        source=_code(Source, msg.source, msg.seq, "source"),
        robot=msg.robot,
        spec_digest=msg.spec_digest,
        action_space=_code(ActionSpace, msg.action_space, msg.seq, "action_space"),
        delta_base=_code(DeltaBase, msg.delta_base, msg.seq, "delta_base"),
        rotation=_code(RotationKind, msg.rotation, msg.seq, "rotation"),
        tip_frame=msg.tip_frame,
        base_frame=msg.header.frame_id,
        period_ns=stamp_to_ns(msg.period),
        valid_for_ns=stamp_to_ns(msg.valid_for),
        committed_rows=msg.committed_rows,
        end_of_substep=msg.end_of_substep,
        exit_layer=msg.exit_layer,
        checkpoint_digest=msg.checkpoint_digest,
        thresholds_digest=msg.thresholds_digest,
        names=tuple(msg.names),
        actions_HD=data.reshape(msg.horizon, msg.dim),
    )


def _code(kind: type[Code], value: int, seq: int, field: str) -> Code:
    if value not in [member.value for member in kind]:
        allowed = ", ".join(f"{member.value} {member.name}" for member in kind)
        raise A1Error(f"chunk {seq}: {field} {value} is unknown; send one of {allowed}")
    return kind(value)


def trace_to_msg(
    trace: ExitTrace,
    *,
    stamp_ns: int,
    base_frame: str,
    seq: int,
    end_of_substep: float,
    observation_age_ms: float,
    camera_skew_ms: float,
    wait_ms: float,
    publish_ms: float,
) -> wire.ExitState:
    """The exit state of one inference; NaN stands for what was not computed."""
    msg = wire.ExitState(
        seq=seq,
        exit_layer=trace.exit_layer,
        num_layers=trace.num_layers,
        exit_index=trace.exit_index,
        depth_fraction=float(trace.depth_fraction),
        flops_fraction=float(trace.flops_fraction),
        discrepancy=_or_nan(trace.discrepancy),
        threshold=_or_nan(trace.threshold),
        end_of_substep=end_of_substep,
        reason=int(trace.reason),
        observation_age_ms=observation_age_ms,
        camera_skew_ms=camera_skew_ms,
        wait_ms=wait_ms,
        preprocess_ms=float(trace.preprocess_ms),
        vision_ms=float(trace.vision_ms),
        backbone_ms=float(trace.backbone_ms),
        head_ms=float(trace.head_ms),
        total_ms=float(trace.total_ms),
        publish_ms=publish_ms,
        exits_evaluated=array.array("I", [int(index) for index in trace.exits_evaluated]),
        discrepancies=array.array("d", [_or_nan(value) for value in trace.discrepancies]),
        thresholds=array.array("d", [_or_nan(value) for value in trace.thresholds]),
    )
    msg.header.stamp = ns_to_stamp(stamp_ns)
    msg.header.frame_id = base_frame
    return msg


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def verdict_to_msg(
    verdict: Verdict, *, session_id: str, seq: int, stamp_ns: int, base_frame: str
) -> wire.ChunkVerdict:
    """The answer to one chunk; `stamp_ns` is the time of the decision."""
    msg = wire.ChunkVerdict(
        session_id=uuid_to_msg(session_id),
        seq=seq,
        code=int(verdict.code),
        detail=verdict.detail,
    )
    msg.header.stamp = ns_to_stamp(stamp_ns)
    msg.header.frame_id = base_frame
    return msg


def msg_to_verdict(msg: wire.ChunkVerdict) -> Verdict:
    """The verdict of a message."""
    return Verdict(code=VerdictCode(msg.code), detail=msg.detail)


def joint_state_arrays(msg: JointState) -> tuple[int, tuple[str, ...], NDArray[np.float64]]:
    """Stamp in ns, names and positions (rad, m) of a joint state."""
    return stamp_to_ns(msg.header.stamp), tuple(msg.name), np.asarray(msg.position, np.float64)


def to_joint_state(
    names: Sequence[str],
    positions: NDArray[np.floating] | Sequence[float],
    stamp_ns: int,
    *,
    velocities: NDArray[np.floating] | Sequence[float] = (),
    frame_id: str = "",
) -> JointState:
    """Joint state message of positions (rad, m) and velocities (rad/s, m/s) by name."""
    msg = JointState(name=list(names), position=floats(positions), velocity=floats(velocities))
    msg.header.stamp = ns_to_stamp(stamp_ns)
    msg.header.frame_id = frame_id
    return msg
