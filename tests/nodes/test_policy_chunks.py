"""Chunks and refusals of the policy node over DDS: what goes in decides what comes out."""

import itertools

import numpy as np
import pytest
from a1_msgs.msg import ExitState
from policy_rig import ARM, CHECKPOINT_DIGEST
from sensor_msgs.msg import JointState

from a1_ros.messages import msg_to_chunk

EXPECTED_STATE = np.append(ARM, 0.25)


def test_a_chunk_says_what_it_was_made_of(running, wait_for):
    _node, robot, _policy = running
    assert wait_for(lambda: len(robot.chunks) >= 3 and len(robot.exit_states) >= 3)
    chunk = msg_to_chunk(robot.chunks[0])
    assert chunk.stamp_ns in robot.sent_ns
    assert chunk.names == robot.spec.action_names
    assert chunk.robot == "franka"
    assert chunk.spec_digest == robot.spec.digest
    assert chunk.checkpoint_digest == CHECKPOINT_DIGEST
    assert chunk.thresholds_digest == ""
    assert chunk.base_frame == robot.spec.base_frame
    assert (chunk.action_space, chunk.delta_base) == (
        robot.spec.policy.action_space,
        robot.spec.policy.delta_base,
    )
    assert chunk.period_ns == 100_000_000
    rows = np.arange(16)[:, None] / 100 + EXPECTED_STATE
    np.testing.assert_allclose(chunk.actions_HD, rows, atol=1e-6)
    assert [c.seq for c in robot.chunks[:3]] == [1, 2, 3]
    assert len(robot.sessions()) == 1


def test_the_exit_state_belongs_to_its_chunk(running, wait_for):
    _, robot, _ = running
    assert wait_for(lambda: robot.chunks and robot.exit_states)
    state = robot.exit_states[0]
    assert (state.seq, state.header) == (robot.chunks[0].seq, robot.chunks[0].header)
    assert (state.exit_layer, state.num_layers, state.reason) == (8, 8, ExitState.FULL)
    stages = [state.preprocess_ms, state.vision_ms, state.backbone_ms, state.head_ms]
    assert stages == [1.0, 2.0, 3.0, 4.0] and state.total_ms == 10.0
    assert state.observation_age_ms > 0.0
    assert state.wait_ms >= 0.0
    assert state.publish_ms > 0.0
    assert state.camera_skew_ms == 0.0
    assert list(state.exits_evaluated) == [0, 1]
    assert np.isnan(state.discrepancies[0]) and state.discrepancies[1] == 0.5


def test_the_policy_sees_the_cameras_in_order_and_the_instruction(running, wait_for):
    _, _, policy = running
    assert wait_for(lambda: policy.observations)
    seen = policy.observations[-1]
    assert list(seen.images) == ["front", "wrist"]
    assert seen.images["front"].shape == (32, 32, 3)
    assert seen.instruction == "touch the red cube"


def test_the_order_of_joints_does_not_matter(running, wait_for):
    _, robot, _ = running
    robot.mend(reversed_joints=True)
    assert wait_for(lambda: len(robot.chunks) >= 2)
    robot.chunks.clear()
    assert wait_for(lambda: robot.chunks)
    rows = msg_to_chunk(robot.chunks[-1]).actions_HD
    np.testing.assert_allclose(rows[0], EXPECTED_STATE, atol=1e-6)


REFUSALS = {
    "first camera missing": ({"silent": {"front"}}, "CAMERA_", "front"),
    "second camera missing": ({"silent": {"wrist"}}, "CAMERA_", "wrist"),
    "frozen camera": ({"frozen": {"wrist"}, "moving": True}, "CAMERA_FROZEN", "wrist"),
    "skewed camera": ({"skew_ns": {"wrist": 230_000_000}}, "CAMERA_", "wrist"),
    "camera of the wrong size": ({"shapes": {"wrist": (16, 16)}}, "CAMERA_SIZE", "wrist"),
    "camera of an unknown encoding": ({"encoding": "bayer_rggb8"}, "CAMERA_ENCODING", "publish"),
    "joint missing": ({"missing_joint": True}, "JOINT_MISSING", "fr3_joint1"),
    "joint state silent": (
        {"silent": {"/franka/joint_states"}},
        "STATE_STALE",
        "/franka/joint_states",
    ),
    "joint state not a number": ({"not_a_number": True}, "STATE_NON_FINITE", "fr3_joint1"),
}


@pytest.mark.parametrize(("faults", "code", "names"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_bad_observation_gives_no_chunk_but_a_reason_and_then_resumes(
    running, wait_for, faults, code, names
):
    _node, robot, _ = running
    assert wait_for(lambda: robot.chunks)
    robot.mend(**faults)

    def refused():
        return any(code in m and names in m for m in robot.messages("inference"))

    assert wait_for(refused), robot.messages("inference")[-2:] + robot.messages("inputs")[-2:]
    refusal = robot.refusals[-1]
    assert refusal.code.startswith(code) and names in refusal.message
    assert refusal.header.frame_id == robot.spec.base_frame
    robot.chunks.clear()
    frames = len(robot.sent_ns)
    assert wait_for(lambda: len(robot.sent_ns) >= frames + 6)
    assert robot.chunks == []
    robot.mend()
    assert wait_for(lambda: len(robot.chunks) >= 2)
    assert wait_for(lambda: robot.messages("inference")[-1] == "running")


def test_actions_that_are_not_finite_are_not_published(running, wait_for):
    _, robot, policy = running
    assert wait_for(lambda: robot.chunks)
    policy.poison = True
    assert wait_for(lambda: any("OUTPUT_NON_FINITE" in m for m in robot.messages("inference")))
    stamps = {refusal.header.stamp.sec for refusal in robot.refusals}
    assert stamps and 0 not in stamps
    robot.chunks.clear()
    seen = len(policy.observations)
    assert wait_for(lambda: len(policy.observations) >= seen + 3)
    assert robot.chunks == []
    policy.poison = False
    assert wait_for(lambda: robot.chunks)


def test_late_images_are_dropped_and_counted(running, wait_for):
    _, robot, _ = running
    assert wait_for(lambda: robot.chunks)
    robot.send_images(robot.now_ns() - 10_000_000_000)

    def counted():
        statuses = [s for s in list(robot.diagnostics) if s.name == "/policy: inputs"]
        values = {v.key: v.value for s in statuses[-1:] for v in s.values}
        return values.get("camera front dropped") not in (None, "0")

    assert wait_for(counted)
    robot.chunks.clear()
    assert wait_for(lambda: robot.chunks)


def test_a_slow_policy_does_not_hold_up_callbacks(ros, running, wait_for):
    """While one inference runs, dozens of joint states and several images pass."""
    node, robot, policy = running
    assert wait_for(lambda: robot.chunks)
    policy.delay_s = 0.3
    begun = len(policy.observations)
    assert wait_for(lambda: len(policy.observations) > begun)
    heard = []
    topic = robot.spec.state_sources[0].topic
    node.create_subscription(JointState, topic, lambda msg: heard.append(len(robot.chunks)), 10)
    finished = len(robot.chunks)
    assert wait_for(lambda: len(robot.chunks) >= finished + 3)
    during_one = max(heard.count(number) for number in set(heard))
    assert during_one >= 10


def test_the_worker_takes_the_newest_observation(running, wait_for):
    _, robot, policy = running
    policy.delay_s = 0.3
    assert wait_for(lambda: len(robot.chunks) >= 4)
    stamps = [msg_to_chunk(c).stamp_ns for c in robot.chunks]
    assert stamps == sorted(stamps)
    used = itertools.pairwise(stamps[1:])
    passed_over = [s for earlier, later in used for s in robot.sent_ns if earlier < s < later]
    assert passed_over


def test_a_broken_policy_ends_the_run_loudly_and_can_be_started_again(running, wait_for):
    node, robot, policy = running
    assert wait_for(lambda: robot.chunks)
    policy.error = RuntimeError("out of memory")
    assert wait_for(lambda: any("out of memory" in m for m in robot.messages("inference")))
    policy.error = None
    node.trigger_deactivate()
    node.trigger_activate()
    robot.chunks.clear()
    assert wait_for(lambda: robot.ask("touch the red cube").success)
    assert wait_for(lambda: robot.chunks)
