"""Recorded chunks, sent again on simulated time."""

import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rclpy
from a1_msgs.msg import ActionChunk, ChunkVerdict
from builtin_interfaces.msg import Duration
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from waiting import wait_for

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from bag_rig import write_bag, write_spec
from lerobot_rig import Commanded, export

from a1_core.chunk import absolute_rows
from a1_core.errors import BagError
from a1_core.spec import load_spec
from a1_data.bag_files import find_bags
from a1_data.definitions import Definitions
from a1_recorder.bag_writer import BagWriter
from a1_recorder.replay import Replayer, main, recording_of
from a1_recorder.replayed import recorded_chunks
from a1_ros.messages import msg_to_chunk
from a1_ros.qos import RELIABLE
from a1_ros.times import ns_to_stamp, stamp_to_ns

MS = 1_000_000
START = 1_700_000_000_000 * MS


def write_chunks(path, count: int = 4, refused: Mapping[int, int] | None = None):
    """A chunk every 100 ms, each 30 ms after its observation; codes of `refused` by place."""
    bag = BagWriter(path, {})
    bag.add_channel("/a1/chunk", Definitions().of("a1_msgs/msg/ActionChunk"))
    bag.add_channel("/a1/chunk_verdict", Definitions().of("a1_msgs/msg/ChunkVerdict"))
    for k in range(count):
        chunk = ActionChunk(seq=70 + k, robot="franka", horizon=1, dim=2, data=[float(k), 0.5])
        chunk.valid_for = Duration(sec=1)
        received_ns = START + k * 100 * MS
        chunk.header.stamp = ns_to_stamp(received_ns - 30 * MS)
        bag.write(0, received_ns, received_ns, bytes(serialize_message(chunk)))
        verdict = ChunkVerdict(seq=70 + k, code=(refused or {}).get(k, ChunkVerdict.ACCEPTED))
        bag.write(1, received_ns, received_ns, bytes(serialize_message(verdict)))
    return bag.finish({})


def test_chunks_keep_rows_delay_and_distance_and_are_judged(ros, tmp_path):
    (files,) = find_bags(write_chunks(tmp_path / "bag"))
    heard = []
    other = ros.add(rclpy.create_node("controller", use_global_arguments=False))
    clock = other.create_publisher(Clock, "/clock", RELIABLE)
    verdicts = other.create_publisher(ChunkVerdict, "a1/chunk_verdict", RELIABLE)
    now = {"ns": 5_000 * MS}

    def judge(chunk) -> None:
        heard.append((now["ns"], chunk))
        code = ChunkVerdict.ACCEPTED if chunk.seq < 4 else ChunkVerdict.LIMIT
        verdicts.publish(
            ChunkVerdict(session_id=chunk.session_id, seq=chunk.seq, code=code, detail="joint 1")
        )

    def tick() -> None:
        now["ns"] += 10 * MS
        clock.publish(Clock(clock=ns_to_stamp(now["ns"])))

    other.create_subscription(ActionChunk, "a1/chunk", judge, RELIABLE)
    replayer = ros.add(
        Replayer(
            recorded_chunks(files).chunks,
            use_global_arguments=False,
            parameter_overrides=[Parameter("use_sim_time", value=True)],
        )
    )
    assert wait_for(
        lambda: replayer.count_subscribers("a1/chunk") and other.count_subscribers("/clock")
    )
    other.create_timer(0.01, tick)
    assert wait_for(lambda: replayer.done)
    assert [chunk.seq for _, chunk in heard] == [1, 2, 3, 4]
    assert [list(chunk.data) for _, chunk in heard] == [[float(k), 0.5] for k in range(4)]
    assert len({bytes(chunk.session_id.uuid) for _, chunk in heard}) == 1
    stamps = [stamp_to_ns(chunk.header.stamp) for _, chunk in heard]
    for before, after in pairwise(stamps):
        assert 60 * MS <= after - before <= 140 * MS
    for at_ns, chunk in heard:
        assert 20 * MS <= at_ns - stamp_to_ns(chunk.header.stamp) <= 70 * MS
        assert chunk.source == ActionChunk.SOURCE_SCRIPT
    assert replayer.verdicts == {"ACCEPTED": 3, "LIMIT": 1}
    assert replayer.refused == {"LIMIT": "joint 1"}


def test_what_moved_nothing_is_not_sent(tmp_path):
    codes = {1: ChunkVerdict.NOT_SOURCE, 3: ChunkVerdict.SHADOW}
    (files,) = find_bags(write_chunks(tmp_path / "bag", refused=codes))
    recording = recorded_chunks(files)
    assert [each.chunk.seq for each in recording.chunks] == [70, 72]
    assert recording.left_out == 2
    codes = dict.fromkeys(range(4), ChunkVerdict.SHADOW)
    (files,) = find_bags(write_chunks(tmp_path / "shadow", refused=codes))
    with pytest.raises(BagError, match="none of its 4 chunks was accepted"):
        recorded_chunks(files)


def test_what_was_simulated_is_as_far_apart_as_its_stamps(tmp_path):
    bag = BagWriter(tmp_path / "bag", {})
    bag.add_channel("/a1/chunk", Definitions().of("a1_msgs/msg/ActionChunk"))
    for k in range(3):
        chunk = ActionChunk(seq=k, valid_for=Duration(sec=1))
        chunk.header.stamp = ns_to_stamp((7_000 + k * 300) * MS)
        # The simulation was three times as slow as the recorder's clock.
        received_ns = START + k * 900 * MS
        bag.write(0, received_ns, received_ns, bytes(serialize_message(chunk)))
    (files,) = find_bags(bag.finish({}))
    chunks = recorded_chunks(files).chunks
    assert [(each.due_ns - chunks[0].due_ns) // MS for each in chunks] == [0, 300, 600]
    assert {each.delay_ns for each in chunks} == {0}


def test_a_bag_without_chunks_is_named(tmp_path):
    bag = BagWriter(tmp_path / "bag", {})
    bag.add_channel("/said", Definitions().of("std_msgs/msg/String"))
    bag.write(0, 1, 1, bytes(8))
    (files,) = find_bags(bag.finish({}))
    with pytest.raises(BagError, match="give --action commanded"):
        recorded_chunks(files)


def test_a_bag_without_chunks_is_replayed_by_what_was_commanded(tmp_path):
    spec = load_spec(write_spec(tmp_path / "quick.yaml"))
    run = Commanded(spec, size=(48, 64)).record()
    write_bag(tmp_path / "bags/bag", run.messages, instruction="do it")
    (plan,) = export(tmp_path / "set", tmp_path / "bags", spec)
    (files,) = find_bags(tmp_path / "bags")
    recording, action = recording_of(files, robot=str(spec.path))
    assert action == "commanded"
    assert len(recording.chunks) == -(-plan.frames // 3) >= 6
    for number, sent in enumerate(recording.chunks):
        place = 3 * number
        assert sent.due_ns == plan.stamps_T[place]
        chunk = msg_to_chunk(sent.chunk)
        assert (chunk.robot, chunk.spec_digest) == (spec.robot, spec.digest)
        rows_HD = absolute_rows(chunk, plan.state_TD[place].astype(float))
        wanted_HD = plan.action_TD[place : place + spec.policy.horizon]
        np.testing.assert_allclose(rows_HD[: len(wanted_HD)], wanted_HD, atol=1e-6)
        beyond_HD = rows_HD[len(wanted_HD) :] - wanted_HD[-1]
        assert np.abs(beyond_HD).max(initial=0.0) < 1e-6
    # Where nobody told what was commanded, where the robot was has to be asked for.
    silent = run.without("/a1/controller_state").messages
    write_bag(tmp_path / "silent/bag", silent, instruction="do it")
    (files,) = find_bags(tmp_path / "silent")
    with pytest.raises(BagError, match="NO_COMMAND"):
        recording_of(files, robot=str(spec.path))
    measured, _ = recording_of(files, robot=str(spec.path), action="measured")
    first = msg_to_chunk(measured.chunks[0].chunk)
    rows_HD = absolute_rows(first, plan.state_TD[0].astype(float))
    np.testing.assert_allclose(rows_HD[:5], plan.state_TD[1:6], atol=1e-6)


def test_nothing_is_sent_before_somebody_listens(ros, tmp_path):
    (files,) = find_bags(write_chunks(tmp_path / "bag"))
    replayer = ros.add(
        Replayer(
            recorded_chunks(files).chunks,
            use_global_arguments=False,
            parameter_overrides=[Parameter("use_sim_time", value=True)],
        )
    )
    assert replayer.missing == "no time on /clock"
    other = ros.add(rclpy.create_node("controller", use_global_arguments=False))
    clock = other.create_publisher(Clock, "/clock", RELIABLE)
    now = {"ns": 5_000 * MS}

    def tick() -> None:
        now["ns"] += 10 * MS
        clock.publish(Clock(clock=ns_to_stamp(now["ns"])))

    other.create_timer(0.01, tick)
    assert wait_for(lambda: replayer.missing == "no controller on a1/chunk")
    begun_ns = now["ns"]
    assert wait_for(lambda: now["ns"] > begun_ns + 500 * MS)
    assert replayer.sent == 0
    heard = []
    other.create_subscription(ActionChunk, "a1/chunk", heard.append, RELIABLE)
    assert wait_for(lambda: replayer.all_sent and len(heard) == 4)
    assert [chunk.seq for chunk in heard] == [1, 2, 3, 4]


def test_it_refuses_to_reach_beyond_this_machine(tmp_path, monkeypatch, capsys):
    write_chunks(tmp_path / "bag")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    with pytest.raises(SystemExit) as exit_info:
        main([str(tmp_path / "bag")])
    assert exit_info.value.code == 1
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" in capsys.readouterr().out
