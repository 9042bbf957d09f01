"""`replay BAG`: sends the chunks of a bag again, through controller and gate, in the simulator.

Chunks keep their rows and the time that lay between them; stamp, session and number are new, and
their source is SCRIPT. The controller judges each as it judges any: another robot's are refused.
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
INTERRUPTED = 130
LAST_VERDICT_S = 1.0
VERDICTS = {
    getattr(ChunkVerdict, name): name
    for name in dir(ChunkVerdict)
    if name.isupper() and isinstance(getattr(ChunkVerdict, name), int)
}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A chunk, when it was received, and how long after its observation (ns)."""

    received_ns: int
    delay_ns: int
    chunk: ActionChunk


def recorded_chunks(files: BagFiles) -> list[Recorded]:
    """All chunks of a bag in the order of their receipt; BagError where it holds none.

    Where the bag's times of receipt are on another clock than its stamps the delay is unknown, and
    0 here.
    """
    found = []
    for file in files.files:
        for raw in read(file, look(file, files.findings), {CHUNK_TOPIC}, files.findings):
            if raw.channel.msgtype == CHUNK:
                chunk = deserialize_message(bytes(raw.data), ActionChunk)
                valid_ns = stamp_to_ns(chunk.valid_for)
                delay_ns = raw.received_ns - stamp_to_ns(chunk.header.stamp)
                same_clock = 0 <= delay_ns <= valid_ns
                found.append(
                    Recorded(
                        received_ns=raw.received_ns,
                        delay_ns=delay_ns if same_clock else 0,
                        chunk=chunk,
                    )
                )
    if not found:
        raise BagError(f"{files.path}: holds no {CHUNK} on {CHUNK_TOPIC}; nothing can be replayed")
    return found


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
            if recorded.received_ns - self._chunks[0].received_ns > elapsed_ns:
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
    chunks = recorded_chunks(bags[0])
    rclpy.init()
    replayer = Replayer(chunks, parameter_overrides=[Parameter("use_sim_time", value=True)])
    try:
        # On simulated time and on this machine alone: a real arm is never replayed to.
        refuse_foreign_endpoints(replayer, (), settle_s=0.0)
        run(replayer)
    finally:
        replayer.destroy_node()
        rclpy.try_shutdown()
    told = ", ".join(f"{count} {name}" for name, count in replayer.verdicts.items())
    console.print(f"{replayer.sent} chunks sent: {told or 'nobody judged them'}", highlight=False)
    for name, detail in replayer.refused.items():
        console.print(f"[yellow]{name}[/yellow]: {escape(detail)}", highlight=False)
    return 0 if replayer.verdicts["ACCEPTED"] else 1


if __name__ == "__main__":
    main()
