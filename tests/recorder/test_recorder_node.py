"""Episodes over DDS: what was published is in the bag, byte for byte."""

import time

import pytest
import rclpy
import yaml
from recorder_rig import (
    FRANKA,
    holds_in_a_row,
    make_recorder,
    messages_in,
    only_bag,
    result_of,
)
from std_msgs.msg import String
from waiting import wait_for

from a1_recorder.settings import Settings
from a1_recorder.topics import Topic
from a1_ros.compose import find_node
from a1_ros.parameters import specs_of
from a1_ros.qos import RELIABLE, SENSOR


def custom_of(path):
    content = yaml.safe_load((path / "metadata.yaml").read_text())
    return content["rosbag2_bagfile_information"]


def test_an_episode_reads_back_bit_identical(recorder, robot, operator, folder, spec_file):
    started = operator.start("touch the red cube", "teleop")
    assert started.success, started.message
    robot.goes_on(20)
    stopped = operator.stop()
    assert stopped.success, stopped.message
    path = folder / started.episode_id
    assert stopped.path == str(path)
    assert [p.name for p in folder.iterdir()] == [started.episode_id]
    found = messages_in(path)
    for topic, sent in robot.sent.items():
        assert len(found[topic]) >= 15, topic
        assert holds_in_a_row(sent, found[topic]), topic
    assert len(found["/a1/thresholds_info"]) == 1
    assert len(found["/a1/episode"]) == 2
    assert sum(map(len, found.values())) == stopped.messages
    bag = only_bag(path, spec_file)
    frames = list(bag.frames())
    assert bag.findings == ()
    assert len(frames) >= 10
    (episode,) = bag.episodes
    assert (episode.instruction_source, episode.outcome) == ("events", "")
    assert episode.instruction_at(0) == "touch the red cube"


def test_the_metadata_says_where_the_bag_comes_from(recorder, robot, operator, spec_file, folder):
    path = folder / operator.start(driver="policy").episode_id
    robot.goes_on(6)
    operator.label(outcome=2, note="slipped")
    operator.stop()
    information = custom_of(path)
    custom = information["custom_data"]
    assert custom["spec"] == spec_file.read_text()
    assert custom["spec_digest"] == robot.spec.digest
    assert custom["checkpoint_digest"] == "c" * 64
    assert custom["thresholds_digest"] == "d" * 64
    assert (custom["operator"], custom["driver"]) == ("a person", "policy")
    assert (custom["outcome"], custom["note"]) == ("failure", "slipped")
    assert (custom["dropped"], custom["lost"]) == ("{}", "{}")
    assert "mcap" in custom["software"]
    counts = {
        topic["topic_metadata"]["name"]: topic["message_count"]
        for topic in information["topics_with_message_count"]
    }
    found = messages_in(path)
    assert {name: count for name, count in counts.items() if count} == {
        name: len(messages) for name, messages in found.items()
    }
    assert only_bag(path, spec_file).episodes[0].outcome == "failure"


def test_a_label_after_the_recording_counts(recorder, robot, operator, spec_file, folder):
    path = folder / operator.start().episode_id
    robot.goes_on(6)
    operator.stop()
    before = only_bag(path, spec_file)
    assert before.episodes[0].outcome == ""
    answer = operator.label(outcome=1, instruction="touch the blue cube")
    assert answer.success, answer.message
    after = only_bag(path, spec_file)
    assert after.episodes[0].outcome == "success"
    assert after.episodes[0].instruction_at(0) == "touch the blue cube"
    assert after.digest == before.digest
    assert not operator.label(episode_id="../quick", outcome=1).success
    assert not operator.label(outcome=7).success


def test_discarded_episodes_leave_nothing(recorder, robot, operator, folder):
    operator.start()
    robot.goes_on(4)
    assert operator.discard().success
    assert list(folder.iterdir()) == []
    operator.start()
    operator.stop()
    second = operator.start().episode_id
    operator.stop()
    assert len(list(folder.iterdir())) == 2
    assert operator.discard(second).success
    assert operator.discard(second).message.endswith("has no such bag")
    assert len(list(folder.iterdir())) == 1


def test_what_cannot_be_asked_for_is_said(make, operator):
    make()
    assert "nothing is being recorded" in operator.stop().message
    first = operator.start()
    assert first.episode_id in operator.start().message
    assert operator.stop().success
    assert "nothing is being recorded" in operator.stop().message


def test_an_inactive_recorder_refuses(ros, operator, spec_file, folder):
    node = make_recorder(ros, spec_file, folder)
    assert "not active" in operator.start().message
    node.trigger_configure()
    assert "not active" in operator.stop().message
    assert not operator.record(1.0).accepted


def test_deactivating_finishes_the_episode(recorder, robot, operator, folder, spec_file):
    path = folder / operator.start().episode_id
    robot.goes_on(8)
    recorder.trigger_deactivate()
    bag = only_bag(path, spec_file)
    assert bag.findings == ()
    assert len(list(bag.frames())) > 2


def test_the_action_records_one_episode(recorder, operator, folder):
    handle = operator.record(1.3)
    assert handle.accepted
    assert not operator.record(1.0).accepted
    answer = result_of(handle.get_result_async())
    assert answer.result.success, answer.result.message
    assert 1.2 <= answer.result.duration_s < 2.5
    found = messages_in(folder / answer.result.episode_id)
    assert sum(map(len, found.values())) == answer.result.messages
    assert operator.feedback and operator.feedback[0].feedback.late_topic == ""


def test_cancelling_the_action_keeps_the_episode(recorder, robot, operator, folder):
    handle = operator.record(0.0)
    robot.goes_on(6)
    handle.cancel_goal_async()
    answer = result_of(handle.get_result_async())
    assert answer.result.success
    assert (folder / answer.result.episode_id / "metadata.yaml").is_file()


def test_a_silent_camera_is_told(make, robot, operator):
    make()
    robot.send = lambda topic, msg, send=robot.send: (
        None if topic == robot.spec.cameras[0].topic else send(topic, msg)
    )
    robot.start()
    handle = operator.record(3.2)
    answer = result_of(handle.get_result_async())
    assert answer.result.success
    assert operator.feedback[-1].feedback.late_topic == robot.spec.cameras[0].topic


def test_the_pedal_starts_stops_and_labels(recorder, robot, operator, folder, spec_file):
    robot.press(0)
    assert wait_for(lambda: recorder._session.current is not None)
    robot.goes_on(6)
    robot.press(1)
    assert wait_for(lambda: recorder._session.last is not None)
    (path,) = folder.iterdir()
    assert only_bag(path, spec_file).episodes[0].outcome == "success"
    robot.press(0)
    assert wait_for(lambda: recorder._session.current is not None)
    robot.press(3)
    assert wait_for(lambda: len(list(folder.iterdir())) == 1)


def test_extra_topics_are_found_by_their_publisher(make, robot, operator, folder):
    node = make(**{"extra_topics": ["joy"], "pedal.topic": ""})
    assert wait_for(lambda: any(s.topic.name == "/joy" for s in node._session.streams))
    path = folder / operator.start().episode_id
    robot.press(0)
    assert wait_for(lambda: node._session.current.messages >= 4)
    operator.stop()
    assert len(messages_in(path)["/joy"]) == 3


@pytest.mark.parametrize("offered", [RELIABLE, SENSOR], ids=["reliable", "best effort"])
def test_a_stream_is_heard_as_well_as_its_publisher_can(ros, make, operator, folder, offered):
    publisher_node = ros.add(rclpy.create_node("speaker", use_global_arguments=False))
    node = make()
    node._listening.add(Topic(topic="/loud", msgtype="std_msgs/msg/String", qos="sensor"), "")
    publisher = publisher_node.create_publisher(String, "/loud", offered)
    (loud,) = (one for one in node._listening._listened if one.topic == "/loud")
    stream = node._session.streams[loud.number]
    assert wait_for(lambda: stream.single)
    assert wait_for(lambda: publisher.get_subscription_count() == 1)
    assert loud.reliability == offered.reliability
    time.sleep(0.3)
    path = folder / operator.start().episode_id
    for k in range(5):
        publisher.publish(String(data=str(k)))
    assert wait_for(lambda: stream.received == 5)
    operator.stop()
    assert len(messages_in(path)["/loud"]) == 5


def test_a_folder_that_is_gone_is_made_anew(recorder, operator, folder):
    folder.rmdir()
    recorder.diagnostics.publish()
    started = operator.start()
    assert started.success, started.message
    assert operator.stop().success


def test_parameter_file_and_declarations_agree():
    (content,) = yaml.safe_load((FRANKA.parents[1] / "recorder.yaml").read_text()).values()
    values = content["ros__parameters"]
    pedal = values.pop("pedal")
    values |= {f"pedal.{name}": value for name, value in pedal.items()}
    assert values == {spec.name: spec.default for spec in specs_of(Settings)}


def test_the_node_is_offered_for_composition():
    assert find_node("a1_recorder.node:RecorderNode").__name__ == "RecorderNode"
