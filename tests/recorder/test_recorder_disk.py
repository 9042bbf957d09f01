"""A disk that is full or slow: what is there stays, what is lost is counted, nobody waits."""

import resource
import threading
import time
from contextlib import contextmanager

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from recorder_rig import holds_in_a_row, messages_in
from waiting import wait_for

from a1_data.definitions import Definitions
from a1_recorder import session as session_module
from a1_recorder import writer_thread
from a1_recorder.bag_writer import BagWriter
from a1_recorder.writer_thread import WriterThread
from a1_ros.qos import RELIABLE

TEXT = "std_msgs/msg/String"


@contextmanager
def largest_file(size: int):
    """No file grows beyond `size` bytes: what a full disk does to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def thread():
    """`thread(queue_bytes)`: a running writer thread."""
    made = []

    def make(queue_bytes: int = 1 << 20) -> WriterThread:
        made.append(
            WriterThread(
                queue_bytes=queue_bytes,
                flush_period_s=0.05,
                reserve_bytes=0,
                changed=lambda: None,
            )
        )
        return made[-1]

    yield make
    for running in made:
        running.close()


def texts(path):
    return messages_in(path)["/said"]


def new_bag(path, compression="none"):
    bag = BagWriter(path, {"note": "at first"}, compression=compression)
    assert bag.add_channel("/said", Definitions().of(TEXT)) == 0
    return bag


def test_a_full_disk_ends_the_bag_once_and_keeps_what_was_written(thread, tmp_path):
    writer, bag = thread(), new_bag(tmp_path / "bag")
    sent = [bytes([0, 1, 0, 0]) + bytes([k]) * 1000 for k in range(100)]
    with largest_file(30_000):
        writer.begin(bag, dict)
        for k, data in enumerate(sent):
            writer.put(0, k + 1, k + 1, data)
            time.sleep(0.005)
        assert wait_for(lambda: writer.events)
        writer.end()
        time.sleep(0.1)
    (ended,) = writer.events
    assert ended.path == tmp_path / "bag"
    assert "File too large while writing" in ended.failure
    found = texts(ended.path)
    assert 10 <= len(found) < 30
    assert found == sent[: len(found)]
    assert ended.messages == len(found)
    assert [p.name for p in tmp_path.iterdir()] == ["bag"]


def test_a_disk_that_fills_at_the_end_keeps_the_bag_as_well(thread, tmp_path):
    writer, bag = thread(), new_bag(tmp_path / "bag")
    writer.begin(bag, dict)
    writer.put(0, 1, 1, bytes(1000))
    (file,) = bag.path.glob("*.mcap")
    assert wait_for(lambda: file.stat().st_size > 1000)
    time.sleep(0.1)
    with largest_file(file.stat().st_size + 50):
        writer.end()
        assert wait_for(lambda: writer.events)
    assert "while writing" in writer.events[0].failure
    assert texts(writer.events[0].path) == [bytes(1000)]


def test_recording_stops_with_one_message_and_starts_again(recorder, robot, operator, folder, ros):
    said: list = []
    robot.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda msg: said.extend(msg.status), RELIABLE
    )
    with largest_file(60_000):
        path = folder / operator.start().episode_id
        assert wait_for(lambda: recorder._failure)
        time.sleep(0.3)
    assert "nothing is being recorded" in operator.stop().message
    assert wait_for(lambda: any("File too large" in status.message for status in said))
    found = messages_in(path)
    for topic, sent in robot.sent.items():
        if topic in found:
            assert holds_in_a_row(list(sent), found[topic]), topic
    assert found["/franka/joint_states"]
    again = operator.start()
    assert again.success
    robot.goes_on(4)
    stopped = operator.stop()
    assert stopped.success, stopped.message
    assert len(messages_in(folder / again.episode_id)) > 5


def test_the_reserve_of_the_disk_is_kept(make, robot, operator, folder, monkeypatch):
    node = make(reserve_mb=100)
    robot.start()
    left = {"bytes": 10**9}
    for module in (writer_thread, session_module):
        monkeypatch.setattr(module, "disk_left", lambda path: left["bytes"])
    path = folder / operator.start().episode_id
    robot.goes_on(6)
    left["bytes"] = 99_000_000
    assert wait_for(lambda: node._failure)
    assert "99 MB are left" in node._failure
    assert (path / "metadata.yaml").is_file()
    assert messages_in(path)["/franka/joint_states"]
    refused = operator.start()
    assert not refused.success
    assert "reserve" in refused.message


def test_a_blocked_writer_drops_and_never_holds_up(thread, tmp_path):
    release = threading.Event()

    class Slow(BagWriter):
        def write(self, *message) -> None:
            release.wait(10.0)
            super().write(*message)

    writer = thread(5000)
    bag = Slow(tmp_path / "bag", {})
    bag.add_channel("/said", Definitions().of(TEXT))
    writer.begin(bag, dict)
    taken = [writer.put(0, k + 1, k + 1, bytes([k]) * 1000) for k in range(20)]
    assert taken == [True] * 5 + [False] * 15
    release.set()
    writer.end()
    assert wait_for(lambda: writer.events)
    assert texts(writer.events[0].path) == [bytes([k]) * 1000 for k in range(5)]


def test_drops_are_counted_by_topic(make, robot, operator, folder, monkeypatch):
    release = threading.Event()
    write = BagWriter.write

    def slow(bag, *message) -> None:
        release.wait(20.0)
        write(bag, *message)

    monkeypatch.setattr(BagWriter, "write", slow)
    node = make(queue_mb=1)
    robot.start()
    camera = robot.spec.cameras[0].topic
    path = folder / operator.start().episode_id
    streams = {s.topic.name: s for s in node._session.streams}
    node._session._writer._limit = 20_000
    assert wait_for(lambda: streams[camera].dropped > 3)
    assert operator.label(note="slow disk").success
    release.set()
    stopped = operator.stop()
    assert stopped.success
    information = yaml.safe_load((path / "metadata.yaml").read_text())
    dropped = yaml.safe_load(information["rosbag2_bagfile_information"]["custom_data"]["dropped"])
    assert dropped[camera] == streams[camera].dropped
    found = messages_in(path)
    assert holds_in_a_row(list(robot.sent[camera]), found[camera][:1])
    assert len(found[camera]) + dropped[camera] <= streams[camera].received
    assert sum(map(len, found.values())) == stopped.messages


def test_two_bags_of_one_name_are_refused(tmp_path):
    new_bag(tmp_path / "bag").finish({})
    with pytest.raises(FileExistsError):
        BagWriter(tmp_path / "bag", {})
