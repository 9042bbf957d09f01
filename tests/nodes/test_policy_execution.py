"""How the policy node's chunks follow each other, over DDS, with plans told by the test."""

import time
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
PLAN_ROWS, PLAN_PERIOD_NS = 49, 25 * MS
AHEAD = 0.05


class TellingController:
    """Takes every chunk at once and tells a plan that stands still, AHEAD of the robot.

    Attributes:
        moving: leading rows of it that are elsewhere.
        late_s: how long it takes to answer.
        numbered: joint 1 is off by a milliradian a chunk, which tells plans apart.
        deaf: chunks are neither taken nor answered.
        changed: what else than the truth its plans say.
    """

    def __init__(self, robot) -> None:
        self.taken: list[tuple[int, int]] = []  # number, time
        self.moving, self.late_s, self.numbered = 0, 0.0, False
        self.deaf, self.changed = False, {}
        self._robot = robot
        self._plans = robot.node.create_publisher(ActionChunkMsg, "a1/plan", RELIABLE)

    def take(self, chunk: ActionChunkMsg) -> None:
        if self.deaf:
            return
        now_ns = self._robot.now_ns()
        rows_HD = np.tile(np.append(ARM + AHEAD, 0.25), (PLAN_ROWS, 1))
        rows_HD[:, 1] += self.numbered * chunk.seq / 1000
        rows_HD[: self.moving, 0] -= 0.01 * np.arange(self.moving, 0, -1)
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
        for field, value in self.changed.items():
            setattr(plan, field, value)
        self.taken.append((chunk.seq, now_ns))
        time.sleep(self.late_s)
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


def test_a_chunk_goes_on_from_the_one_before_it_however_soon_it_is_made(controlled, wait_for):
    """Inferences without a pause, and a controller that takes a while to answer each."""
    _, robot, policy, controller = controlled
    policy.delay_s, controller.late_s, controller.numbered = 0.4, 0.03, True
    seen = len(robot.chunks)
    assert wait_for(lambda: len(robot.chunks) >= seen + 5, 20.0)
    made = {o.stamp_ns: p for o, p in zip(policy.observations, policy.prefixes, strict=False)}
    late = []
    for chunk in robot.chunks[seen + 2 :]:
        prefix = made[stamp_to_ns(chunk.header.stamp)]
        late.append(chunk.seq - 1 - round((prefix.rows_HD[0, 1] - AHEAD) * 1000))
    # On a machine that stands still an answer may come too late to be waited for.
    assert min(late) == np.median(late) == 0


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
    """Its plan has 49 rows and stands still from the 25th on, after 0.6 s: then, not at its end."""
    node, robot, _, controller = controlled
    controller.moving = 24
    tune(node, execution="synchronous")
    assert wait_for(lambda: robot.chunks)
    first = len(robot.chunks)
    assert wait_for(lambda: len(robot.chunks) >= first + 3, 20.0)
    taken_ns = dict(controller.taken)
    waited_ns = []
    for before, after in zip(robot.chunks[first:], robot.chunks[first + 1 :], strict=False):
        waited_ns.append(stamp_to_ns(after.header.stamp) - taken_ns[before.seq])
    assert all(waited >= 24 * PLAN_PERIOD_NS for waited in waited_ns)
    assert min(waited_ns) < (PLAN_ROWS - 1) * PLAN_PERIOD_NS


def test_a_synchronous_chunk_may_rest_before_its_end(controlled, wait_for):
    node, robot, _, _ = controlled
    tune(node, execution="synchronous", executed_rows=5)
    robot.chunks.clear()

    def cut() -> list[np.ndarray]:
        rows_CHD = [msg_to_chunk(chunk).actions_HD for chunk in list(robot.chunks)]
        return [rows_HD for rows_HD in rows_CHD if (rows_HD[5:] == rows_HD[4]).all()]

    assert wait_for(cut)
    rows_HD = cut()[0]
    np.testing.assert_allclose(np.diff(rows_HD[:5], axis=0), 0.01, atol=1e-5)


def test_a_chunk_that_nobody_answered_does_not_end_synchronous_execution(controlled, wait_for):
    node, robot, _, controller = controlled
    tune(node, execution="synchronous")
    assert wait_for(lambda: robot.chunks)
    controller.deaf = True
    heard = len(robot.chunks)
    assert wait_for(lambda: len(robot.chunks) >= heard + 2, 20.0)
    controller.deaf = False
    taken = len(controller.taken)
    assert wait_for(lambda: len(controller.taken) > taken)


@pytest.mark.parametrize(
    "changed",
    [
        {"robot": "another"},
        {"spec_digest": "0" * 64},
        {"action_space": int(ActionSpace.EE_POSE)},
        {"names": ["a", "b", "c", "d", "e", "f", "g", "h"]},
        {"period": ns_to_duration(0)},
        {"data": [float("nan")] * (PLAN_ROWS * 8)},
        {"data": [0.0] * 8},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_plan_of_something_else_is_passed_over(controlled, wait_for, changed):
    node, robot, policy, controller = controlled
    controller.changed = changed
    assert wait_for(lambda: len(controller.taken) >= 2)
    policy.prefixes.clear()
    robot.chunks.clear()
    assert wait_for(lambda: len(robot.chunks) >= 2)
    assert node.state_label == "active"
    controller.changed = {}
    policy.prefixes.clear()
    assert wait_for(lambda: any(prefix is not None for prefix in policy.prefixes))


def test_one_executed_row_is_no_motion(spec_file):
    values = {each.name: each.default for each in specs_of(Settings)}
    with pytest.raises(A1Error, match=r"executed_rows is 1.*give 2 or more"):
        check_execution(
            settings_from(Settings, values | {"executed_rows": 1}), load_spec(spec_file), "fm"
        )


def test_an_observation_that_waits_for_a_long_inference_stays_new(controlled, wait_for):
    """Cameras at 20 Hz, inferences of half a second: none begins with what is much older."""
    _, robot, policy, _ = controlled
    policy.delay_s = 0.5
    robot.chunks.clear()
    assert wait_for(lambda: len(robot.chunks) >= 5, 20.0)
    stamps_ns = [observation.stamp_ns for observation in policy.observations[-4:]]
    # One that was kept since it was due is 0.3 s after the one before.
    assert np.median(np.diff(stamps_ns)) >= 400 * MS


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
