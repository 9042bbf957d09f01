from dataclasses import replace

import numpy as np
import pytest

from a1_core.chunk import (
    ActionChunk,
    ActionSpace,
    DeltaBase,
    RotationKind,
    Source,
    absolute_rows,
    cut_short,
    is_gripper,
)
from a1_core.errors import A1Error

CHUNK = ActionChunk(
    stamp_ns=0,
    session_id="00000000-0000-0000-0000-000000000001",
    seq=1,
    source=Source.POLICY,
    robot="franka",
    spec_digest="",
    action_space=ActionSpace.JOINT_DELTA,
    delta_base=DeltaBase.OBSERVED,
    rotation=RotationKind.QUATERNION_XYZW,
    tip_frame="",
    base_frame="base",
    period_ns=100_000_000,
    valid_for_ns=1_000_000_000,
    committed_rows=0,
    end_of_substep=0.0,
    exit_layer=0,
    checkpoint_digest="",
    thresholds_digest="",
    names=("a", "b", "gripper"),
    actions_HD=np.array([[0.5, -1, 1], [1, 2, 0.25]], np.float32),
)
BASE = np.array([10.0, 20.0, 0.5])


def test_offsets_from_the_observed_state_leave_the_gripper_absolute() -> None:
    np.testing.assert_array_equal(absolute_rows(CHUNK, BASE), [[10.5, 19, 1], [11, 22, 0.25]])


def test_offsets_from_the_row_before_add_up() -> None:
    chunk = replace(CHUNK, delta_base=DeltaBase.PREVIOUS_ROW)
    np.testing.assert_array_equal(absolute_rows(chunk, BASE), [[10.5, 19, 1], [11.5, 21, 0.25]])


def test_positions_stay() -> None:
    chunk = replace(CHUNK, action_space=ActionSpace.JOINT_POSITION)
    np.testing.assert_array_equal(absolute_rows(chunk, BASE), CHUNK.actions_HD)


def test_tool_spaces_have_no_joint_rows() -> None:
    with pytest.raises(A1Error, match="EE_DELTA"):
        absolute_rows(replace(CHUNK, action_space=ActionSpace.EE_DELTA), BASE)


def test_base_of_the_wrong_size() -> None:
    with pytest.raises(A1Error, match="base_state_D"):
        absolute_rows(CHUNK, BASE[:2])


@pytest.mark.parametrize(
    "change",
    [
        {"actions_HD": np.zeros((2, 4), np.float32)},
        {"actions_HD": np.zeros((0, 3), np.float32)},
        {"period_ns": 0},
        {"valid_for_ns": -1},
        {"committed_rows": 3},
    ],
)
def test_impossible_chunks(change: dict) -> None:
    with pytest.raises(A1Error, match=next(iter(change))):
        replace(CHUNK, **change)


def test_nan_is_for_the_gate_not_for_an_exception() -> None:
    replace(CHUNK, actions_HD=np.full((2, 3), np.nan, np.float32))


def test_gripper_names() -> None:
    assert [is_gripper(name) for name in ("gripper", "left_gripper", "gripper_joint")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("age_ms", "committed", "rows"), [(0, 0, 2), (40, 0, 3), (100, 0, 3), (350, 0, 6), (0, 5, 5)]
)
def test_a_chunk_that_is_cut_short_ends_where_the_arm_can_come_to_rest(age_ms, committed, rows):
    actions_HD = np.arange(30, dtype=np.float32).reshape(10, 3)
    chunk = replace(CHUNK, stamp_ns=7, actions_HD=actions_HD, committed_rows=committed)
    short = cut_short(chunk, 7 + age_ms * 1_000_000)
    np.testing.assert_array_equal(short.actions_HD, actions_HD[:rows])
    last_due_ms = (rows - 1) * 100
    assert last_due_ms >= age_ms + 100


def test_a_chunk_that_is_nearly_over_stays_as_it_is() -> None:
    assert cut_short(CHUNK, 10**12).horizon == CHUNK.horizon
    fast = replace(CHUNK, period_ns=20_000_000, actions_HD=np.zeros((30, 3), np.float32))
    assert cut_short(fast, 0).horizon == 6
    slow = replace(CHUNK, period_ns=10**9, actions_HD=np.zeros((30, 3), np.float32))
    assert cut_short(slow, -(10**9)).horizon == 2
