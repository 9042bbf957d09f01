"""Damaged bags: what can be read is read, and what is wrong is named with its mend."""

import sqlite3
import struct

import numpy as np
import pytest
from bag_rig import (
    START,
    TYPES,
    Run,
    assert_equal,
    assert_same,
    codes,
    data_files,
    live,
    read,
    write_bag,
    write_split,
)
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionMode

from a1_data.reader import ReadSettings, open_bags

CHUNK = 0x06


@pytest.fixture
def large(spec) -> Run:
    """A run of many of zstd's blocks of 128 kB."""
    return Run(spec, size=(96, 128)).record()


def whole_and(damage, run, path, **options) -> tuple[list, list, object]:
    """Frames of a whole bag, of the same one damaged, and the damaged bag."""
    write_bag(path, run.messages, **options)
    whole, _ = read(path, run.spec)
    damage(data_files(path)[0])
    frames, bag = read(path, run.spec)
    return whole, frames, bag


def cut(share: float):
    def damage(path) -> None:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return damage


def write_mcap(path, run, *, compression=CompressionType.NONE, chunk_size=50_000, **options):
    """A bag as the mcap package writes it, which can leave out what rosbags always writes."""
    path.mkdir()
    with (path / f"{path.name}_0.mcap").open("wb") as file:
        writer = McapWriter(file, chunk_size=chunk_size, compression=compression, **options)
        writer.start(profile="ros2", library="test")
        channels = {}
        for message in run.messages:
            if message.topic not in channels:
                definition, _ = TYPES.generate_msgdef(message.msgtype)
                schema = writer.register_schema(message.msgtype, "ros2msg", definition.encode())
                channels[message.topic] = writer.register_channel(message.topic, "cdr", schema)
            data = bytes(TYPES.serialize_cdr(message.msg, message.msgtype))
            at = message.received_ns
            writer.add_message(channels[message.topic], at, data, publish_time=at)
        writer.finish()
    return path


def chunks(data: bytes) -> list[tuple[int, int]]:
    """Begin and end of the contents of every chunk."""
    found, at = [], 8
    while at < len(data) - 8:
        opcode, length = struct.unpack_from("<BQ", data, at)
        if opcode == CHUNK:
            found.append((at + 9, at + 9 + length))
        at += 9 + length
    return found


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(
    "mode", [CompressionMode.NONE, CompressionMode.STORAGE, CompressionMode.MESSAGE]
)
def test_a_cut_mcap_file_is_read_up_to_the_cut(large, bag_path, share, mode):
    whole, frames, bag = whole_and(cut(share), large, bag_path, compression=mode)
    assert len(frames) >= (share - 0.1) * len(whole)
    assert_same(frames, [frame.observation for frame in whole[: len(frames)]])
    assert codes(bag)[-1] == "INDEX_MISSING"
    if share < 0.999:
        assert codes(bag) == ["FILE_DAMAGED", "INDEX_MISSING"]
        damaged = next(f for f in bag.findings if f.code == "FILE_DAMAGED")
        assert "cut off at byte" in damaged.what
        assert "mcap recover" in damaged.mend


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.98])
def test_a_cut_sqlite_file_is_read_up_to_the_cut(run, bag_path, share):
    whole, frames, bag = whole_and(cut(share), run, bag_path, storage="sqlite3")
    assert len(frames) >= (share - 0.1) * len(whole)
    assert_same(frames, [frame.observation for frame in whole[: len(frames)]])
    assert set(codes(bag)) >= {"FILE_DAMAGED"}
    assert any("after the first" in f.what and ".recover" in f.mend for f in bag.findings)


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_cut_packed_file_is_read_up_to_the_cut(large, bag_path, storage, share):
    whole, frames, bag = whole_and(
        cut(share), large, bag_path, storage=storage, compression=CompressionMode.FILE
    )
    assert len(frames) >= (share - 0.2) * len(whole)
    assert_same(frames, [frame.observation for frame in whole[: len(frames)]])
    assert "FILE_DAMAGED" in codes(bag)
    assert all("a1_bag_" not in str(finding) for finding in bag.findings), "names the bag's file"


@pytest.mark.parametrize("compression", list(CompressionType))
def test_a_chunk_that_is_cut_off_is_read_as_far_as_it_unpacks(run, bag_path, compression):
    write_mcap(bag_path, run, compression=compression, chunk_size=10_000_000)
    (path,) = data_files(bag_path)
    whole, _ = read(bag_path, run.spec)
    cut(0.7)(path)
    frames, _ = read(bag_path, run.spec)
    assert_same(frames, [frame.observation for frame in whole[: len(frames)]])
    assert len(frames) >= 0.5 * len(whole)


def test_only_the_last_file_of_a_split_bag_is_cut(run, bag_path, storage):
    parts = [run.between(0, 0.7), run.between(0.7, 1.3), run.between(1.3, 9)]
    write_split(bag_path, parts, storage)
    files = data_files(bag_path)
    cut(0.6)(files[2])
    frames, bag = read(bag_path, run.spec)
    observations = live(run.spec, run.messages)
    assert_same(frames, observations[: len(frames)])
    assert len(frames) > 0.7 * len(observations)
    assert {finding.where for finding in bag.findings} == {str(files[2])}


def test_a_damaged_middle_file_costs_only_what_is_damaged(run, bag_path, storage):
    parts = [run.between(0, 0.7), run.between(0.7, 1.3), run.between(1.3, 9)]
    write_split(bag_path, parts, storage)
    cut(0.5)(data_files(bag_path)[1])
    frames, _ = read(bag_path, run.spec)
    observations = {o.stamp_ns: o for o in live(run.spec, run.messages)}
    assert len(observations) - 10 < len(frames) < len(observations)
    assert frames[-1].observation.stamp_ns == max(observations)
    same = 0
    for frame in frames:
        theirs = observations.get(frame.observation.stamp_ns)
        # Beside the hole a state is interpolated over it, or a tick handed on that was overtaken.
        same += (
            theirs is not None and theirs.state_D.tobytes() == frame.observation.state_D.tobytes()
        )
    assert same >= len(frames) - 2


@pytest.mark.parametrize("where", ["the index leads there", "no index"])
def test_a_damaged_chunk_is_left_out_and_the_next_is_read(run, bag_path, where):
    write_mcap(bag_path, run, compression=CompressionType.ZSTD)
    (path,) = data_files(bag_path)
    whole, _ = read(bag_path, run.spec)
    data = bytearray(path.read_bytes())
    begin, end = chunks(bytes(data))[3]
    data[end - 4000 : end - 3000] = bytes(1000)
    path.write_bytes(data if where == "the index leads there" else data[:-8])
    frames, bag = read(bag_path, run.spec)
    assert len(whole) - 11 < len(frames) < len(whole)
    assert frames[-1].observation.stamp_ns == whole[-1].observation.stamp_ns
    stamps = [frame.observation.stamp_ns for frame in frames]
    assert len(set(stamps)) == len(stamps), "nothing twice"
    damaged = [f for f in bag.findings if f.code == "FILE_DAMAGED"]
    assert any(f"{end - begin} bytes before byte {end} are left out" in f.what for f in damaged)


def test_zeros_at_the_end_of_a_file_are_no_messages(run, bag_path):
    """As after a loss of power."""

    def damage(path) -> None:
        half = path.stat().st_size // 2
        path.write_bytes(path.read_bytes()[:half] + bytes(half))

    whole, frames, bag = whole_and(damage, run, bag_path)
    assert_same(frames, [frame.observation for frame in whole[: len(frames)]])
    assert len(frames) >= 0.3 * len(whole)
    assert "FILE_DAMAGED" in codes(bag)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"index_types": IndexType.NONE}, []),
        ({"use_chunking": False}, []),
        ({"use_statistics": False, "use_summary_offsets": False}, []),
        ({"repeat_channels": False, "repeat_schemas": False}, []),
    ],
)
def test_an_mcap_file_without_parts_of_its_index(run, bag_path, options, found):
    write_mcap(bag_path, run, **options)
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert [c for c in codes(bag) if c != "METADATA_MISSING"] == found


def test_an_sqlite_file_without_its_index_of_time(run, bag_path):
    write_bag(bag_path, run.messages, "sqlite3")
    (path,) = data_files(bag_path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX timestamp_idx")
    connection.close()
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert codes(bag) == ["INDEX_MISSING"]
    assert "CREATE INDEX" in bag.findings[0].mend


def test_a_damaged_message_is_counted_and_the_others_are_read(run, bag_path):
    write_bag(bag_path, run.messages, "sqlite3")
    (path,) = data_files(bag_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE messages SET data = x'00010000ff' WHERE id % 50 = 0")
    connection.close()
    _, bag = read(bag_path, run.spec)
    unreadable = sum(stream.dropped["UNREADABLE"] for stream in bag.report.streams)
    assert unreadable == len(run.messages) // 50
    assert bag.report.used > 25


def test_a_message_whose_compression_is_damaged_is_counted(run, bag_path):
    write_bag(bag_path, run.messages, "sqlite3", CompressionMode.MESSAGE)
    (path,) = data_files(bag_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE messages SET data = x'28b52ffdffffffffff' WHERE id = 7")
    connection.close()
    _, bag = read(bag_path, run.spec)
    assert sum(stream.dropped["UNREADABLE"] for stream in bag.report.streams) == 1


def test_a_file_that_is_listed_but_not_there(run, bag_path):
    write_split(bag_path, [run.between(0, 1), run.between(1, 9)])
    data_files(bag_path)[1].unlink()
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.between(0, 1)))
    assert codes(bag) == ["FILE_MISSING"]
    assert "copy the bag again" in bag.findings[0].mend


def test_a_file_that_is_there_but_not_listed(run, bag_path, tmp_path):
    write_bag(bag_path, run.between(0, 1))
    (other,) = data_files(write_bag(tmp_path / "other", run.between(1, 9)))
    other.rename(bag_path / "bag_7.mcap")
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.between(0, 1)))
    assert codes(bag) == ["FILE_NOT_LISTED"]


@pytest.mark.parametrize("content", ["", "a: [", "rosbag2_bagfile_information: {}", "\x00"])
def test_unusable_metadata(run, bag_path, content):
    write_bag(bag_path, run.messages)
    (bag_path / "metadata.yaml").write_text(content)
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert codes(bag) == ["METADATA_MISSING"]
    assert "ros2 bag reindex" in bag.findings[0].mend


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"SQLite format 3\x00", bytes(9000)])
def test_a_file_without_a_message(run, bag_path, storage, content):
    write_bag(bag_path, run.messages, storage)
    data_files(bag_path)[0].write_bytes(content)
    frames, bag = read(bag_path, run.spec)
    assert frames == []
    assert "FILE_DAMAGED" in codes(bag)
    assert set(bag.missing) == {stream.topic for stream in bag.report.streams}


def test_a_write_ahead_log_is_named(run, bag_path):
    write_bag(bag_path, run.messages, "sqlite3")
    (path,) = data_files(bag_path)
    path.with_name(path.name + "-wal").write_bytes(b"messages")
    _, bag = read(bag_path, run.spec)
    assert codes(bag) == ["WRITE_AHEAD_LOG"]
    assert "wal_checkpoint" in bag.findings[0].mend


def test_a_strange_path_is_no_obstacle(run, tmp_path, storage):
    # rosbags itself cannot write SQLite3 to such a path.
    path = write_bag(tmp_path / "plain", run.messages, storage)
    path = path.rename(tmp_path / "what? #1 50% äö")
    frames, _ = read(path, run.spec)
    assert_same(frames, live(run.spec, run.messages))


def test_messages_out_of_the_order_of_writing_are_read_by_time(run, bag_path, storage):
    shuffled = [*run.messages[1::2], *run.messages[::2]]
    write_bag(bag_path, shuffled, storage)
    frames, _ = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))


def test_without_an_index_a_chunk_is_read_by_time(run, bag_path):
    write_bag(bag_path, [*run.messages[1::2], *run.messages[::2]])
    (path,) = data_files(bag_path)
    path.write_bytes(path.read_bytes()[:-8])
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert codes(bag) == ["INDEX_MISSING"]


def test_reading_a_damaged_bag_twice_gives_the_same(run, bag_path, storage):
    write_bag(bag_path, run.messages, storage)
    cut(0.6)(data_files(bag_path)[0])
    (bag,) = open_bags(bag_path, run.spec, ReadSettings(instruction="do it"))
    first = list(bag.frames())
    findings = bag.findings
    again = list(bag.frames())
    assert bag.findings == findings
    for one, other in zip(first, again, strict=True):
        assert_equal(one.observation, other.observation)


@pytest.mark.parametrize("near_the_end", [False, True])
def test_no_place_of_a_cut_makes_reading_fail_or_pixels_up(run, bag_path, storage, near_the_end):
    """And more of the file never gives less."""
    write_bag(bag_path, run.between(0, 0.4), storage)
    (path,) = data_files(bag_path)
    whole, _ = read(bag_path, run.spec)
    data = path.read_bytes()
    places = range(len(data) - 9000, len(data), 601) if near_the_end else range(0, len(data), 6007)
    used = []
    for place in places:
        path.write_bytes(data[:place])
        frames, _ = read(bag_path, run.spec)
        used.append(len(frames))
        for frame, before in zip(frames, whole, strict=False):
            assert_equal(frame.observation, before.observation)
    assert used == sorted(used)
    assert used[-1] > 0


@pytest.mark.parametrize("seed", range(8))
def test_bytes_that_are_wrong_anywhere_make_nothing_fail(run, bag_path, storage, seed):
    write_bag(bag_path, run.between(0, 0.6), storage)
    (path,) = data_files(bag_path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    begin = int(rng.integers(0, len(data) if seed % 2 else 5000))
    length = int(rng.integers(1, 500))
    data[begin : begin + length] = rng.bytes(len(data[begin : begin + length]))
    path.write_bytes(data)
    read(bag_path, run.spec)


def test_channels_that_are_none_of_ros_do_not_hinder(run, bag_path):
    """As other programs write beside ROS 2's; rosbags refuses such a file."""
    write_mcap(bag_path, run, compression=CompressionType.ZSTD)
    (path,) = data_files(bag_path)
    with path.open("rb") as old, path.with_suffix(".new").open("wb") as new:
        writer = McapWriter(new, compression=CompressionType.ZSTD)
        writer.start(profile="", library="test")
        schema = writer.register_schema("Note", "jsonschema", b"{}")
        note = writer.register_channel("/note", "json", schema)
        writer.add_message(note, START, b"{}", START)
        channels = {}
        for schema_, channel, message in make_reader(old).iter_messages():
            if channel.topic not in channels:
                number = writer.register_schema(schema_.name, schema_.encoding, schema_.data)
                channels[channel.topic] = writer.register_channel(channel.topic, "cdr", number)
            at = message.log_time
            writer.add_message(channels[channel.topic], at, message.data, at)
        writer.finish()
    path.with_suffix(".new").rename(path)
    frames, bag = read(bag_path, run.spec)
    assert_same(frames, live(run.spec, run.messages))
    assert "rosbags cannot open it" in next(
        finding.what for finding in bag.findings if finding.code == "INDEX_MISSING"
    )
