"""What `replay` sends: the chunks of a bag that drove the robot, or chunks made of its actions."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from a1_msgs.msg import ActionChunk, ChunkVerdict
from rclpy.serialization import deserialize_message

from a1_core.chunk import Source, joint_chunk
from a1_core.errors import BagError
from a1_core.spec import RobotSpec
from a1_data.bag_files import BagFiles
from a1_data.lerobot.chunks import chunk_at
from a1_data.lerobot.from_bags import ExportSettings, Plan, plan_bag, policy_fps
from a1_data.reader import ReadSettings, open_bags
from a1_data.storage import look, read
from a1_ros.messages import chunk_to_msg
from a1_ros.times import stamp_to_ns

CHUNK_TOPIC = "/a1/chunk"
CHUNK = "a1_msgs/msg/ActionChunk"
VERDICT_TOPIC = "/a1/chunk_verdict"
VERDICT = "a1_msgs/msg/ChunkVerdict"
KINDS = {CHUNK_TOPIC: CHUNK, VERDICT_TOPIC: VERDICT}
APART_S = 0.3
"""Between two chunks that are made of actions: how often a policy thinks."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A chunk, when it came by the clock of its stamps, and how long after its observation (ns)."""

    due_ns: int
    delay_ns: int
    chunk: ActionChunk


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What of a bag is sent again, in the order of receipt; `left_out`: how many moved nothing."""

    chunks: tuple[Recorded, ...]
    left_out: int


def holds_chunks(files: BagFiles) -> bool:
    """Whether there is a chunk in the bag."""
    return any(
        raw.channel.msgtype == CHUNK
        for file in files.files
        for raw in read(file, look(file, files.findings), {CHUNK_TOPIC}, files.findings)
    )


def recorded_chunks(files: BagFiles) -> Recording:
    """The chunks of a bag that drove the robot; those that nobody judged count as such.

    Where the bag's times of receipt are on another clock than its stamps, as in a simulation, the
    chunks are as far apart as their stamps: simulated time passes at another rate than the
    recorder's. How long after its observation a chunk came is unknown then, and 0 here.

    Raises BagError where the bag holds no chunk, or none that was accepted.
    """
    found: list[tuple[int, ActionChunk]] = []
    refused: set[tuple[bytes, int]] = set()
    for file in files.files:
        for raw in read(file, look(file, files.findings), set(KINDS), files.findings):
            topic = raw.channel.topic
            if raw.channel.msgtype != KINDS[topic]:
                continue
            if topic == CHUNK_TOPIC:
                found.append((raw.received_ns, deserialize_message(bytes(raw.data), ActionChunk)))
                continue
            verdict = deserialize_message(bytes(raw.data), ChunkVerdict)
            if verdict.code != ChunkVerdict.ACCEPTED:
                refused.add(_identity(verdict))
    if not found:
        raise BagError(f"{files.path}: holds no {CHUNK} on {CHUNK_TOPIC}; give --action commanded")
    drove = [(at_ns, chunk) for at_ns, chunk in found if _identity(chunk) not in refused]
    if not drove:
        raise BagError(
            f"{files.path}: none of its {len(found)} chunks was accepted when it was recorded, as "
            f"{VERDICT_TOPIC} says; replay a bag in which somebody drove the robot"
        )
    return Recording(chunks=_timed(drove), left_out=len(found) - len(drove))


def _identity(msg: ActionChunk | ChunkVerdict) -> tuple[bytes, int]:
    return bytes(msg.session_id.uuid), msg.seq


def _timed(chunks: Sequence[tuple[int, ActionChunk]]) -> tuple[Recorded, ...]:
    """Chunks with the times of their receipt, with both on the clock of the stamps."""
    stamps = [stamp_to_ns(chunk.header.stamp) for _, chunk in chunks]
    delays = [at_ns - stamp for (at_ns, _), stamp in zip(chunks, stamps, strict=True)]
    fresh = [
        0 <= delay <= stamp_to_ns(chunk.valid_for)
        for delay, (_, chunk) in zip(delays, chunks, strict=True)
    ]
    return tuple(
        Recorded(
            due_ns=at_ns if any(fresh) else stamp,
            delay_ns=delay if in_time else 0,
            chunk=chunk,
        )
        for (at_ns, chunk), stamp, delay, in_time in zip(chunks, stamps, delays, fresh, strict=True)
    )


def chunks_of_actions(files: BagFiles, spec: RobotSpec, *, measured: bool) -> Recording:
    """What was commanded, or where the robot was, as a policy would have sent it.

    The rows are those that export writes for that moment and training learns from.

    Raises BagError that says why an episode of the bag has no actions.
    """
    action: Literal["commanded", "measured"] = "measured" if measured else "commanded"
    settings = ExportSettings(fps=policy_fps(spec), action=action, still=True)
    (bag,) = open_bags(files.path, spec, ReadSettings())
    if bag.missing:
        raise BagError(f"{files.path}: {bag.missing[0]}; replay a bag of {spec.robot}")
    chunks: list[Recorded] = []
    for plan in plan_bag(bag, spec, settings):
        if plan.left_out:
            raise BagError(f"{files.path}, episode {plan.episode}: {plan.left_out}, {plan.detail}")
        chunks += _of_plan(plan, spec)
    return Recording(chunks=tuple(chunks), left_out=0)


def _of_plan(plan: Plan, spec: RobotSpec) -> list[Recorded]:
    policy, session = spec.policy, str(uuid.uuid4())
    every = max(1, round(APART_S / policy.period_s))
    made = []
    for place in range(0, plan.frames, every):
        chunk = joint_chunk(
            spec,
            stamp_ns=plan.stamps_T[place],
            session_id=session,
            seq=place,
            source=Source.SCRIPT,
            action_space=policy.action_space,
            actions_HD=chunk_at(plan.action_TD, plan.state_TD, place, spec),
        )
        chunk = replace(chunk, delta_base=policy.delta_base)
        made.append(Recorded(due_ns=plan.stamps_T[place], delay_ns=0, chunk=chunk_to_msg(chunk)))
    return made
