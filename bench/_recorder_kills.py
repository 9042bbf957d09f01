"""Recorders killed (SIGKILL) at random moments, for bench/recorder.py: what is left of their bags.

A few record at a time what one robot sends, and are killed at the same instant, the robot after
them: middleware that still sends to the dead holds up the living, which would be measured instead.

killed, unreadable: recorders, and bags of them that `a1_data` gives no observation of. missing_s:
longest time from when the first message was sent that a bag lacks at its end to the kill.
missing_of_taken_s: the same, of messages that the middleware had handed to the recorder before the
kill: the rest never reached it. starved_share: of the time that the recorders' threads could have
run, how much they waited for a CPU (/proc/PID/task/*/schedstat); near 1 the machine had none left,
and what is missing says so.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from _recorder_robot import (
    be_robot,
    headers,
    hear_all,
    make_recorder,
    missing_since,
    sent_file,
    stamp_and_counter,
    streams,
    write_spec,
)

from a1_core.errors import BagError
from a1_core.spec import RobotSpec
from a1_data.reader import ReadSettings, open_bags
from a1_recorder.session import Session, left_drafts
from a1_ros.executor import make_executor

AT_ONCE = 4
PATIENCE_S = 120.0
LONGEST_S = 3.0


@dataclass(kw_only=True)
class Kills:
    """See the module."""

    killed: int = 0
    unreadable: int = 0
    missing_s: float = 0.0
    missing_of_taken_s: float = 0.0
    ran_ns: int = 0
    waited_ns: int = 0

    @property
    def starved_share(self) -> float:
        """0 .. 1."""
        return self.waited_ns / max(self.ran_ns + self.waited_ns, 1)


def kill_recorders(kills: int, folder: Path) -> Kills:
    """Kill so many; forks, so that imports are paid once."""
    folder.mkdir()
    told, rng = Kills(), random.Random(0)
    for begin in range(0, kills, AT_ONCE):
        group = folder / f"group{begin}"
        group.mkdir()
        spec = write_spec(group / "spec.yaml", "compressed", "reliable")
        _kill_group(spec, group, min(AT_ONCE, kills - begin), rng.uniform(0.0, LONGEST_S), told)
        shutil.rmtree(group)
    return told


def _kill_group(spec: RobotSpec, folder: Path, count: int, after_s: float, told: Kills) -> None:
    topics = [topic.name for topic in streams(spec)]
    robot = _fork(lambda: be_robot(spec, "compressed"))
    children: dict[Path, int] = {}
    try:
        _wait(lambda: all(_sends(folder, topic) for topic in topics), "the robot sends nothing")
        for number in range(count):
            bags = folder / f"bags{number}"
            bags.mkdir()
            children[bags] = _fork(lambda bags=bags: _be_recorder(spec, bags))
        _wait(
            lambda: all((bags / "recording").exists() for bags in children),
            "a recorder heard nothing",
        )
        # Those that began first have recorded for longer: no two die at the same age.
        time.sleep(after_s)
        for child in children.values():
            _note_waiting(child, told)
        killed_ns = time.time_ns()
    finally:
        for child in (*children.values(), robot):
            os.kill(child, signal.SIGKILL)
        for child in (*children.values(), robot):
            os.waitpid(child, 0)
    for bags in children:
        _look(bags, spec, topics, killed_ns, told)


def _look(bags: Path, spec: RobotSpec, topics: list[str], killed_ns: int, told: Kills) -> None:
    began_ns = (bags / "recording").stat().st_mtime_ns
    (draft,) = left_drafts(bags)
    good, found = _read(draft, spec, set(topics))
    told.killed += 1
    # What was killed within its first second may hold nothing yet.
    told.unreadable += good is None or (not good and killed_ns - began_ns > 1_000_000_000)
    taken = np.fromfile(bags / "taken", "<i8")
    for number, topic in enumerate(topics):
        newest = found[topic][-1][1] if found.get(topic) else None
        since_ns = missing_since(bags.parent, topic, newest, began_ns)
        missing_s = (killed_ns - since_ns) / 1e9
        told.missing_s = max(told.missing_s, missing_s)
        if taken[number] > (-1 if newest is None else newest):
            told.missing_of_taken_s = max(told.missing_of_taken_s, missing_s)


def _read(draft: Path, spec: RobotSpec, topics: set[str]) -> tuple[bool | None, dict]:
    """Whether a bag gives an observation, None where it cannot be opened; and its headers."""
    try:
        (bag,) = open_bags(draft, spec, ReadSettings())
        return any(True for _ in bag.frames()), headers(draft, topics)
    except BagError as error:
        print(f"{draft}: {error}", file=sys.stderr)
        return None, {}


def _be_recorder(spec: RobotSpec, folder: Path) -> None:
    """Record until the end; folder/taken holds the number of the newest message by topic."""
    rclpy.init()
    node = make_recorder(spec, folder)
    executor = make_executor()
    executor.add_node(node)
    session = node._session
    wanted = {topic.name for topic in streams(spec)}
    mine = [stream for stream in session.streams if stream.topic.name in wanted]
    hear_all(executor, lambda: [stream.received for stream in mine])
    _note_taken(session, folder / "taken", [topic.name for topic in streams(spec)])
    node._begin("pick up the cube", "bench")
    (folder / "recording").touch()
    executor.spin()


def _note_taken(session: Session, path: Path, topics: list[str]) -> None:
    """Keep the newest number by topic in a file that is mapped: it survives a kill."""
    newest = np.memmap(path, "<i8", "w+", shape=(len(topics),))
    newest[:] = -1
    place = {
        number: topics.index(stream.topic.name)
        for number, stream in enumerate(session.streams)
        if stream.topic.name in topics
    }
    hear = session.hear

    def noted(number: int, data: bytes, *rest) -> None:
        if number in place:
            newest[place[number]] = stamp_and_counter(data)[1]
        hear(number, data, *rest)

    session.hear = noted


def _note_waiting(child: int, told: Kills) -> None:
    for task in Path(f"/proc/{child}/task").iterdir():
        ran_ns, waited_ns, _ = map(int, (task / "schedstat").read_text().split())
        told.ran_ns += ran_ns
        told.waited_ns += waited_ns


def _sends(folder: Path, topic: str) -> bool:
    path = sent_file(folder, topic)
    return path.exists() and path.stat().st_size > 0


def _wait(until: Callable[[], bool], otherwise: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > end_s:
            raise SystemExit(f"{otherwise} within {PATIENCE_S:.0f} s")
        time.sleep(0.01)


def _fork(run: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    # Whatever happens in the child must not go on in its parent's frames.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        run()
    finally:
        os._exit(1)
