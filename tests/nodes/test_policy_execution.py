"""How the policy node's chunks follow each other, over DDS, with plans told by the test."""

from dataclasses import replace

import numpy as np
import pytest
from a1_msgs.msg import ActionChunk as ActionChunkMsg
from policy_rig import ARM
from rclpy.parameter import Parameter

from a1_core.chunk import ActionSpace
from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_policy_node.execution import check_execution
from a1_policy_node.settings import Settings
from a1_ros.messages import msg_to_chunk
from a1_ros.parameters import settings_from, specs_of
from a1_ros.qos import RELIABLE
from a1_ros.times import ns_to_duration, ns_to_stamp, stamp_to_ns

MS = 1_000_000
PLAN_ROWS, PLAN_PERIOD_NS = 49, 25 * MS  # at rest after 1.2 s
AHEAD = 0.05


class TellingController:
    """Takes every chunk at once and tells a plan that stands still, AHEAD of the robot."""

    def __init__(self, robot) -> None:
        self.taken: list[tuple[int, int]] = []  # number, time
        self._robot = robot
        self._plans = robot.node.create_publisher(ActionChunkMsg, "a1/plan", RELIABLE)

    def take(self, chunk: ActionChunkMsg) -> None:
        now_ns = self._robot.now_ns()
        rows_HD = np.tile(np.append(ARM + AHEAD, 0.25), (PLAN_ROWS, 1))
        plan = ActionChunkMsg(
            session_id=chunk.session_id,
            seq=chunk.seq,
            robot=chunk.robot,
            spec_digest=chunk.spec_digest,
            action_space=int(ActionSpace.JOINT_POSITION),
            period=ns_to_duration(PLAN_PERIOD_NS),
            valid_for=ns_to_duration(PLAN_PERIOD_NS),
            horizon=PLAN_ROWS,
            dim=rows_HD.shape[1],
            names=chunk.names,
            data=rows_HD.astype(np.float32).ravel().tolist(),
        )
        plan.header.stamp = ns_to_stamp(now_ns)
        self.taken.append((chunk.seq, now_ns))
        self._plans.publish(plan)


@pytest.fixture
def controlled(running, wait_for):
    """(node, robot, policy, controller): every chunk is taken and told of."""
    node, robot, policy = running
    tune(node, execution="real_time")
    controller = TellingController(robot)
    assert wait_for(lambda: robot.node.count_subscribers("a1/plan"))
    robot.on_chunk = controller.take
    return node, robot, policy, controller


def tune(node, **values):
    result = node.set_parameters_atomically([Parameter(k, value=v) for k, v in values.items()])
    assert result.successful, result.reason


def test_a_chunk_goes_on_from_the_plan_that_was_told(controlled, wait_for):
    _, robot, policy, _ = controlled
    assert wait_for(lambda: any(prefix is not None for prefix in policy.prefixes))
    prefix = next(prefix for prefix in policy.prefixes if prefix is not None)
    # The plan stands AHEAD of the state that is observed; actions are offsets from it.
    np.testing.assert_allclose(prefix.rows_HD[:, :7], AHEAD, atol=1e-5)
    assert prefix.committed_rows >= 1
    assert wait_for(lambda: any(chunk.committed_rows for chunk in robot.chunks))
    committed = next(chunk.committed_rows for chunk in robot.chunks if chunk.committed_rows)
    assert committed == prefix.committed_rows


def test_the_delay_that_was_measured_is_committed(controlled, wait_for):
    _, robot, policy, _ = controlled
    policy.delay_s = 0.25
    robot.chunks.clear()
    # The observation is older than 0.25 s when the chunk is taken: rows 0, 1 and 2 are past.
    assert wait_for(lambda: any(chunk.committed_rows >= 3 for chunk in robot.chunks))
    assert all(chunk.committed_rows <= 8 for chunk in robot.chunks)


def test_free_chunks_commit_nothing(controlled, wait_for):
    node, robot, policy, _ = controlled
    tune(node, execution="asynchronous")
    assert wait_for(lambda: len(robot.chunks) >= 2)
    policy.prefixes.clear()
    robot.chunks.clear()
    assert wait_for(lambda: len(robot.chunks) >= 3)
    assert not any(chunk.committed_rows for chunk in robot.chunks[1:])
    assert policy.prefixes[1:] == [None] * len(policy.prefixes[1:])


def test_a_warm_start_begins_at_the_plan_and_commits_nothing(controlled, wait_for):
    node, _, policy, _ = controlled
    tune(node, execution="asynchronous", warm_start=True)
    policy.prefixes.clear()
    assert wait_for(lambda: any(p is not None and p.guess for p in policy.prefixes))
    prefix = next(p for p in policy.prefixes if p is not None and p.guess)
    np.testing.assert_allclose(prefix.rows_HD[:, :7], AHEAD, atol=1e-5)
    assert not prefix.weight_HD.any()


def test_synchronous_chunks_are_made_at_rest(controlled, wait_for):
    node, robot, _, controller = controlled
    tune(node, execution="synchronous")
    assert wait_for(lambda: robot.chunks)
    first = len(robot.chunks)
    assert wait_for(lambda: len(robot.chunks) >= first + 2, 20.0)
    taken_ns = dict(controller.taken)
    for before, after in zip(robot.chunks[first - 1 :], robot.chunks[first:], strict=False):
        rests_ns = taken_ns[before.seq] + (PLAN_ROWS - 1) * PLAN_PERIOD_NS
        assert stamp_to_ns(after.header.stamp) >= rests_ns


def test_an_ensemble_is_the_mean_of_what_was_said(controlled, wait_for):
    """Each chunk says one line of the rows' time: later chunks agree with it less and less."""
    node, robot, _, _ = controlled
    tune(node, execution="ensemble", ensemble_decay=0.0)
    seen = len(robot.chunks)
    assert wait_for(lambda: len(robot.chunks) >= seen + 4)
    rows_HD = msg_to_chunk(robot.chunks[-1]).actions_HD
    free_HD = np.arange(16)[:, None] / 100 + np.append(ARM, 0.25)
    # Older chunks have gone further up the same line by the time of row 0, so the mean is above.
    assert (rows_HD[0, :7] > free_HD[0, :7] + 1e-4).all()
    np.testing.assert_allclose(rows_HD[15], free_HD[15], atol=1e-5)  # nobody else says row 15


def test_rows_of_a_tip_are_not_taken_for_rows_of_joints(spec_file):
    spec = load_spec(spec_file)
    tip = replace(spec, policy=replace(spec.policy, action_space=ActionSpace.EE_POSE))
    values = {each.name: each.default for each in specs_of(Settings)}
    with pytest.raises(A1Error, match="set execution to asynchronous"):
        check_execution(settings_from(Settings, values | {"execution": "ensemble"}), tip, "fm")
    check_execution(settings_from(Settings, values | {"execution": "asynchronous"}), tip, "fm")


@pytest.mark.parametrize(
    ("space", "head"), [(ActionSpace.EE_POSE, "fm"), (ActionSpace.JOINT_DELTA, "mlp")]
)
def test_what_has_no_flow_of_joints_has_no_warm_start(spec_file, space, head):
    spec = load_spec(spec_file)
    spec = replace(spec, policy=replace(spec.policy, action_space=space))
    values = {each.name: each.default for each in specs_of(Settings)} | {"warm_start": True}
    with pytest.raises(A1Error, match="set warm_start to false"):
        check_execution(settings_from(Settings, values), spec, head)
    joints = replace(spec, policy=replace(spec.policy, action_space=ActionSpace.JOINT_DELTA))
    check_execution(settings_from(Settings, values), joints, "fm")
