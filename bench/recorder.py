"""What the recorder loses and costs, over real DDS, and what a kill leaves.

One process is the robot: 3 cameras of 640x480 at 30 Hz and joint states at 200 Hz, reliable
(--qos). Another is the recorder, a third a bare one beside it: the same raw subscriptions, whose
callbacks call rosbags' MCAP writer (zstd). First compressed images, then raw ones. Prints one JSON
line and writes out/bench/recorder.json.

messages_sent, messages_dropped: of the recorder's episodes, by the counters in the messages' own
headers. cpu_over_bare_writer: CPU time of the recorder's process over that of the bare one while
both record; on raw images, and `_compressed` on compressed ones. kills, bags_unreadable,
missing_s_max: recorders killed (SIGKILL) at random moments, bags of them that `a1_data` gives no
observation of, and the longest time between the first message that was sent and is not in a bag and
its recorder's end. round_trip_*: bag to LeRobot data set to bag, see `_round_trip`.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from a1_ros.domain import own_domain

os.environ.setdefault("ROS_DOMAIN_ID", str(own_domain()))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import rclpy
from _recorder_robot import (
    COUNTER,
    HEADER,
    SPEC,
    be_robot,
    missing_since,
    profile,
    sent_file,
    streams,
    write_spec,
)
from _round_trip import round_trip
from rclpy.parameter import Parameter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from a1_core.errors import BagError
from a1_core.spec import RobotSpec, load_spec
from a1_data.bag_files import find_bags
from a1_data.definitions import Definitions
from a1_data.reader import ReadSettings, open_bags
from a1_data.storage import look, read
from a1_recorder.node import RecorderNode
from a1_recorder.session import left_drafts
from a1_recorder.subscriptions import message_class
from a1_ros.executor import make_executor

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/bench/recorder.json"
AT_ONCE = 4
PATIENCE_S = 30.0


def make_recorder(spec: RobotSpec, folder: Path) -> RecorderNode:
    values = {"robot": str(spec.path), "folder": str(folder), "reserve_mb": 0}
    node = RecorderNode(parameter_overrides=[Parameter(n, value=v) for n, v in values.items()])
    node.trigger_configure()
    node.trigger_activate()
    return node


def hear_all(executor, counts) -> None:
    """Spin until every one of `counts()` is more than nothing."""
    while not all(counts()):
        executor.spin_once(timeout_sec=0.1)


def be_recorder(spec: RobotSpec, folder: Path, seconds: float, ready: Path | None = None) -> None:
    """Record one episode and print CPU seconds, messages dropped in the queue and the rest."""
    rclpy.init()
    node = make_recorder(spec, folder)
    executor = make_executor()
    executor.add_node(node)
    wanted = {topic.name for topic in streams(spec)}
    mine = [s for s in node._session.streams if s.topic.name in wanted]
    hear_all(executor, lambda: [s.received and s.single for s in mine])
    node._begin("pick up the cube", "bench")
    if ready is not None:
        ready.touch()
    until_s, before_s = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < until_s:
        executor.spin_once(timeout_sec=0.05)
    node.trigger_deactivate()
    cpu_s = time.process_time() - before_s
    told = {"queue_drops": sum(s.dropped for s in mine), "lost": sum(s.lost for s in mine)}
    print(json.dumps({"cpu_s": cpu_s, **told}))


def be_bare(spec: RobotSpec, folder: Path, seconds: float) -> None:
    """The shortest recorder there is: raw subscriptions into rosbags' writer."""
    rclpy.init()
    node = rclpy.create_node("bare")
    definitions = Definitions()
    counts: dict[str, int] = defaultdict(int)
    on = False
    bag = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with bag as writer:
        for topic in streams(spec):
            told = definitions.of(topic.msgtype)
            connection = writer.add_connection(
                topic.name, topic.msgtype, msgdef=told.text, rihs01=told.digest
            )

            def hear(data: bytes, connection=connection) -> None:
                counts[connection.topic] += 1
                if on:
                    writer.write(connection, time.time_ns(), data)

            kind = message_class(topic.msgtype)
            node.create_subscription(kind, topic.topic, hear, profile(topic.qos), raw=True)
        executor = make_executor()
        executor.add_node(node)
        hear_all(executor, lambda: [counts[topic.name] for topic in streams(spec)])
        on = True
        until_s, before_s = time.monotonic() + seconds, time.process_time()
        while time.monotonic() < until_s:
            executor.spin_once(timeout_sec=0.05)
    print(json.dumps({"cpu_s": time.process_time() - before_s, "messages": sum(counts.values())}))


def headers(path: Path, wanted: set[str]) -> dict[str, list[tuple[int, int]]]:
    """Stamp (ns) and counter of every message in a bag, by topic."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    (files,) = find_bags(path)
    for file in files.files:
        for raw in read(file, look(file, files.findings), wanted, files.findings):
            sec, nanosec, _ = HEADER.unpack_from(raw.data, 4)
            count = int(raw.data[16 : 16 + COUNTER])
            found[raw.channel.topic].append((sec * 1_000_000_000 + nanosec, count))
    return found


def start(mode: str, kind: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, __file__, "--mode", mode, "--kind", kind, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def record(kind: str, qos: str, seconds: float, folder: Path) -> dict[str, float]:
    """One recording beside a bare one."""
    folder.mkdir()
    spec = write_spec(folder / "spec.yaml", kind, qos)
    common = ("--folder", folder, "--seconds", seconds)
    robot = start("robot", kind, *common)
    try:
        ours, bare = start("recorder", kind, *common), start("bare", kind, *common)
        answers = [json.loads(p.communicate()[0].splitlines()[-1]) for p in (ours, bare)]
    finally:
        robot.kill()
        robot.wait()
    (path,) = (folder / "ours").iterdir()
    sent = dropped = 0
    for topic, found in headers(path, {topic.name for topic in streams(spec)}).items():
        counters = [count for _, count in found]
        span = counters[-1] - counters[0] + 1
        print(f"{kind} {topic}: {len(counters)} of {span}", file=sys.stderr)
        sent += span
        dropped += span - len(set(counters))
    return {
        "sent": sent,
        "dropped": dropped,
        "queue_drops": answers[0]["queue_drops"],
        "lost": answers[0]["lost"],
        "cpu_s": answers[0]["cpu_s"],
        "bare_cpu_s": answers[1]["cpu_s"],
        "size": sum(p.stat().st_size for p in path.iterdir()),
    }


def kill_recorders(kills: int, folder: Path) -> tuple[int, int, float]:
    """Recorders killed, unreadable bags, longest time missing (s). Forks: imports are paid once."""
    folder.mkdir()
    spec = write_spec(folder / "spec.yaml", "compressed", "reliable")
    wanted = {topic.name for topic in streams(spec)}
    robot = start("robot", "compressed", "--folder", folder)
    killed, unreadable, missing_s = 0, 0, 0.0
    rng = random.Random(0)
    try:
        wait_for_robot(robot, folder, wanted)
        for begin in range(0, kills, AT_ONCE):
            folders = [folder / f"bag{k}" for k in range(begin, min(kills, begin + AT_ONCE))]
            children = [(fork_recorder(spec, path), path) for path in folders]
            ends = [end_of(child, path, rng.uniform(0.0, 1.5)) for child, path in children]
            for path, end in zip(folders, ends, strict=True):
                if end is None:
                    print(f"{path}: heard nothing within {PATIENCE_S} s", file=sys.stderr)
                    continue
                began_ns, killed_ns = end
                killed += 1
                (draft,) = left_drafts(path)
                good, found = look_at(draft, spec, wanted)
                late = killed_ns - began_ns > 1_000_000_000
                # What was killed within its first second may hold nothing yet.
                unreadable += good is None or (late and not good)
                for topic in wanted:
                    newest = found[topic][-1][1] if found.get(topic) else None
                    since_ns = missing_since(folder, topic, newest, began_ns)
                    missing_s = max(missing_s, (killed_ns - since_ns) / 1e9)
                shutil.rmtree(path)
    finally:
        robot.kill()
        robot.wait()
    return killed, unreadable, missing_s


def wait_for_robot(robot: subprocess.Popen, folder: Path, topics: set[str]) -> None:
    """Wait until it sends on all topics, so that no recorder waits for its start."""
    files = [sent_file(folder, topic) for topic in topics]
    while not all(file.exists() and file.stat().st_size for file in files):
        if robot.poll() is not None:
            raise SystemExit(f"the robot ended with {robot.returncode}; its output says why")
        time.sleep(0.05)


def end_of(child: int, folder: Path, after_s: float) -> tuple[int, int] | None:
    """Kill a recorder some time after it records; when it began and when it ended (ns).

    One that hears nothing within PATIENCE_S is no measurement: None.
    """
    until_s = time.monotonic() + PATIENCE_S
    ready = folder / "ready"
    while not ready.exists() and time.monotonic() < until_s:
        time.sleep(0.01)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    killed_ns = time.time_ns()
    os.waitpid(child, 0)
    return (ready.stat().st_mtime_ns, killed_ns) if ready.exists() else None


def look_at(draft: Path, spec: RobotSpec, wanted: set[str]) -> tuple[bool | None, dict]:
    """Whether a bag gives an observation, None where it cannot be opened; and its headers."""
    try:
        (bag,) = open_bags(draft, spec, ReadSettings())
        return any(True for _ in bag.frames()), headers(draft, wanted)
    except BagError as error:
        print(f"{draft}: {error}", file=sys.stderr)
        return None, {}


def fork_recorder(spec: RobotSpec, folder: Path) -> int:
    """A recorder in a process of its own; folder/ready is there once it records."""
    folder.mkdir()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        be_recorder(spec, folder, 3600.0, folder / "ready")
        os._exit(0)
    return child


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of compressed images")
    parser.add_argument("--raw-seconds", type=float, default=5.0, help="of raw images")
    parser.add_argument("--qos", choices=("sensor", "reliable"), default="reliable")
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--trip-seconds", type=float, default=5.0, help="of the round trip")
    parser.add_argument("--mode", choices=("robot", "recorder", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode:
        spec = load_spec(arguments.folder / "spec.yaml")
        if arguments.mode == "robot":
            be_robot(spec, arguments.kind)
        elif arguments.mode == "recorder":
            be_recorder(spec, arguments.folder / "ours", arguments.seconds)
        else:
            be_bare(spec, arguments.folder / "bare", arguments.seconds)
        return
    with tempfile.TemporaryDirectory() as directory:
        compressed = record(
            "compressed", arguments.qos, arguments.seconds, Path(directory) / "compressed"
        )
        raw = record("raw", arguments.qos, arguments.raw_seconds, Path(directory) / "raw")
        killed, unreadable, missing_s = kill_recorders(arguments.kills, Path(directory) / "kills")
        errors = round_trip(load_spec(SPEC), Path(directory) / "round_trip", arguments.trip_seconds)
    figures = [
        ("messages_sent", compressed["sent"] + raw["sent"], "1"),
        ("messages_dropped", compressed["dropped"] + raw["dropped"], "1"),
        ("messages_dropped_raw", raw["dropped"], "1"),
        ("queue_drops", compressed["queue_drops"] + raw["queue_drops"], "1"),
        ("lost_on_the_way", compressed["lost"] + raw["lost"], "1"),
        ("cpu_over_bare_writer", raw["cpu_s"] / raw["bare_cpu_s"], "1"),
        ("cpu_over_bare_writer_compressed", compressed["cpu_s"] / compressed["bare_cpu_s"], "1"),
        ("cpu_share_raw", raw["cpu_s"] / arguments.raw_seconds, "1"),
        ("cpu_share_compressed", compressed["cpu_s"] / arguments.seconds, "1"),
        ("kills", killed, "1"),
        ("bags_unreadable", unreadable, "1"),
        ("missing_s_max", missing_s, "s"),
        *((name, error, "1") for name, error in errors.items()),
    ]
    rows = [{"name": n, "value": round(float(v), 9), "unit": unit} for n, v, unit in figures]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print(json.dumps({"bench": "recorder", **{row["name"]: row["value"] for row in rows}}))


if __name__ == "__main__":
    main()
