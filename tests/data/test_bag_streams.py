"""Streams that are not as they should be: what is dropped, refused and named."""

import numpy as np
import pytest
from bag_rig import (
    COMPRESSED,
    IMAGE,
    JOINTS,
    MS,
    START,
    Run,
    S,
    assert_same,
    codes,
    header,
    image,
    joints,
    jpeg,
    live,
    make,
    read,
    write_bag,
    write_spec,
)

from a1_core.spec import load_spec


@pytest.fixture
def fresh(spec) -> Run:
    """Two seconds of a robot, for tests that change something."""
    return Run(spec).record()


@pytest.fixture
def account(bag_path):
    """`account(run)`: frames, and streams of the report by the last part of their topics."""

    def account(run, **settings):
        frames, bag = read(write_bag(bag_path, run.messages), run.spec, **settings)
        return frames, bag, {stream.topic: stream for stream in bag.report.streams}

    return account


@pytest.mark.parametrize("index", range(4))
def test_a_missing_topic_is_named_with_its_mend(spec, run, bag_path, index):
    stream = [*spec.state_sources, *spec.cameras][index]
    field = f"state_sources[{index}]" if index < 2 else f"cameras[{index - 2}]"
    frames, bag = read(write_bag(bag_path, run.without(stream.topic).messages), spec)
    assert frames == []
    assert bag.missing == (stream.topic,)
    (finding,) = bag.findings
    assert (finding.code, finding.where) == ("TOPIC_MISSING", stream.topic)
    assert f"{spec.path}: {field}.topic" in finding.mend
    assert "which has /" in finding.what, "topics of the same type are named"


def test_a_compressed_topic_beside_the_missing_raw_one_is_pointed_at(spec, run, bag_path):
    front = spec.cameras[0].topic
    other = run.without(front)
    for message in run.of(front):
        stamp = message.received_ns
        pixels = np.zeros((8, 8, 3), np.uint8)
        other.add(f"{front}/compressed", COMPRESSED, stamp, jpeg(stamp, pixels))
    other.messages.sort(key=lambda message: message.received_ns)
    _, bag = read(write_bag(bag_path, other.messages), spec)
    (finding,) = bag.findings
    assert finding.mend.endswith(f"cameras[0] to topic {front}/compressed, type compressed")


@pytest.mark.parametrize("kind", ["raw", "compressed"])
def test_a_camera_of_the_other_type_is_named_with_its_mend(tmp_path, bag_path, kind):
    recorded = load_spec(write_spec(tmp_path / "recorded.yaml", type=kind))
    wanted = "raw" if kind == "compressed" else "compressed"
    run = Run(recorded, seconds=0.5).record()
    spec = load_spec(write_spec(tmp_path / "wanted.yaml", type=wanted))
    frames, bag = read(write_bag(bag_path, run.messages), spec)
    assert frames == []
    assert codes(bag) == ["WRONG_TYPE", "WRONG_TYPE"]
    assert bag.missing == tuple(camera.topic for camera in spec.cameras)
    assert f"cameras[0].type to {kind}" in bag.findings[0].mend


def test_a_topic_of_quite_another_type(spec, run, bag_path):
    arm = spec.state_sources[0].topic
    other = run.without(arm)
    for message in run.of(arm):
        text = make("std_msgs/msg/String", data="no joints")
        other.add(arm, "std_msgs/msg/String", message.received_ns, text)
    other.messages.sort(key=lambda message: message.received_ns)
    frames, bag = read(write_bag(bag_path, other.messages), spec)
    assert frames == []
    (finding,) = bag.findings
    assert (finding.code, finding.what) == ("WRONG_TYPE", f"is std_msgs/msg/String, not {JOINTS}")


def test_stamps_that_go_back_a_little_are_dropped(fresh, account):
    arm = fresh.spec.state_sources[0].topic
    late = fresh.of(arm)[30:60:10]
    for message in late:
        stamp = message.received_ns - 3 * MS
        names = fresh.spec.state_sources[0].joints
        fresh.add(arm, JOINTS, stamp + 4 * MS, joints(stamp - 25 * MS, names, np.ones(7)))
    fresh.messages.sort(key=lambda message: message.received_ns)
    frames, bag, streams = account(fresh)
    assert streams[arm].dropped == {"STAMP_BACKWARD": 3}
    assert "older than the newest" in streams[arm].details["STAMP_BACKWARD"]
    assert_same(frames, live(fresh.spec, fresh.messages))
    assert codes(bag) == []


def test_stamps_that_repeat_are_dropped(fresh, account):
    """A driver that does not stamp its messages."""
    wrist = fresh.spec.cameras[1].topic
    for message in fresh.of(wrist):
        message.msg = image(START, np.zeros((8, 8, 3), np.uint8))
    frames, _, streams = account(fresh)
    assert len(frames) <= 1
    assert streams[wrist].accepted == 1
    assert streams[wrist].dropped == {"STAMP_REPEATED": 39}


def test_a_message_that_nobody_stamped_is_dropped(fresh, account):
    wrist = fresh.of(fresh.spec.cameras[1].topic)[20]
    wrist.msg.header = header(0)
    frames, bag, streams = account(fresh)
    assert streams[fresh.spec.cameras[1].topic].dropped == {"STAMP_BACKWARD": 1}
    assert bag.report.clock_jumps == 0
    assert_same(frames, live(fresh.spec, fresh.messages))


def test_a_clock_that_is_set_back_begins_anew(spec, bag_path):
    """Two runs in one bag, the second an hour before the first by its stamps."""
    first, second = Run(spec).record(), Run(spec, seed=1).record()
    for message in second.messages:
        stamp = message.msg.header.stamp
        message.msg.header = header((stamp.sec - 3600) * S + stamp.nanosec)
        message.received_ns += 2 * S
    frames, bag = read(write_bag(bag_path, [*first.messages, *second.messages]), spec)
    assert bag.report.clock_jumps == 1
    assert codes(bag) == ["CLOCK_WENT_BACK"]
    assert "a bag of its own" in bag.findings[0].mend
    half = len(live(spec, first.messages))
    assert_same(frames[:half], live(spec, first.messages))
    again = [o for o in live(spec, second.messages) if o.stamp_ns > START - 3600 * S + 100 * MS]
    assert_same(frames[-len(again) :], again)


def test_one_stamp_from_the_future_costs_little(fresh, account):
    wrist = fresh.of(fresh.spec.cameras[1].topic)[20]
    wrist.msg.header = header(START + 500 * S)
    frames, bag, _ = account(fresh)
    assert bag.report.clock_jumps == 1
    assert len(frames) >= len(live(fresh.spec, Run(fresh.spec).record().messages)) - 5


def test_a_camera_of_the_wrong_size_and_encoding(tmp_path, bag_path):
    spec = load_spec(write_spec(tmp_path / "sized.yaml", width=32, height=24))
    run = Run(spec).record()
    wrist = run.of(spec.cameras[1].topic)
    wrist[10].msg = image(wrist[10].received_ns, np.zeros((8, 8, 3), np.uint8))
    wrist[11].msg.encoding = "bayer_rggb8"
    frames, bag = read(write_bag(bag_path, run.messages), spec)
    stream = bag.report.streams[-1]
    assert stream.dropped == {"CAMERA_SIZE": 1, "CAMERA_ENCODING": 1}
    assert "wants height 24, width 32" in stream.details["CAMERA_SIZE"]
    assert_same(frames, live(spec, run.messages))


def test_a_state_that_is_no_number_or_lacks_a_joint(fresh, account):
    arm = fresh.spec.state_sources[0]
    messages = fresh.of(arm.topic)
    messages[50].msg.position[2] = np.nan
    messages[90].msg.name = messages[90].msg.name[:-1]
    messages[90].msg.position = messages[90].msg.position[:-1]
    frames, _, streams = account(fresh)
    assert streams[arm.topic].dropped == {"STATE_NON_FINITE": 1, "JOINT_MISSING": 1}
    assert_same(frames, live(fresh.spec, fresh.messages))


def test_joints_of_another_robot_on_the_same_topic(fresh, account):
    arm = fresh.spec.state_sources[0].topic
    for at in range(0, 2000, 100):
        stamp = START + at * MS
        fresh.add(arm, JOINTS, stamp + 5 * MS, joints(stamp + 5 * MS, ["mobile_base"], [0.0]))
    fresh.messages.sort(key=lambda message: message.received_ns)
    frames, _, streams = account(fresh)
    assert streams[arm].dropped == {"OTHER_JOINTS": 20}
    assert_same(frames, live(fresh.spec, fresh.messages))


def test_a_camera_that_stops_is_told_tick_by_tick(spec, run, bag_path):
    wrist = spec.cameras[1].topic
    stopped = {id(message) for message in run.between(1, 9) if message.topic == wrist}
    messages = [message for message in run.messages if id(message) not in stopped]
    frames, bag = read(write_bag(bag_path, messages), spec)
    ticks = bag.report.episodes[0].ticks
    assert len(frames) < 25
    assert ticks.counts["CAMERA_SKEW"] + ticks.counts["CAMERA_STALE"] >= 12
    assert "camera wrist" in ticks.details["CAMERA_SKEW"]
    assert ticks.counts["INCOMPLETE"] == 3


def test_joint_states_that_stop_make_the_rest_stale(spec, run, bag_path):
    arm = spec.state_sources[0].topic
    stopped = {id(message) for message in run.between(1, 9) if message.topic == arm}
    messages = [message for message in run.messages if id(message) not in stopped]
    _, bag = read(write_bag(bag_path, messages), spec)
    ticks = bag.report.episodes[0].ticks
    assert ticks.counts["STATE_STALE"] >= 10
    assert "limit 100 ms" in ticks.details["STATE_STALE"]


def test_a_frozen_camera_is_refused(spec, bag_path):
    run = Run(spec).record()
    frozen = image(0, np.full((24, 32, 3), 9, np.uint8))
    for message in run.of(spec.cameras[0].topic):
        frozen.header = message.msg.header
        message.msg = make(IMAGE, **{f: getattr(frozen, f) for f in _FIELDS})
    frames, bag = read(write_bag(bag_path, run.messages), spec)
    assert 10 < len(frames) < 20
    assert bag.report.ticks["CAMERA_FROZEN"] > 15


_FIELDS = ("header", "height", "width", "encoding", "is_bigendian", "step", "data")
