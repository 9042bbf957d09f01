from dataclasses import replace

import numpy as np
import pytest

from a1_core.chunk import ActionChunk, ActionSpace, Source, absolute_rows, joint_chunk
from a1_core.limits import SafetyGate
from a1_core.player import Setpoint
from a1_core.spec import RobotSpec
from a1_core.verdict import VerdictCode

Code = VerdictCode


def _chunk(spec: RobotSpec, rows: np.ndarray) -> ActionChunk:
    return joint_chunk(
        spec,
        stamp_ns=0,
        session_id="00000000-0000-0000-0000-000000000001",
        seq=1,
        source=Source.POLICY,
        actions_HD=rows,
        period_ns=100_000_000,
    )


def _home_rows(spec: RobotSpec) -> np.ndarray:
    return np.repeat([[*spec.home, 1.0]], 16, axis=0)


def _tip(q: np.ndarray) -> np.ndarray:
    """A tip that joint 1 moves along x: 0.5 m at 0 rad."""
    return np.array([0.5 + q[0], 0.0, 0.4])


@pytest.fixture
def gate(spec: RobotSpec) -> SafetyGate:
    return SafetyGate(spec, _tip)


def _code(gate: SafetyGate, spec: RobotSpec, rows: np.ndarray, **more: np.ndarray) -> VerdictCode:
    verdict = gate.check(_chunk(spec, rows), rows, **more)
    assert bool(verdict.detail) != verdict.accepted
    return verdict.code


def test_good_rows_pass_unchanged(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    rows[:, 6] += 0.1 * np.arange(16)
    verdict = gate.check(_chunk(spec, rows), rows, commanded_D=rows[0])
    assert verdict.accepted
    assert verdict.clamped == 0
    assert verdict.slow_down == 1.0
    np.testing.assert_array_equal(verdict.rows_HD, rows)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"robot": "ur5e"}, Code.WRONG_ROBOT),
        ({"spec_digest": "0" * 64}, Code.WRONG_SPEC),
        ({"action_space": ActionSpace.EE_POSE}, Code.WRONG_SPACE),
        ({"names": ("a", "b", "c", "d", "e", "f", "g", "h")}, Code.WRONG_SHAPE),
        ({"actions_HD": np.zeros((1, 8), np.float32)}, Code.WRONG_SHAPE),
    ],
)
def test_chunks_for_something_else(
    gate: SafetyGate, spec: RobotSpec, change: dict, code: VerdictCode
) -> None:
    rows = _home_rows(spec)
    chunk = replace(_chunk(spec, rows), **change)
    assert gate.check_header(chunk).code is code
    assert gate.check(chunk, rows).code is code


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes(gate: SafetyGate, spec: RobotSpec, bad: float) -> None:
    for row in range(16):
        for column in range(8):
            rows = _home_rows(spec)
            rows[row, column] = bad
            assert _code(gate, spec, rows) is Code.NON_FINITE
            # Finite offsets from a state that is not.
            chunk = _chunk(spec, _home_rows(spec))
            assert gate.check(chunk, rows).code is Code.NON_FINITE


def test_rows_of_another_shape(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    assert gate.check(_chunk(spec, rows), rows[:8]).code is Code.WRONG_SHAPE


def test_small_overshoot_is_clamped_and_counted(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    upper = spec.operating_limits.position_upper[6]
    rows[:, 6] = np.linspace(upper - 0.3, upper + 0.03, 16)
    rows[3, 7] = 1.2
    verdict = gate.check(_chunk(spec, rows), rows)
    assert verdict.accepted
    assert verdict.clamped == 2
    assert verdict.rows_HD[:, 6].max() < upper
    assert verdict.rows_HD[:, 7].max() == 1.0
    np.testing.assert_array_equal(verdict.rows_HD[:14, :7], rows[:14, :7])


def test_large_overshoot_is_refused(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    rows[:, 6] = spec.operating_limits.position_upper[6] + np.linspace(-0.3, 0.06, 16)
    assert _code(gate, spec, rows) is Code.LIMIT


def test_steps(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    rows[8:, 5] += 0.9 * spec.operating_limits.step[5]
    assert gate.check(_chunk(spec, rows), rows).slow_down > 1.5
    rows[8:, 5] += 0.2 * spec.operating_limits.step[5]
    assert _code(gate, spec, rows) is Code.STEP


def test_rows_too_wild_to_slow_down(spec: RobotSpec) -> None:
    limits = replace(spec.operating_limits, acceleration=np.full(7, 0.5))
    gate = SafetyGate(replace(spec, operating_limits=limits), None)
    rows = _home_rows(spec)
    rows[::2, 1] += 0.15
    assert _code(gate, spec, rows) is Code.LIMIT


def test_rows_must_begin_near_the_arm(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    here = rows[0].copy()
    here[2] += 1.9 * spec.operating_limits.step[2]
    assert _code(gate, spec, rows, commanded_D=here) is Code.ACCEPTED
    here[2] += 0.2 * spec.operating_limits.step[2]
    assert _code(gate, spec, rows, commanded_D=here) is Code.STEP


def test_rows_out_of_the_workspace_are_cut(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    rows[:, 0] = 0.02 * np.arange(16)  # x = 0.75 at row 12.5
    verdict = gate.check(_chunk(spec, rows), rows)
    assert verdict.accepted
    assert verdict.clamped == 3
    np.testing.assert_array_equal(verdict.rows_HD, rows[:13])
    rows[:, 0] += 0.25
    assert _code(gate, spec, rows) is Code.WORKSPACE
    assert SafetyGate(spec, None).check(_chunk(spec, rows), rows).accepted


def test_an_arm_outside_may_come_back_in(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    rows[:, 0] = np.linspace(0.35, 0.2, 16)
    assert _code(gate, spec, rows, commanded_D=rows[0]) is Code.ACCEPTED
    rows[:, 0] = np.linspace(0.30, 0.40, 16)
    assert _code(gate, spec, rows, commanded_D=rows[0]) is Code.WORKSPACE
    beyond = _home_rows(spec)
    limit = spec.operating_limits.position_upper[6]
    beyond[:, 6] = np.linspace(limit + 0.1, limit - 0.1, 16)
    assert _code(gate, spec, beyond) is Code.LIMIT
    assert _code(gate, spec, beyond, commanded_D=beyond[0]) is Code.ACCEPTED


def test_offsets_and_positions_are_judged_alike(gate: SafetyGate, spec: RobotSpec) -> None:
    rows = _home_rows(spec)
    chunk = replace(_chunk(spec, np.zeros((16, 8))), action_space=ActionSpace.JOINT_DELTA)
    verdict = gate.check(chunk, absolute_rows(chunk, rows[0]), commanded_D=rows[0])
    assert verdict.accepted
    np.testing.assert_allclose(verdict.rows_HD[:, :7], rows[:, :7])


# Set-points.


def _setpoint(spec: RobotSpec, ms: int = 0, **parts: np.ndarray) -> Setpoint:
    values = {"q": np.r_[spec.home, 1.0], "qd": np.zeros(8), "qdd": np.zeros(8), **parts}
    return Setpoint(
        time_ns=ms * 1_000_000,
        q_D=values["q"],
        qd_D=values["qd"],
        qdd_D=values["qdd"],
        row=0,
        done=False,
    )


def _with(index: int, value: float, base: np.ndarray | None = None) -> np.ndarray:
    array = np.zeros(8) if base is None else base.copy()
    array[index] = value
    return array


def test_a_resting_setpoint_passes(gate: SafetyGate, spec: RobotSpec) -> None:
    assert gate.check_setpoint(_setpoint(spec), None).accepted
    assert gate.check_setpoint(_setpoint(spec, 20), _setpoint(spec)).accepted


@pytest.mark.parametrize("part", ["q", "qd", "qdd"])
def test_a_setpoint_with_nan_never_passes(gate: SafetyGate, spec: RobotSpec, part: str) -> None:
    bad = _setpoint(spec, **{part: _with(2, np.nan, np.r_[spec.home, 1.0])})
    assert gate.check_setpoint(bad, None).code is Code.NON_FINITE
    assert gate.check_setpoint(bad, _setpoint(spec, -20)).code is Code.NON_FINITE


def test_setpoints_over_a_limit(gate: SafetyGate, spec: RobotSpec) -> None:
    home = np.r_[spec.home, 1.0]
    before = _setpoint(spec)
    fast = _setpoint(spec, 20, qd=_with(1, 1.01))
    hard = _setpoint(spec, 20, qdd=_with(3, -6.1))
    jerky = _setpoint(spec, 5, qdd=_with(3, 5.0))
    jump = _setpoint(spec, 20, q=home + _with(0, 0.05))
    low = _setpoint(spec, 20, q=_with(5, 0.7, home))
    cases = [(fast, Code.LIMIT), (hard, Code.LIMIT), (jerky, Code.LIMIT), (jump, Code.STEP)]
    for setpoint, code in cases:
        assert gate.check_setpoint(setpoint, before).code is code
    near = _setpoint(spec, q=_with(5, 0.7774, home))
    assert gate.check_setpoint(replace(low, q_D=_with(5, 0.7770, home)), near).code is Code.LIMIT
    assert gate.check_setpoint(near, replace(low, time_ns=-1_000_000_000)).accepted


def test_a_setpoint_may_bulge_a_little_out_of_the_workspace(
    gate: SafetyGate, spec: RobotSpec
) -> None:
    home = np.r_[spec.home, 1.0]
    for x, code in ((0.26, Code.ACCEPTED), (0.2698, Code.ACCEPTED), (0.2750, Code.WORKSPACE)):
        before = _setpoint(spec, q=home + _with(0, x - 0.01))
        assert gate.check_setpoint(_setpoint(spec, 20, q=home + _with(0, x)), before).code is code
    outside = _setpoint(spec, q=home + _with(0, 0.40))
    inwards = _setpoint(spec, 20, q=home + _with(0, 0.39))
    assert gate.check_setpoint(inwards, outside).accepted
    assert not gate.check_setpoint(replace(outside, time_ns=40_000_000), inwards).accepted
