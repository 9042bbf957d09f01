"""What is read of a whole bag is what a live node would have made of the same messages."""

import tracemalloc

import numpy as np
import pytest
from bag_rig import (
    START,
    Run,
    S,
    assert_same,
    codes,
    data_files,
    image,
    live,
    read,
    sha256_of,
    write_bag,
    write_spec,
    write_split,
)
from rosbags.rosbag2 import CompressionMode

from a1_core.errors import BagError
from a1_core.raw_image import CHANNELS
from a1_core.spec import load_spec
from a1_data.bag_files import find_bags
from a1_data.reader import ReadSettings, open_bags

COMPRESSIONS = [
    pytest.param(storage, mode, id=f"{storage} {mode.name.lower()}")
    for storage in ("mcap", "sqlite3")
    for mode in CompressionMode
    if (storage, mode) != ("sqlite3", CompressionMode.STORAGE)
]


@pytest.mark.parametrize(("storage", "mode"), COMPRESSIONS)
def test_frames_are_those_of_a_live_node(run, bag_path, storage, mode):
    write_bag(bag_path, run.messages, storage, mode)
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert len(frames) > 30
    assert codes(bag) == []


@pytest.mark.parametrize("complete_states", [True, False])
def test_states_are_waited_for_or_not_as_on_the_node(run, bag_path, complete_states):
    frames, _ = read(write_bag(bag_path, run.messages), run.spec, complete_states=complete_states)
    assert_same(frames, live(run.spec, run.messages, complete_states=complete_states))


def test_waiting_for_states_makes_the_order_of_receipt_irrelevant(run, bag_path, tmp_path):
    cameras = {camera.topic for camera in run.spec.cameras}
    late = Run(run.spec)
    for message in run.messages:
        shift = 0 if message.topic in cameras else 15_000_000
        late.add(message.topic, message.msgtype, message.received_ns + shift, message.msg)
    late.messages.sort(key=lambda message: message.received_ns)
    frames, _ = read(write_bag(bag_path, run.messages), run.spec)
    shifted, _ = read(write_bag(tmp_path / "late", late.messages), run.spec)
    both = {f.observation.stamp_ns for f in frames} & {f.observation.stamp_ns for f in shifted}
    assert len(both) > 30
    assert_same(
        [f for f in frames if f.observation.stamp_ns in both],
        [f.observation for f in shifted if f.observation.stamp_ns in both],
    )


def test_a_split_bag_is_read_as_one(run, bag_path, storage):
    parts = [run.between(0, 0.7), run.between(0.7, 1.3), run.between(1.3, 9)]
    write_split(bag_path, parts, storage)
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert len(bag.files.files) == 3


def test_split_and_packed_files_are_unpacked_one_at_a_time(run, bag_path, monkeypatch, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    parts = [run.between(0, 1), run.between(1, 9)]
    write_split(bag_path, parts, compression=CompressionMode.FILE)
    (bag,) = open_bags(bag_path, run.spec, ReadSettings(instruction="do it"))
    seen = {len(list(room.glob("*/*"))) for _ in bag.frames()}
    assert seen == {1}
    assert list(room.iterdir()) == []
    assert bag.report.used == len(live(run.spec, run.messages))


def test_ten_files_without_metadata_are_read_in_the_order_of_their_numbers(run, bag_path):
    parts = [run.between(n / 5, (n + 1) / 5) for n in range(11)]
    write_split(bag_path, parts)
    (bag_path / "metadata.yaml").unlink()
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert codes(bag) == ["METADATA_MISSING"]


@pytest.mark.parametrize("encoding", CHANNELS)
def test_every_accepted_encoding(spec, bag_path, storage, encoding):
    run = Run(spec, seconds=0.5, encoding=encoding).record()
    frames, _ = read(write_bag(bag_path, run.messages, storage), spec)
    assert_same(frames, live(spec, run.messages))


def test_rows_with_padding(spec, bag_path):
    run = Run(spec, seconds=0.5).record()
    rng = np.random.default_rng(1)
    for message in run.messages:
        if message.msgtype.endswith("Image"):
            stamp = message.msg.header.stamp
            pixels = rng.integers(0, 256, (8, 9, 3), np.uint8)
            message.msg = image(stamp.sec * S + stamp.nanosec, pixels, padding=5)
    frames, _ = read(write_bag(bag_path, run.messages), spec)
    assert_same(frames, live(spec, run.messages))


def test_compressed_images(tmp_path, bag_path, storage):
    spec = load_spec(write_spec(tmp_path / "jpeg.yaml", type="compressed"))
    run = Run(spec).record()
    frames, _ = read(write_bag(bag_path, run.messages, storage), spec)
    assert_same(frames, live(spec, run.messages))


def test_a_period_thins_the_ticks_as_replanning_does(run, bag_path):
    write_bag(bag_path, run.messages)
    every, _ = read(bag_path, run.spec)
    frames, bag = read(bag_path, run.spec, period_s=0.2)
    stamps = [frame.observation.stamp_ns for frame in frames]
    assert set(stamps) < {frame.observation.stamp_ns for frame in every}
    assert 8 <= len(frames) <= 11
    assert np.diff(stamps).min() >= 0.187 * S
    assert bag.report.ticks["NOT_DUE"] == len(every) - len(frames)


def test_frames_are_made_when_asked_for_and_again(run, bag_path):
    write_bag(bag_path, run.messages)
    (bag,) = open_bags(bag_path, run.spec, ReadSettings(instruction="do it"))
    assert bag.report.used == 0
    frames = bag.frames()
    next(frames)
    assert bag.report.used == 1
    frames.close()
    first, again = list(bag.frames()), list(bag.frames())
    assert_same(first, [frame.observation for frame in again])
    assert bag.report.used == len(again)


def test_a_frame_says_when_it_was_and_how_far_the_cameras_are_apart(run, bag_path):
    frames, bag = read(write_bag(bag_path, run.messages), run.spec)
    front = {m.received_ns for m in run.of(run.spec.cameras[0].topic)}
    assert {frame.received_ns for frame in frames} <= front
    assert 0 < max(frame.camera_skew_ns for frame in frames) <= 8_000_000
    assert all(frame.episode is bag.episodes[0] for frame in frames)


def test_the_report_has_rates_delays_and_gaps(run, bag_path):
    arm = run.spec.state_sources[0].topic
    silent = {id(message) for message in run.between(0.8, 1.2) if message.topic == arm}
    messages = [message for message in run.messages if id(message) not in silent]
    _, bag = read(write_bag(bag_path, messages), run.spec)
    streams = {stream.name: stream for stream in bag.report.streams}
    joints = streams[f"joints {arm}"]
    assert joints.rate_hz == pytest.approx(100.0)
    assert joints.delay_ms == pytest.approx(3.0)
    assert joints.gaps == 1
    assert 0.39 * S < joints.longest_gap_ns <= 0.42 * S
    assert streams["camera front"].rate_hz == pytest.approx(20.0, rel=0.02)
    assert bag.report.ticks["STATE_STALE"] > 0


def test_the_digest_is_that_of_the_files_one_after_the_other(run, bag_path):
    write_split(bag_path, [run.between(0, 1), run.between(1, 9)])
    files = data_files(bag_path)
    (bag,) = open_bags(bag_path, run.spec, ReadSettings())
    assert bag.digest == sha256_of(files)
    files[1].write_bytes(files[1].read_bytes()[:-1])
    (changed,) = open_bags(bag_path, run.spec, ReadSettings())
    assert changed.digest == sha256_of(files) != bag.digest


def test_bags_are_found_below_a_folder(run, tmp_path):
    few = run.between(0, 0.3)
    write_bag(tmp_path / "day" / "b", few)
    write_bag(tmp_path / "day" / "a" / "deep", few, "sqlite3")
    loose = tmp_path / "loose"
    loose.mkdir()
    for name in ("one.mcap", "two.mcap"):
        (data,) = data_files(write_bag(tmp_path / "tmp", few))
        data.rename(loose / name)
        (tmp_path / "tmp" / "metadata.yaml").unlink()
        (tmp_path / "tmp").rmdir()
    found = [bag.path.relative_to(tmp_path) for bag in find_bags(tmp_path)]
    assert [str(path) for path in found] == [
        "day/a/deep",
        "day/b",
        "loose/one.mcap",
        "loose/two.mcap",
    ]
    (single,) = find_bags(loose / "two.mcap")
    assert [file.path.name for file in single.files] == ["two.mcap"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bag_0.db3.lz4", "compression 'lz4' cannot be read, only zstd"),
        ("notes.txt", "no data file of a bag"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(spec, tmp_path, name, words):
    (tmp_path / name).write_bytes(b"?")
    with pytest.raises(BagError, match=words):
        open_bags(tmp_path / name, spec, ReadSettings())


def test_another_compression_in_the_metadata_is_refused(run, bag_path):
    write_bag(bag_path, run.between(0, 0.3), compression=CompressionMode.MESSAGE)
    metadata = bag_path / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("zstd", "lz4"))
    with pytest.raises(BagError, match=r"metadata\.yaml: compression_format 'lz4'.* convert"):
        read(bag_path, run.spec)


def test_no_such_path(spec, tmp_path):
    with pytest.raises(BagError, match="no such file or folder"):
        open_bags(tmp_path / "nowhere", spec, ReadSettings())


def test_memory_is_bounded_by_the_frames_not_by_the_bag(spec, tmp_path, storage):
    peaks = []
    for number, seconds in enumerate((3.0, 60.0)):
        run = Run(spec, seconds=seconds)
        rng = np.random.default_rng(0)
        for at in range(0, round(seconds * 1000), 100):
            stamp = START + at * 1_000_000
            run.arm(stamp, np.full(7, at / 1e5))
            run.hand(stamp, 0.01)
            for camera in spec.cameras:
                run.camera(camera, stamp, rng.integers(0, 256, (136, 180, 3), np.uint8))
        run.messages.sort(key=lambda message: message.received_ns)
        path = write_bag(tmp_path / str(number), run.messages, storage)
        count = len(run.messages)
        del run
        tracemalloc.start()
        (bag,) = open_bags(path, spec, ReadSettings(instruction="do it"))
        used = sum(1 for _ in bag.frames())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert used > 0.9 * count / 4
    assert peaks[1] < 1.2 * peaks[0], peaks
