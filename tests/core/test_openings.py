"""What grippers are asked for over a plan, and when its rows are reached."""

import numpy as np
import pytest

from a1_core.openings import Openings
from a1_core.row_clock import RowClock


def steps(*pairs: tuple[float, float]) -> Openings:
    begins, openings = zip(*pairs, strict=True)
    return Openings(begins_K=np.array(begins), openings_KG=np.array(openings)[:, None])


def asked(openings: Openings, *times_s: float) -> list[float]:
    return openings.over(np.array(times_s))[:, 0].tolist()


def test_each_holds_until_the_next() -> None:
    plan = steps((0.0, 1.0), (0.3, 0.0), (0.5, 0.5))
    assert asked(plan, -1.0, 0.0, 0.299, 0.3, 0.49, 0.5, 9.0) == [1.0, 1.0, 1.0, 0.0, 0.0, 0.5, 0.5]
    assert plan.settles_s == 0.5
    assert Openings.still(np.array([0.2])).settles_s == 0.0


def test_what_is_kept_goes_on_in_its_own_time_and_then_the_later_holds() -> None:
    plan = steps((0.0, 1.0), (0.3, 0.0), (0.5, 0.5)).until(
        0.2, 0.25, steps((0.0, 0.9), (0.2, 0.8), (0.4, 0.7))
    )
    assert asked(plan, 0.0, 0.09, 0.11, 0.24, 0.26, 0.39, 0.41) == [
        1.0, 1.0, 0.0, 0.0, 0.8, 0.8, 0.7,
    ]  # fmt: skip


def test_nothing_is_kept_for_no_time() -> None:
    later = steps((0.0, 0.3))
    assert steps((0.0, 1.0)).until(5.0, 0.0, later) is later


def test_steps_do_not_grow_from_plan_to_plan() -> None:
    plan, rows_HG = Openings.still(np.ones(1)), np.linspace(0.0, 1.0, 16)[:, None]
    clock = RowClock(first=0.0, last=15.0, period_s=0.1)
    for _ in range(50):
        plan = plan.until(0.1, 0.5, Openings.of_rows(rows_HG, clock))
    assert len(plan.begins_K) <= 32


@pytest.mark.parametrize("first", [-2.5, 0.0, 3.3, 14.2])
@pytest.mark.parametrize("slow", [1.0, 2.2])
def test_a_row_is_asked_for_when_the_clock_reads_it(first: float, slow: float) -> None:
    clock = RowClock(first=first, last=15.0, period_s=0.1 * slow)
    rows_HG = np.random.default_rng(0).random((16, 2))
    plan = Openings.of_rows(rows_HG, clock)
    t_N = np.linspace(0.0, clock.duration_s, 997)
    phase_N = clock.phases(t_N)
    sure_N = np.abs(phase_N - np.round(phase_N)) > 2e-3
    row_N = np.clip(phase_N.astype(int), 0, 15)
    np.testing.assert_array_equal(plan.over(t_N)[sure_N], rows_HG[row_N][sure_N])


def test_times_are_the_inverse_of_phases() -> None:
    clock = RowClock(first=1.5, last=15.0, period_s=0.1)
    rows = np.arange(2.0, 15.0)
    np.testing.assert_allclose(clock.phases(clock.times(rows)), rows, atol=1e-3)
    assert clock.times(np.array([0.0, 1.0])).tolist() == [0.0, 0.0]
