"""`replay BAG`: sends the chunks of a bag again, through controller and gate, in the simulator.

Chunks keep their rows and the time that lay between them; stamp, session and number are new, and
their source is SCRIPT. Those that moved nothing when they were recorded, by their verdicts, are
left out: sent by one source now, they would. The controller judges each as it judges any: another
robot's are refused.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rclpy
from a1_msgs.msg import ActionChunk, ChunkVerdict
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from rclpy.utilities import remove_ros_args
from rich.console import Console
from rich.markup import escape

from a1_core.errors import A1Error, BagError
from a1_data.bag_files import BagFiles, find_bags
from a1_data.storage import look, read
from a1_ros.executor import make_executor
from a1_ros.guard import refuse_foreign_endpoints
from a1_ros.messages import uuid_to_msg
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns, ns_to_stamp, stamp_to_ns

CHUNK_TOPIC = "/a1/chunk"
CHUNK = "a1_msgs/msg/ActionChunk"
VERDICT_TOPIC = "/a1/chunk_verdict"
VERDICT = "a1_msgs/msg/ChunkVerdict"
KINDS = {CHUNK_TOPIC: CHUNK, VERDICT_TOPIC: VERDICT}
INTERRUPTED = 130
LAST_VERDICT_S = 1.0
VERDICTS = {
    getattr(ChunkVerdict, name): name
    for name in dir(ChunkVerdict)
    if name.isupper() and isinstance(getattr(ChunkVerdict, name), int)
}


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
        raise BagError(f"{files.path}: holds no {CHUNK} on {CHUNK_TOPIC}; nothing can be replayed")
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


class Replayer(Node):
    """Publishes the chunks of one bag, each when its time has come by the node's clock."""

    def __init__(self, chunks: Sequence[Recorded], **node_kwargs: object) -> None:
        super().__init__("replay", **node_kwargs)
        self._chunks = chunks
        self._next = 0
        self._began_ns: int | None = None
        self._session = str(uuid.uuid4())
        self.verdicts: Counter[str] = Counter()
        self.refused: dict[str, str] = {}
        self._publisher = self.create_publisher(ActionChunk, "a1/chunk", RELIABLE)
        self.create_subscription(ChunkVerdict, "a1/chunk_verdict", self._hear, RELIABLE)
        self.create_timer(0.005, self._send_due)

    @property
    def sent(self) -> int:
        """Chunks published."""
        return self._next

    @property
    def done(self) -> bool:
        """All are sent, and judged."""
        return self.all_sent and self.verdicts.total() >= self._next

    @property
    def all_sent(self) -> bool:
        """None is left to publish."""
        return self._next == len(self._chunks)

    def _send_due(self) -> None:
        now_ns = node_now_ns(self)
        if now_ns == 0:
            return
        if self._began_ns is None:
            self._began_ns = now_ns
        elapsed_ns = now_ns - self._began_ns
        while self._next < len(self._chunks):
            recorded = self._chunks[self._next]
            if recorded.due_ns - self._chunks[0].due_ns > elapsed_ns:
                return
            self._next += 1
            self._publisher.publish(self._renewed(recorded, now_ns))

    def _renewed(self, recorded: Recorded, now_ns: int) -> ActionChunk:
        chunk = recorded.chunk
        chunk.header.stamp = ns_to_stamp(max(0, now_ns - recorded.delay_ns))
        chunk.session_id = uuid_to_msg(self._session)
        chunk.seq = self._next
        chunk.source = ActionChunk.SOURCE_SCRIPT
        chunk.committed_rows = 0
        return chunk

    def _hear(self, msg: ChunkVerdict) -> None:
        if msg.session_id == uuid_to_msg(self._session):
            name = VERDICTS.get(msg.code, str(msg.code))
            self.verdicts[name] += 1
            if msg.code not in (ChunkVerdict.ACCEPTED, ChunkVerdict.SHADOW):
                self.refused.setdefault(name, msg.detail)


def run(replayer: Replayer) -> None:
    """Until all is sent and judged, or a controller is silent after the last one."""
    executor = make_executor(replayer.context)
    executor.add_node(replayer)
    ended_ns: int | None = None
    while rclpy.ok(context=replayer.context) and not replayer.done:
        executor.spin_once(timeout_sec=0.1)
        if replayer.all_sent:
            now_ns = node_now_ns(replayer)
            ended_ns = ended_ns or now_ns
            if now_ns - ended_ns > LAST_VERDICT_S * 1e9:
                return
    executor.remove_node(replayer)


def main(argv: Sequence[str] | None = None) -> None:
    """Exits with 1 on a mistake, or when no chunk was accepted."""
    parser = argparse.ArgumentParser(prog="replay", description=__doc__)
    parser.add_argument("bag", type=Path, help="one bag with chunks")
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:] if argv is None else argv)
    console = Console()
    try:
        sys.exit(_replay(arguments.bag, console))
    except A1Error as error:
        console.print(f"[red]replay:[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except (KeyboardInterrupt, ExternalShutdownException):
        console.print("replay: interrupted; the controller brakes when its chunk runs out")
        sys.exit(INTERRUPTED)


def _replay(path: Path, console: Console) -> int:
    bags = find_bags(path)
    if len(bags) != 1:
        raise BagError(f"{path}: holds {len(bags)} bags; give one")
    recording = recorded_chunks(bags[0])
    rclpy.init()
    replayer = Replayer(
        recording.chunks, parameter_overrides=[Parameter("use_sim_time", value=True)]
    )
    try:
        # On simulated time and on this machine alone: a real arm is never replayed to.
        refuse_foreign_endpoints(replayer, (), settle_s=0.0)
        run(replayer)
    finally:
        replayer.destroy_node()
        rclpy.try_shutdown()
    told = ", ".join(f"{count} {name}" for name, count in replayer.verdicts.items())
    console.print(f"{replayer.sent} chunks sent: {told or 'nobody judged them'}", highlight=False)
    if recording.left_out:
        console.print(f"{recording.left_out} left out: they moved nothing when recorded")
    for name, detail in replayer.refused.items():
        console.print(f"[yellow]{name}[/yellow]: {escape(detail)}", highlight=False)
    return 0 if replayer.verdicts["ACCEPTED"] else 1


if __name__ == "__main__":
    main()
