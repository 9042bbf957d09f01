"""`replay BAG`: sends the actions of a bag again, through controller and gate, in the simulator.

Chunks keep their rows and the time that lay between them; stamp, session and number are new, and
their source is SCRIPT. Those that moved nothing when they were recorded, by their verdicts, are
left out: sent by one source now, they would. The controller judges each as it judges any: another
robot's are refused. A bag without chunks, as an import leaves it, is replayed by what was
commanded.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import rclpy
from a1_msgs.msg import ActionChunk, ChunkVerdict
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args
from rich.console import Console
from rich.markup import escape

from a1_core.errors import A1Error, BagError
from a1_data.bag_files import BagFiles, find_bags
from a1_data.share import find_spec
from a1_recorder.export import recorded_spec
from a1_recorder.replayed import (
    Recorded,
    Recording,
    chunks_of_actions,
    holds_chunks,
    recorded_chunks,
)
from a1_ros.command_line import ends_in_one_line
from a1_ros.executor import make_executor
from a1_ros.guard import refuse_foreign_endpoints
from a1_ros.messages import uuid_to_msg
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns, ns_to_stamp

LAST_VERDICT_S = 1.0
READY_S = 10.0
VERDICTS = {
    getattr(ChunkVerdict, name): name
    for name in dir(ChunkVerdict)
    if name.isupper() and isinstance(getattr(ChunkVerdict, name), int)
}


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
    def missing(self) -> str:
        """What is not there yet that chunks need; empty when all is."""
        if node_now_ns(self) == 0:
            return "no time on /clock"
        return "" if self._publisher.get_subscription_count() else "no controller on a1/chunk"

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
        if self._began_ns is None and self.missing:
            return
        now_ns = node_now_ns(self)
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


def wait_ready(replayer: Replayer, patience_s: float = READY_S) -> None:
    """Until time passes and somebody listens: what is sent before is lost.

    Raises A1Error that says what is missing.
    """
    executor = make_executor(replayer.context)
    executor.add_node(replayer)
    end_s = time.monotonic() + patience_s
    while missing := replayer.missing:
        executor.spin_once(timeout_sec=0.1)
        if time.monotonic() > end_s:
            raise A1Error(
                f"{missing} within {patience_s:.0f} s; launch the simulator in this ROS_DOMAIN_ID"
            )
    executor.remove_node(replayer)


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
    parser.add_argument("bag", type=Path, help="one bag")
    parser.add_argument(
        "--action",
        choices=["chunks", "commanded", "measured"],
        help="what is sent: the chunks as they were, what the controller commanded, or where the "
        "robot was; chunks where the bag holds any, else commanded",
    )
    parser.add_argument(
        "--robot", default="", help="name of a robot spec, or its path; else as recorded"
    )
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:] if argv is None else argv)
    console = Console()
    left = "the controller brakes when its chunk runs out"
    with ends_in_one_line("replay", console, left=left):
        try:
            sys.exit(_replay(arguments, console))
        except ExternalShutdownException:
            raise KeyboardInterrupt from None


def recording_of(
    files: BagFiles, *, action: str | None = None, robot: str = ""
) -> tuple[Recording, str]:
    """What is sent, and its kind; `action` None is chunks where there are any, else commanded."""
    action = action or ("chunks" if holds_chunks(files) else "commanded")
    if action == "chunks":
        return recorded_chunks(files), action
    spec = find_spec(robot) if robot else recorded_spec([files.path])
    return chunks_of_actions(files, spec, measured=action == "measured"), action


def _replay(arguments: argparse.Namespace, console: Console) -> int:
    bags = find_bags(arguments.bag)
    if len(bags) != 1:
        raise BagError(f"{arguments.bag}: holds {len(bags)} bags; give one")
    recording, action = recording_of(bags[0], action=arguments.action, robot=arguments.robot)
    rclpy.init()
    replayer = Replayer(
        recording.chunks, parameter_overrides=[Parameter("use_sim_time", value=True)]
    )
    try:
        # On simulated time and on this machine alone: a real arm is never replayed to.
        refuse_foreign_endpoints(replayer, (), settle_s=0.0)
        wait_ready(replayer)
        run(replayer)
    finally:
        replayer.destroy_node()
        rclpy.try_shutdown()
    told = ", ".join(f"{count} {name}" for name, count in replayer.verdicts.items())
    made = "" if action == "chunks" else f" of what was {action}"
    console.print(
        f"{replayer.sent} chunks{made} sent: {told or 'nobody judged them'}", highlight=False
    )
    if recording.left_out:
        console.print(f"{recording.left_out} left out: they moved nothing when recorded")
    for name, detail in replayer.refused.items():
        console.print(f"[yellow]{name}[/yellow]: {escape(detail)}", highlight=False)
    return 0 if replayer.verdicts["ACCEPTED"] else 1


if __name__ == "__main__":
    main()
