import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a1_core.motion import Brake, Spline, Still
from a1_core.row_clock import RowClock

A, J = np.array([6.0]), np.array([600.0])


def _brake(v: float, a: float) -> Brake:
    return Brake(np.array([1.0, 0.5]), np.array([v, 0.3]), np.array([a, 0.0]), A, J)


@given(st.floats(-3, 3), st.floats(-6, 6))
@settings(max_examples=200, deadline=None)
def test_brake_keeps_the_limits_and_ends_at_rest(v: float, a: float) -> None:
    brake = _brake(v, a)
    t = np.linspace(0.0, brake.duration_s + 0.01, 2000)
    q, qd, qdd = brake.states(t)
    np.testing.assert_allclose([q[0, 0], qd[0, 0], qdd[0, 0]], [1.0, v, a], atol=1e-9)
    assert np.abs(qdd[:, 0]).max() <= 6.0 + 1e-9
    assert np.abs(np.diff(qdd[:, 0])).max() <= 600.0 * (t[1] - t[0]) + 1e-6
    # No more speed than taking back the present acceleration costs.
    assert np.abs(qd[:, 0]).max() <= abs(v) + a * a / 1200.0 + 1e-9
    assert (np.abs(q - brake.state(1e9)[0])[t > brake.duration_s] == 0.0).all()
    np.testing.assert_allclose(brake.state(brake.duration_s)[1], 0.0, atol=1e-12)
    # Velocity and acceleration are the derivatives of the position.
    np.testing.assert_allclose(np.gradient(q[:, 0], t)[1:-1], qd[1:-1, 0], atol=1e-2)
    np.testing.assert_allclose(np.gradient(qd[:, 0], t)[1:-1], qdd[1:-1, 0], atol=0.5)


@pytest.mark.parametrize(("v", "a"), [(1.0, 0.0), (-2.0, 6.0), (0.01, -6.0), (0.0, 3.0)])
def test_brake_is_the_quickest(v: float, a: float) -> None:
    """No jerk-limited stop is quicker: three-phase profiles on a fine grid of peaks."""
    times = []
    for peak in np.linspace(-6.0, 6.0, 4801):
        ramp, back = abs(peak - a) / 600.0, abs(peak) / 600.0
        change = (a + peak) / 2.0 * ramp + peak / 2.0 * back
        hold = -(v + change) / peak if peak else -1.0
        if hold >= 0.0:
            times.append(ramp + hold + back)
    assert _brake(v, a).duration_s <= min(times) + 1e-4


def test_brake_stops_the_gripper_at_once() -> None:
    q, qd, _ = _brake(1.0, 0.0).state(0.1)
    assert (q[1], qd[1]) == (0.5, 0.0)


def test_still_is_still() -> None:
    still = Still(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(still.states(np.zeros(3))[0], [[1.0, 2.0]] * 3)
    np.testing.assert_array_equal(still.state(5.0)[1], [0.0, 0.0])


def test_spline_evaluates_its_polynomials() -> None:
    coefficients = np.random.default_rng(0).normal(size=(4, 4, 3))
    spline = Spline(0.25, coefficients)
    for t in (0.0, 0.1, 0.25, 0.6, 0.99):
        segment, u = int(t / 0.25), t % 0.25
        wanted = [np.polynomial.Polynomial(coefficients[segment, :, d]) for d in range(3)]
        for order, part in enumerate(spline.state(t)):
            values = [p.deriv(order)(u) if order else p(u) for p in wanted]
            np.testing.assert_allclose(part, values, rtol=1e-12)
        for one, many in zip(spline.state(t), spline.states(np.array([t, 9.0])), strict=True):
            np.testing.assert_allclose(one, many[0])
    np.testing.assert_allclose(spline.state(9.0)[0], coefficients[-1].T @ 0.25 ** np.arange(4))
    np.testing.assert_array_equal(spline.state(9.0)[1], np.zeros(3))


@given(st.floats(-2, 14.9), st.floats(0.05, 0.4))
@settings(deadline=None)
def test_row_clock(first: float, period_s: float) -> None:
    clock = RowClock(first=first, last=15.0, period_s=period_s)
    t = np.linspace(0.0, clock.duration_s, 400)
    phases = clock.phases(t)
    assert phases[0] == pytest.approx(first)
    assert phases[-1] == pytest.approx(15.0)
    pace = np.diff(phases) / np.diff(t) * period_s
    assert (pace >= -1e-9).all()
    assert (pace <= 1.0 + 1e-6).all()
    np.testing.assert_allclose([clock.phase(x) for x in t], phases, atol=1e-12)
    even = phases < 12.9
    np.testing.assert_allclose(phases[even], first + t[even] / period_s, atol=1e-9)
