"""What the controller tells of its plan, and that rows which are committed are not changed."""

import numpy as np
from a1_msgs.msg import ActionChunk, ChunkVerdict
from controller_bench import SPEC

from a1_core.plan_in_hand import ToldPlan
from a1_ros.messages import msg_to_chunk
from a1_ros.qos import RELIABLE
from a1_ros.times import stamp_to_ns

COMMITTED = 6
MS = 1_000_000


def listen(rig) -> list[ActionChunk]:
    plans: list[ActionChunk] = []
    rig.operator.create_subscription(ActionChunk, "a1/plan", plans.append, RELIABLE)
    assert rig.wait_for(lambda: rig.operator.count_publishers("a1/plan"))
    return plans


def told_of(rig, plans, seq: int) -> ToldPlan:
    assert rig.wait_for(lambda: any(plan.seq == seq for plan in plans)), rig.operator.verdicts
    plan = next(plan for plan in plans if plan.seq == seq)
    return ToldPlan.of(msg_to_chunk(plan), SPEC)


def test_committed_rows_are_not_changed(rig):
    rig.tracking()
    rig.operator.drive(False)
    plans = listen(rig)
    rig.operator.reach = 0.3
    before = told_of(rig, plans, rig.operator.send())
    rig.operator.reach = -0.3
    seq = rig.operator.send(committed_rows=COMMITTED)
    after = told_of(rig, plans, seq)
    assert rig.operator.verdicts[-1].code == ChunkVerdict.ACCEPTED
    period_ns = stamp_to_ns(rig.operator.last_chunk.period)
    own_ns = stamp_to_ns(rig.operator.last_chunk.header.stamp) + COMMITTED * period_ns
    assert before.stamp_ns < after.stamp_ns < own_ns < before.end_ns
    committed_ns = np.arange(after.stamp_ns, own_ns, 5 * MS)
    np.testing.assert_allclose(
        after.rows_at(committed_ns)[:, :7], before.rows_at(committed_ns)[:, :7], atol=2e-3
    )
    later_ns = np.array([own_ns + 500 * MS])
    apart = after.rows_at(later_ns)[0, 0] - before.rows_at(later_ns)[0, 0]
    assert apart < -0.05


def test_a_told_plan_is_what_the_arm_is_commanded(rig):
    rig.tracking()
    rig.operator.drive(False)
    plans = listen(rig)
    told = told_of(rig, plans, rig.operator.send())
    assert told.names == tuple(rig.operator.states[-1].names)
    rig.operator.states.clear()
    assert rig.wait_for(
        lambda: (
            rig.operator.states
            and stamp_to_ns(rig.operator.states[-1].header.stamp) > told.stamp_ns + 300 * MS
        )
    )
    states = [state for state in rig.operator.states if state.seq == rig.operator.seq]
    assert states
    times = np.array([stamp_to_ns(state.header.stamp) for state in states])
    commanded = np.array([state.position for state in states])
    np.testing.assert_allclose(told.rows_at(times)[:, :7], commanded[:, :7], atol=2e-3)


def test_a_brake_is_told_as_a_plan_of_nobody(rig):
    rig.tracking()
    plans = listen(rig)
    assert rig.operator.call("stop").success
    assert rig.wait_for(lambda: plans and plans[-1].seq == 0)
    told = ToldPlan.of(msg_to_chunk(plans[-1]), SPEC)
    assert not bytes(plans[-1].session_id.uuid).strip(b"\0")
    speed_J = np.abs(np.diff(told.rows_HD[-2:, :7], axis=0)).max()
    assert speed_J < 1e-2  # it ends at rest
