"""Configuring, tuning and taking down the policy node."""

import numpy as np
import pytest
import yaml
from a1_msgs.msg import ExitState, ThresholdsInfo
from policy_rig import CHECKPOINT_DIGEST, FRANKA, Robot, write_quick_spec
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

from a1_core.spec import load_spec
from a1_policy_node.node import PolicyNode
from a1_policy_node.settings import Settings
from a1_ros.compose import find_node
from a1_ros.images import compressed_to_rgb
from a1_ros.parameters import specs_of
from a1_ros.qos import LATCHED, STATUS
from a1_ros.times import stamp_to_ns

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE


def tune(node, **values):
    return node.set_parameters_atomically([Parameter(k, value=v) for k, v in values.items()])


@pytest.mark.parametrize(
    ("parameters", "mend"),
    [
        ({"robot": ""}, "set it to a file of config/robots"),
        ({"robot": "/nowhere/robot.yaml"}, "/nowhere/robot.yaml: no such file"),
        ({"checkpoint": ""}, "set it to a checkpoint's directory"),
        ({"checkpoint": "/nowhere"}, "/nowhere is no directory; train or fetch"),
        (
            {"mode": "fixed", "fixed_exit": 9},
            "block 9 is no exit of the checkpoint; choose one of 1, 2",
        ),
        ({"thresholds": "/nowhere/t.yaml"}, "/nowhere/t.yaml"),
    ],
)
def test_configure_refuses_and_says_what_to_do(
    make_policy_node, heard_lifecycle, wait_for, parameters, mend
):
    node = make_policy_node(**parameters)
    assert node.trigger_configure() is FAILURE
    assert node.state_label == "unconfigured"
    assert wait_for(lambda: any("configure failed" in m and mend in m for m in heard_lifecycle)), (
        heard_lifecycle
    )


def test_configure_refuses_a_checkpoint_of_another_shape(
    make_policy_node, policy, heard_lifecycle, wait_for
):
    policy.horizon = 8
    assert make_policy_node().trigger_configure() is FAILURE
    assert wait_for(lambda: any("(8, 8)" in m and "(16, 8)" in m for m in heard_lifecycle))


def test_configure_refuses_a_camera_with_an_unknown_qos(
    make_policy_node, tmp_path, heard_lifecycle, wait_for
):
    cameras = yaml.safe_load(FRANKA.read_text())["cameras"]
    cameras[1]["qos"] = "fast"
    spec = write_quick_spec(tmp_path / "fast.yaml", cameras=cameras)
    assert make_policy_node(robot=str(spec)).trigger_configure() is FAILURE
    assert wait_for(lambda: any("cameras[1]" in m and "'fast'" in m for m in heard_lifecycle))


def test_a_refused_node_configures_once_mended(make_policy_node, tmp_path):
    node = make_policy_node(checkpoint="/nowhere")
    assert node.trigger_configure() is FAILURE
    assert tune(node, checkpoint=str(tmp_path)).successful
    assert node.trigger_configure() is SUCCESS


def test_the_node_goes_round_with_chunks_each_time(active, wait_for):
    node, robot, _ = active
    for _ in range(2):
        robot.chunks.clear()
        assert robot.ask("touch the red cube").success
        assert wait_for(lambda: robot.chunks)
        assert node.trigger_deactivate() is SUCCESS
        robot.chunks.clear()
        robot.sent_ns.clear()
        assert wait_for(lambda: len(robot.sent_ns) >= 3)
        assert robot.chunks == []
        assert node.trigger_cleanup() is SUCCESS
        assert node.trigger_configure() is SUCCESS
        assert node.trigger_activate() is SUCCESS


def test_the_mode_changes_while_it_runs(running, wait_for):
    node, robot, policy = running
    assert wait_for(lambda: robot.exit_states)
    assert tune(node, mode="fixed", fixed_exit=2).successful
    assert wait_for(lambda: robot.exit_states[-1].exit_layer == 3)
    assert robot.chunks[-1].exit_layer == 3
    assert tune(node, deadline_ms=40.0).successful
    assert wait_for(lambda: policy.deadlines[-1] == 0.04)
    policy.cut_short = True
    assert wait_for(lambda: robot.exit_states[-1].reason == ExitState.DEADLINE)
    policy.cut_short = False

    def cut_short_as_told() -> int:
        node.diagnostics.publish()
        told = [s.values for s in list(robot.diagnostics) if s.name == "/policy: inference"]
        values = {pair.key: pair.value for pair in told[-1]} if told else {}
        return int(values.get("cut short by the deadline, not certified", 0))

    assert wait_for(lambda: cut_short_as_told() >= 1)
    assert tune(node, mode="full", deadline_ms=0.0).successful
    assert wait_for(lambda: robot.exit_states[-1].exit_layer == 8 and policy.deadlines[-1] is None)
    assert len(robot.sessions()) == 1


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"mode": "fast"}, "not one of adaptive, fixed, full"),
        ({"mode": "fixed", "fixed_exit": 9}, "no exit of the checkpoint"),
        ({"thresholds": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"robot": "other.yaml"}, "clean up the node first"),
        ({"checkpoint": "other"}, "clean up the node first"),
        ({"deadline_ms": -1.0}, "deadline_ms"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_and_nothing_changes(running, values, why):
    node, _, _ = running
    before = dict(node.parameters.values())
    result = tune(node, **values)
    assert not result.successful
    assert why in result.reason
    assert dict(node.parameters.values()) == before


def test_how_exits_are_chosen_is_latched(ros, make_policy_node, wait_for):
    node = make_policy_node(mode="fixed", fixed_exit=3)
    node.trigger_configure()
    infos = []
    ros.node("late").create_subscription(
        ThresholdsInfo, "a1/thresholds_info", infos.append, LATCHED
    )
    assert wait_for(lambda: infos)
    assert (infos[0].mode, infos[0].fixed_exit) == (ThresholdsInfo.FIXED, 2)
    assert infos[0].checkpoint_digest == CHECKPOINT_DIGEST
    assert infos[0].thresholds_digest == ""
    assert list(infos[0].exits) == [2, 3, 4, 5, 6, 7, 8]
    tune(node, mode="full")
    assert wait_for(lambda: infos[-1].mode == ThresholdsInfo.FULL and infos[-1].fixed_exit == -1)


def test_parameter_file_and_declarations_agree():
    text = (FRANKA.parents[1] / "policy.yaml").read_text()
    (content,) = yaml.safe_load(text).values()
    assert content["ros__parameters"] == {spec.name: spec.default for spec in specs_of(Settings)}


def test_the_node_is_offered_for_composition():
    assert find_node("a1_policy_node.node:PolicyNode") is PolicyNode


def test_a_compressed_camera_is_decoded(ros, make_policy_node, policy, tmp_path, wait_for):
    cameras = yaml.safe_load((tmp_path / "quick.yaml").read_text())["cameras"]
    cameras[1]["type"] = "compressed"
    path = write_quick_spec(tmp_path / "compressed.yaml", cameras=cameras)
    robot = Robot(ros, load_spec(path))
    node = make_policy_node(robot=str(path))
    node.trigger_configure()
    node.trigger_activate()
    robot.start()
    assert robot.ask("touch the red cube").success
    assert wait_for(lambda: robot.chunks)
    robot.stop()
    front, wrist = policy.observations[-1].images.values()
    assert wrist.shape == (32, 32, 3)
    assert np.abs(front.astype(int) - wrist).max() <= 3


def test_thumbnails_show_what_the_policy_acted_on(ros, make_policy_node, robot, policy, wait_for):
    node = make_policy_node(thumbnail_rate=30.0)
    node.trigger_configure()
    node.trigger_activate()
    policy.observations.clear()
    robot.start()
    policy.delay_s = 0.2  # most camera ticks are seen by nobody
    assert robot.ask("touch the red cube").success
    assert wait_for(lambda: robot.chunks)
    seen = []
    ros.node("viewer").create_subscription(CompressedImage, "a1/thumbnails", seen.append, STATUS)
    assert wait_for(lambda: len({stamp_to_ns(msg.header.stamp) for msg in seen}) >= 3)
    acted_on = {o.stamp_ns: o.images for o in list(policy.observations)}
    for msg in list(seen):
        front, wrist = acted_on[stamp_to_ns(msg.header.stamp)].values()
        pixels = np.concatenate([front, wrist], axis=1).astype(int)
        assert np.abs(pixels - compressed_to_rgb(msg)).max() <= 3


def test_thumbnails_show_all_cameras(ros, running, wait_for):
    seen = []
    ros.node("viewer").create_subscription(CompressedImage, "a1/thumbnails", seen.append, STATUS)
    assert wait_for(lambda: seen)
    assert seen[0].header.frame_id == "front|wrist"
    assert compressed_to_rgb(seen[0]).shape == (32, 64, 3)
