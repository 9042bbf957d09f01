"""Committed rows, soft mask, told plans and ensembles against their formulas."""

import math
from pathlib import Path

import numpy as np
import pytest

from a1_core.chunk import ActionSpace, DeltaBase, rows_in_space
from a1_core.ensembling import ensembled
from a1_core.errors import A1Error
from a1_core.plan_in_hand import PlanInHand, ToldPlan
from a1_core.prefix import Prefix, make_prefix, soft_mask
from a1_core.spec import RobotSpec, load_spec

MS = 1_000_000
NAMES = ("a", "b", "gripper")


@pytest.fixture(scope="module")
def spec() -> RobotSpec:
    return load_spec(Path(__file__).parents[2] / "config/robots/franka.yaml")


def plan(rows, *, seq=1, stamp_ms=0, period_ms=100, names=NAMES) -> ToldPlan:
    return ToldPlan(
        seq=seq,
        stamp_ns=stamp_ms * MS,
        period_ns=period_ms * MS,
        names=names,
        rows_HD=np.asarray(rows, np.float64),
    )


def ramp(rows: int, *, opens_at: int = 99) -> np.ndarray:
    """Column a: 0, 1, 2, ...; b: ten times that; the gripper opens at a row."""
    row = np.arange(rows, dtype=np.float64)
    return np.column_stack([row, 10.0 * row, (row >= opens_at).astype(np.float64)])


@pytest.mark.parametrize(("horizon", "committed", "executed"), [(16, 4, 5), (8, 1, 2), (50, 7, 25)])
def test_the_soft_mask_is_that_of_the_paper(horizon: int, committed: int, executed: int) -> None:
    weight_H = soft_mask(horizon, committed, horizon - executed)
    for i, weight in enumerate(weight_H):
        c = (horizon - executed - i) / (horizon - executed - committed + 1)
        wanted = 1.0 if i < committed else c * (math.e**c - 1) / (math.e - 1)
        assert weight == pytest.approx(wanted if i < horizon - executed else 0.0, abs=1e-6)


def test_without_soft_rows_the_mask_is_hard() -> None:
    np.testing.assert_array_equal(soft_mask(6, 2, 2), [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(soft_mask(4, 0, 0), np.zeros(4))


def test_a_prefix_is_the_plan_on_the_row_times_of_the_new_chunk(spec: RobotSpec) -> None:
    arm = len(spec.joint_names)
    rows_HD = np.arange(40.0)[:, None] * 0.01 * np.arange(1, arm + 2)
    rows_HD[:, arm] = np.arange(40) >= 12
    told = plan(rows_HD, stamp_ms=20, period_ms=25, names=spec.action_names)
    state_D = np.linspace(-0.2, 0.2, spec.dim)
    prefix = make_prefix(
        told, spec, stamp_ns=105 * MS, state_D=state_D, delay_ns=330 * MS, soft_rows=3
    )
    assert prefix.committed_rows == 4  # rows due 0, 100, 200 and 300 ms after the observation
    # The plan is at its row (105 - 20) / 25 = 3.4 then; offsets are from the state observed.
    phase_H = np.minimum(3.4 + 4.0 * np.arange(16), 39.0)
    arm_HJ = phase_H[:, None] * 0.01 * np.arange(1, arm + 1) - state_D[:arm]
    np.testing.assert_allclose(prefix.rows_HD[:, :arm], arm_HJ, atol=1e-6)
    np.testing.assert_array_equal(prefix.rows_HD[:, arm], phase_H.astype(int) >= 12)
    wanted_H = soft_mask(16, 4, 7)
    np.testing.assert_array_equal(prefix.weight_HD[:, 0], wanted_H)
    assert wanted_H[4:7].all() and not wanted_H[7:].any()
    np.testing.assert_array_equal(prefix.weight_HD[:, arm], np.arange(16) < 4)


def test_nothing_is_known_behind_the_end_of_a_plan(spec: RobotSpec) -> None:
    told = plan(np.zeros((3, spec.dim)), names=spec.action_names)  # at rest after 200 ms
    prefix = make_prefix(
        told, spec, stamp_ns=0, state_D=np.zeros(spec.dim), delay_ns=50 * MS, soft_rows=9
    )
    np.testing.assert_array_equal(prefix.weight_HD[:, 0] > 0.0, np.arange(16) < 3)


def test_no_more_than_half_of_a_chunk_is_committed(spec: RobotSpec) -> None:
    told = plan(np.zeros((30, spec.dim)), names=spec.action_names)
    prefix = make_prefix(
        told, spec, stamp_ns=0, state_D=np.zeros(spec.dim), delay_ns=5000 * MS, soft_rows=0
    )
    assert prefix.committed_rows == 8


@pytest.mark.parametrize(
    ("rows_HD", "weight_HD", "names"),
    [
        (np.zeros((4, 2)), np.zeros((3, 2)), r"\[H, D\]"),
        (np.full((4, 2), np.nan), np.zeros((4, 2)), "finite"),
        (np.zeros((4, 2)), np.full((4, 2), 1.5), r"\[0, 1\]"),
    ],
)
def test_a_prefix_that_cannot_be_is_refused(rows_HD, weight_HD, names) -> None:
    with pytest.raises(A1Error, match=names):
        Prefix(rows_HD=rows_HD.astype(np.float32), weight_HD=weight_HD.astype(np.float32))


def test_plans_are_read_between_their_rows_and_kept_at_their_ends() -> None:
    told = plan(ramp(4, opens_at=2), stamp_ms=1000)
    times = np.array([900, 1000, 1150, 1299, 1300, 9000]) * MS
    rows_HD = told.rows_at(times)
    np.testing.assert_allclose(rows_HD[:, 0], [0.0, 0.0, 1.5, 2.99, 3.0, 3.0])
    np.testing.assert_allclose(rows_HD[:, 1], 10.0 * rows_HD[:, 0])
    np.testing.assert_array_equal(rows_HD[:, 2], [0, 0, 0, 1, 1, 1])
    assert told.end_ns == 1300 * MS


def test_a_plan_is_in_hand_until_it_rests() -> None:
    hand = PlanInHand()
    assert hand.at(0) is None
    told = plan(ramp(4), stamp_ms=1000)
    hand.note_plan(told, ours=False)
    assert hand.at(1299 * MS) is told
    assert hand.at(1300 * MS) is None


def test_the_delay_is_the_longest_of_the_last_measured() -> None:
    hand = PlanInHand()
    assert hand.delay_ns(70) == 70
    for seq, late_ms in enumerate([120, 340, 90], start=1):
        hand.note_sent(seq, 1000 * seq * MS)
        hand.note_plan(plan(ramp(4), seq=seq, stamp_ms=1000 * seq + late_ms), ours=True)
        # A brake in the middle of it is another plan, and no second measurement.
        hand.note_plan(plan(ramp(2), seq=seq, stamp_ms=1000 * seq + 900), ours=True)
    assert hand.delay_ns(70) == 340 * MS
    for seq in range(4, 14):
        hand.note_sent(seq, 1000 * seq * MS)
        hand.note_plan(plan(ramp(4), seq=seq, stamp_ms=1000 * seq + 50), ours=True)
    assert hand.delay_ns(70) == 50 * MS


def test_only_plans_of_the_own_session_measure_a_delay() -> None:
    hand = PlanInHand()
    hand.note_sent(1, 0)
    hand.note_plan(plan(ramp(4), seq=1, stamp_ms=500), ours=False)
    assert hand.delay_ns(70) == 70
    hand.forget_sent()
    hand.note_plan(plan(ramp(4), seq=1, stamp_ms=600), ours=True)
    assert hand.delay_ns(70) == 70


def test_an_ensemble_weighs_by_age_what_speaks_of_the_same_moment() -> None:
    first = plan(np.full((4, 3), 1.0), seq=1, stamp_ms=0)
    second = plan(np.full((4, 3), 2.0), seq=2, stamp_ms=200)
    newest = plan(np.full((4, 3), 4.0), seq=3, stamp_ms=300)
    m = 0.5
    w = [1.0, math.exp(-m), math.exp(-2 * m)]
    rows_HD = ensembled(newest, [first, second], decay=m)
    wanted = [
        (w[0] * 1.0 + w[1] * 2.0 + w[2] * 4.0) / sum(w),  # 300 ms: all three
        (w[0] * 2.0 + w[1] * 4.0) / (w[0] + w[1]),  # 400 and 500 ms: the first has ended
        (w[0] * 2.0 + w[1] * 4.0) / (w[0] + w[1]),
        4.0,  # 600 ms: the newest alone
    ]
    np.testing.assert_allclose(rows_HD[:, 0], wanted)
    np.testing.assert_allclose(ensembled(newest, [], decay=m), newest.rows_HD)


@pytest.mark.parametrize("base", list(DeltaBase))
def test_rows_in_a_space_are_the_inverse_of_absolute_rows(base: DeltaBase) -> None:
    rows_HD, state_D = ramp(5, opens_at=3), np.array([0.4, -0.2, 0.7])
    said_HD = rows_in_space(
        rows_HD, state_D, action_space=ActionSpace.JOINT_DELTA, delta_base=base, names=NAMES
    )
    np.testing.assert_array_equal(said_HD[:, 2], rows_HD[:, 2])
    back_HJ = said_HD[:, :2]
    if base is DeltaBase.PREVIOUS_ROW:
        back_HJ = np.cumsum(back_HJ, axis=0)
    np.testing.assert_allclose(state_D[:2] + back_HJ, rows_HD[:, :2], atol=1e-12)
    with pytest.raises(A1Error, match="EE_POSE"):
        rows_in_space(
            rows_HD, state_D, action_space=ActionSpace.EE_POSE, delta_base=base, names=NAMES
        )
