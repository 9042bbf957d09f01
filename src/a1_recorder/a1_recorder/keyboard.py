"""`record`: one key an action, and a live line of what the recorder does.

space starts and stops an episode, s stops it as a success, f as a failure, d throws it away (the
last one where none is recorded), i types the next instruction, n types a note, q leaves.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import rclpy
from a1_msgs.srv import DiscardEpisode, LabelEpisode, StartRecording, StopRecording
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from a1_ros.executor import SpinThread, make_executor
from a1_ros.qos import RELIABLE

KEYS = "space start/stop  s success  f failure  d discard  i instruction  n note  q quit"
ANSWER_S = 30.0
POLL_S = 0.1
SILENT = "no recorder: is it launched, in this ROS_DOMAIN_ID and namespace?"


class Front(Node):
    """What the keys ask of the recorder, and what it says on /diagnostics."""

    def __init__(self, instruction: str, driver: str) -> None:
        super().__init__("record")
        self.instruction = instruction
        self.driver = driver
        self.message = ""
        self.recording: Mapping[str, str] = {}
        self.streams: Mapping[str, str] = {}
        self.problem = ""
        make = self.create_client
        self._asks = {
            StartRecording: make(StartRecording, "a1/start_recording"),
            StopRecording: make(StopRecording, "a1/stop_recording"),
            DiscardEpisode: make(DiscardEpisode, "a1/discard_episode"),
            LabelEpisode: make(LabelEpisode, "a1/label_episode"),
        }
        self.create_subscription(DiagnosticArray, "/diagnostics", self._hear, RELIABLE)

    @property
    def is_recording(self) -> bool:
        """As the recorder said last."""
        return self.recording.get("state") == "recording"

    def start_or_stop(self) -> None:
        """Space."""
        if self.is_recording:
            self.stop()
            return
        answer = self.ask(StartRecording, instruction=self.instruction, driver=self.driver)
        if answer is not None and answer.success:
            self.message = f"recording {answer.episode_id}"
            self.recording = {**self.recording, "state": "recording"}

    def stop(self) -> None:
        """Close the episode."""
        answer = self.ask(StopRecording)
        if answer is not None and answer.success:
            self.message = f"{answer.path}: {answer.duration_s:.1f} s, {answer.messages} messages"
            self.recording = {**self.recording, "state": "ready"}

    def judge(self, outcome: int) -> None:
        """s and f: label, and stop where an episode runs."""
        answer = self.ask(LabelEpisode, outcome=outcome)
        if answer is not None and answer.success:
            self.message = answer.message
            if self.is_recording:
                self.stop()

    def note(self, text: str) -> None:
        """n."""
        answer = self.ask(LabelEpisode, note=text)
        if answer is not None and answer.success:
            self.message = answer.message

    def discard(self) -> None:
        """d."""
        answer = self.ask(DiscardEpisode, reason="by keyboard")
        if answer is not None and answer.success:
            self.message = "discarded"
            self.recording = {**self.recording, "state": "ready"}

    def ask(self, kind: Any, **fields: Any) -> Any:
        """The answer, whose mistake becomes the message; None without one."""
        client = self._asks[kind]
        if not client.wait_for_service(timeout_sec=1.0):
            self.message = SILENT
            return None
        done = threading.Event()
        future = client.call_async(kind.Request(**fields))
        future.add_done_callback(lambda _: done.set())
        if not done.wait(ANSWER_S):
            self.message = f"no answer from the recorder within {ANSWER_S:.0f} s"
            return None
        answer = future.result()
        if not answer.success:
            self.message = answer.message
        return answer

    def _hear(self, msg: DiagnosticArray) -> None:
        name = self.resolve_topic_name("recorder")
        problems = []
        for status in msg.status:
            node, _, source = status.name.partition(": ")
            if node != name:
                continue
            values = {value.key: value.value for value in status.values}
            if source == "recording":
                self.recording = values
            elif source == "streams":
                self.streams = values
            if status.level != DiagnosticStatus.OK:
                problems.append(status.message)
            self.problem = "; ".join(problems)


def picture(front: Front) -> Group:
    """The live lines."""
    told = front.recording
    if not told:
        head = Text(front.problem or SILENT, style="yellow")
        return Group(head, Text(front.message), Text(KEYS, style="dim"))
    state = "[bold red]RECORDING[/]" if front.is_recording else "[green]ready[/]"
    head = Text.from_markup(
        f"{state}  {escape(told.get('episode', '-'))}  {told.get('length [s]', '0')} s  "
        f"{told.get('messages', '0')} messages  dropped {told.get('dropped', '0')}  "
        f"lost {told.get('lost on the way', '0')}  disk {told.get('disk left [GB]', '?')} GB  "
        f"waiting {told.get('waiting for the disk [MB]', '0')} MB"
    )
    lines: list[Any] = [head, Text(f"next: {front.instruction or '(no instruction)'}")]
    lines.append(_rates(front.streams))
    if front.problem:
        lines.append(Text(front.problem, style="yellow"))
    return Group(*lines, Text(front.message), Text(KEYS, style="dim"))


def _rates(streams: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", overflow="fold")
    for heading in ("Hz", "dropped", "lost"):
        table.add_column(heading, justify="right")
    suffix = " rate [Hz]"
    for key, rate in streams.items():
        name = key.removesuffix(suffix)
        if key.endswith(suffix) and float(rate) > 0:
            table.add_row(name, rate, streams[f"{name} dropped"], streams[f"{name} lost"])
    return table


@contextmanager
def single_keys() -> Iterator[None]:
    """Keys arrive one by one, unechoed; Control-C stays what it is."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def typed(console: Console, live: Live, question: str) -> str:
    """A line of text from the terminal, the live lines put aside meanwhile."""
    live.stop()
    settings = termios.tcgetattr(sys.stdin)
    settings[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)
    try:
        return console.input(question).strip()
    except EOFError:
        return ""
    finally:
        tty.setcbreak(sys.stdin)
        live.start()


def serve(front: Front, console: Console) -> None:
    """Until q."""
    with single_keys(), Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(picture(front), refresh=True)
            if not select.select([sys.stdin], [], [], POLL_S)[0]:
                continue
            # Past Python's buffer, which `select` does not see.
            key = os.read(sys.stdin.fileno(), 1).decode("ascii", "replace")
            if key in ("q", ""):
                return
            if key == "i":
                front.instruction = typed(console, live, "next instruction: ")
            elif key == "n":
                front.note(typed(console, live, "note: "))
            else:
                press(front, key)


def press(front: Front, key: str) -> None:
    """A key that needs no typing; others do nothing."""
    actions = {
        " ": front.start_or_stop,
        "s": lambda: front.judge(LabelEpisode.Request.SUCCESS),
        "f": lambda: front.judge(LabelEpisode.Request.FAILURE),
        "d": front.discard,
    }
    if key in actions:
        actions[key]()


def main(argv: Sequence[str] | None = None) -> None:
    """Exit status 1 without a terminal."""
    parser = argparse.ArgumentParser(prog="record", description=__doc__)
    parser.add_argument("instruction", nargs="?", default="", help="what to do in each episode")
    parser.add_argument("--driver", default="", help="who or what drives, e.g. teleop, policy")
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:] if argv is None else argv)
    console = Console()
    if not sys.stdin.isatty():
        console.print("record: needs a terminal; without one use the services, see the manual")
        sys.exit(1)
    rclpy.init()
    front = Front(arguments.instruction, arguments.driver)
    executor = make_executor()
    executor.add_node(front)
    spinning = SpinThread(executor)
    try:
        serve(front, console)
    except KeyboardInterrupt:
        console.print("left; an episode that is being recorded goes on")
    finally:
        spinning.stop()
        front.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
