"""What the recorder loses and costs, over real DDS, and what a kill leaves.

One process is the robot: 3 cameras of 640x480 at 30 Hz and joint states at 200 Hz, reliable
(--qos). Another is the recorder, a third a bare one beside it: the same raw subscriptions, whose
callbacks call rosbags' MCAP writer (zstd). First compressed images, then raw ones. Prints one JSON
line and writes out/bench/recorder.json. Takes about eight minutes; `--short` about one.

messages_sent, messages_dropped: of the recorder's episodes, by the counters in the messages' own
headers. cpu_over_bare_writer: CPU time of the recorder's process over that of the bare one while
both record; on raw images, and `_compressed` on compressed ones. kills, bags_unreadable, missing_*,
starved_share: see `_recorder_kills`. round_trip_*: bag to LeRobot data set to bag, see
`_round_trip`.
"""

import argparse
import json
import os
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
from _recorder_kills import kill_recorders
from _recorder_robot import (
    SPEC,
    be_robot,
    headers,
    hear_all,
    make_recorder,
    profile,
    streams,
    write_spec,
)
from _round_trip import round_trip
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from a1_core.spec import RobotSpec, load_spec
from a1_data.definitions import Definitions
from a1_recorder.subscriptions import message_class
from a1_ros.executor import make_executor

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/bench/recorder.json"
FULL = {"seconds": 300.0, "raw_seconds": 30.0, "kills": 100}
SHORT = {"seconds": 10.0, "raw_seconds": 5.0, "kills": 8}


def be_recorder(spec: RobotSpec, folder: Path, seconds: float) -> None:
    """Record one episode and print CPU seconds, messages dropped in the queue and the rest."""
    rclpy.init()
    node = make_recorder(spec, folder)
    executor = make_executor()
    executor.add_node(node)
    wanted = {topic.name for topic in streams(spec)}
    mine = [s for s in node._session.streams if s.topic.name in wanted]
    hear_all(executor, lambda: [s.received and s.single for s in mine])
    node._begin("pick up the cube", "bench")
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
            node.create_subscription(kind, topic.topic, hear, profile(topic), raw=True)
        executor = make_executor()
        executor.add_node(node)
        hear_all(executor, lambda: [counts[topic.name] for topic in streams(spec)])
        on = True
        until_s, before_s = time.monotonic() + seconds, time.process_time()
        while time.monotonic() < until_s:
            executor.spin_once(timeout_sec=0.05)
    print(json.dumps({"cpu_s": time.process_time() - before_s, "messages": sum(counts.values())}))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT} in place of {FULL}")
    parser.add_argument("--seconds", type=float, help="of compressed images")
    parser.add_argument("--raw-seconds", type=float, help="of raw images")
    parser.add_argument("--qos", choices=("sensor", "reliable"), default="reliable")
    parser.add_argument("--kills", type=int)
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
    for name, value in (SHORT if arguments.short else FULL).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    with tempfile.TemporaryDirectory() as directory:
        compressed = record(
            "compressed", arguments.qos, arguments.seconds, Path(directory) / "compressed"
        )
        raw = record("raw", arguments.qos, arguments.raw_seconds, Path(directory) / "raw")
        kills = kill_recorders(arguments.kills, Path(directory) / "kills")
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
        ("kills", kills.killed, "1"),
        ("bags_unreadable", kills.unreadable, "1"),
        ("missing_s_max", kills.missing_s, "s"),
        ("missing_of_taken_s_max", kills.missing_of_taken_s, "s"),
        ("starved_share", kills.starved_share, "1"),
        *((name, error, "1") for name, error in errors.items()),
    ]
    rows = [{"name": n, "value": round(float(v), 9), "unit": unit} for n, v, unit in figures]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print(json.dumps({"bench": "recorder", **{row["name"]: row["value"] for row in rows}}))


if __name__ == "__main__":
    main()
