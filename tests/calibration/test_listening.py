"""Live topics, as `ros2 bag play` would publish them, give the observations of the bags played."""

import threading
import time

import numpy as np
import pytest
import rclpy
from a1_msgs.msg import EpisodeState
from rclpy.qos import QoSProfile, ReliabilityPolicy

from a1_calibration.listening import KINDS, UNFINISHED, Listener
from a1_core.errors import BagError
from a1_data.bag_files import find_bags
from a1_data.findings import Findings
from a1_data.reader import ReadSettings, open_bags
from a1_data.storage import look, read
from a1_ros.executor import make_executor

ROBOT = {"sensor_msgs/msg/Image", "sensor_msgs/msg/JointState"}


class Player:
    """Publishes the messages of bags as they are recorded, each when the last one was heard."""

    def __init__(self, node, spec) -> None:
        self._node = node
        self._publishers = {}
        topics = {source.topic: "sensor_msgs/msg/JointState" for source in spec.state_sources}
        topics |= {camera.topic: "sensor_msgs/msg/Image" for camera in spec.cameras}
        topics["/a1/episode"] = "a1_msgs/msg/EpisodeState"
        for topic, msgtype in topics.items():
            self._publishers[topic] = node.create_publisher(
                KINDS[msgtype], topic, QoSProfile(depth=500)
            )

    def heard(self) -> bool:
        """Somebody listens to every topic, and has seen that it is published reliably."""
        infos = [
            self._node.get_subscriptions_info_by_topic(publisher.topic_name)
            for publisher in self._publishers.values()
        ]
        return all(
            each and all(i.qos_profile.reliability is ReliabilityPolicy.RELIABLE for i in each)
            for each in infos
        )

    def play(self, path, types) -> int:
        """How many messages were published."""
        count = 0
        (files,) = find_bags(path)
        for file in files.files:
            findings = Findings()
            contents = look(file, findings)
            for raw in read(file, contents, set(self._publishers), findings):
                if raw.channel.msgtype in types:
                    self._publishers[raw.channel.topic].publish(bytes(raw.data))
                    count += 1
        return count

    def tell(self, **fields) -> None:
        self._publishers["/a1/episode"].publish(EpisodeState(**fields))


class Rig:
    """A listener whose clock the test sets, and a player, spun together."""

    def __init__(self, spec, folder) -> None:
        rclpy.init()
        self.node = rclpy.create_node("calibration_test", use_global_arguments=False)
        self.now_ns = 0
        self.executor = make_executor()
        self.executor.add_node(self.node)
        self.listener = Listener(
            self.node, spec, folder, gap_s=1.0, quiet_s=5.0, steady_ns=lambda: self.now_ns
        )
        self.player = Player(self.node, spec)
        self.until(lambda: not self.listener.over() and self.player.heard())

    def until(self, condition, timeout_s: float = 10.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, "it did not come"
            self.executor.spin_once(timeout_sec=0.05)

    def play(self, path, types=ROBOT) -> None:
        """Publish a bag and hear it to its end."""
        expected = self.listener.messages + self.player.play(path, types)
        self.until(lambda: self.listener.messages == expected)

    def tell(self, **fields) -> None:
        expected = self.listener.messages + 1
        self.player.tell(**fields)
        self.until(lambda: self.listener.messages == expected)

    def silence(self, seconds: float) -> bool:
        self.now_ns += round(seconds * 1e9)
        return self.listener.over()

    def close(self) -> None:
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def rig(spec, tmp_path):
    running = Rig(spec, tmp_path / "live")
    yield running
    running.close()


def observations(path, spec, **settings):
    read_as = ReadSettings(instruction="touch the red cube", **settings)
    return [[frame.observation for frame in bag.frames()] for bag in open_bags(path, spec, read_as)]


def assert_same(ours, theirs) -> None:
    assert [o.stamp_ns for o in ours] == [o.stamp_ns for o in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.state_D, b.state_D)
        for name in b.images:
            np.testing.assert_array_equal(a.images[name], b.images[name])


def test_what_was_played_is_what_is_read(rig, spec, bags, tmp_path):
    """Without events a bag played is an episode, because there is a silence between two."""
    assert not rig.silence(99.0)  # nothing was heard yet
    for number in range(2):
        rig.play(bags / f"episode_{number:03d}")
        assert not rig.silence(1.0)
    assert rig.silence(4.0)
    rig.listener.stop()
    assert [path.name for path in rig.listener.bags] == ["live_000", "live_001"]
    assert rig.listener.lost == 0
    heard = observations(tmp_path / "live", spec, events=False)
    played = [
        observations(bags / f"episode_{number:03d}", spec, events=False)[0] for number in range(2)
    ]
    assert len(played[0]) == 16
    for ours, theirs in zip(heard, played, strict=True):
        assert_same(ours, theirs)
    assert not (tmp_path / "live" / UNFINISHED).exists()


def test_episode_events_say_where_an_episode_ends(rig, spec, bags, tmp_path):
    for number in (1, 2):
        rig.tell(episode=number, running=True, instruction=f"task {number}")
        rig.play(bags / f"episode_{number:03d}")
        rig.tell(episode=number, running=False, success=True)
        rig.silence(2.0)
    rig.listener.stop()
    (bag,) = open_bags(tmp_path / "live", spec, ReadSettings())
    assert [e.instructions[0][1] for e in bag.episodes] == ["task 1", "task 2"]
    assert {frame.episode.index for frame in bag.frames()} == {0, 1}


def test_a_folder_with_something_in_it_is_left_alone(spec, bags, tmp_path):
    rclpy.init()
    node = rclpy.create_node("calibration_test", use_global_arguments=False)
    try:
        with pytest.raises(BagError, match="holds something already"):
            Listener(node, spec, bags, gap_s=1.0, quiet_s=5.0, steady_ns=lambda: 0)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def test_a_disk_that_takes_nothing_is_named(rig, bags, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rosbags.rosbag2.Writer.write", full)
    rig.player.play(bags / "episode_000", ROBOT)
    with pytest.raises(BagError, match=r"live: cannot be written \(No space left on device\)"):
        rig.until(rig.listener.over)
    monkeypatch.undo()


@pytest.mark.timeout(60)
def test_the_command_listens_and_goes_on_with_what_it_heard(
    capsys, spec, spec_path, checkpoint, bags, tmp_path
):
    """In one process here: the command's node in this thread, the player's in another."""
    from a1_calibration.main import main

    stop = threading.Event()

    def play() -> None:
        context = rclpy.Context()
        rclpy.init(context=context)
        node = rclpy.create_node("player", context=context, use_global_arguments=False)
        player = Player(node, spec)
        while not player.heard() and not stop.wait(0.05):
            pass
        player.tell(episode=1, running=True, instruction="touch the red cube")
        player.play(bags / "episode_000", ROBOT)
        stop.wait(60.0)
        node.destroy_node()
        rclpy.shutdown(context=context)

    thread = threading.Thread(target=play)
    thread.start()
    out, live = tmp_path / "times.yaml", tmp_path / "live"
    try:
        with pytest.raises(SystemExit) as ended:
            main([
                "--robot", str(spec_path), "--checkpoint", str(checkpoint), "--live", str(live),
                "--live-quiet", "1.0", "--save-costs", str(out), "--out", "none.yaml",
            ])  # fmt: skip
    finally:
        stop.set()
        thread.join()
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "heard 1 bags with 16 images, 0 messages lost on the way" in said
    assert "times of this machine" in said
    assert out.exists()
