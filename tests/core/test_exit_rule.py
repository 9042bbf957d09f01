import math

import numpy as np
import pytest

from a1_core.errors import A1Error, ThresholdsError
from a1_core.exit_rule import (
    METRICS,
    Thresholds,
    decide,
    discrepancy,
    exits_that_matter,
    metric_over,
)
from a1_core.policy import ExitSetting

A = np.array([[3.0, 0.0], [0.0, 4.0]])
B = np.array([[3.0, 4.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("metric", "value"),
    [("cosine", 1 - 9 / 25), ("l2", math.sqrt(32 / 4)), ("mad", 2.0), ("max", 4.0)],
)
def test_formulas(metric: str, value: float) -> None:
    assert discrepancy(A, B, metric) == pytest.approx(value)
    assert discrepancy(B, A, metric) == pytest.approx(value)
    assert discrepancy(A, A, metric) == pytest.approx(0.0, abs=1e-12)


def test_only_the_steps_and_weights_asked_for() -> None:
    assert discrepancy(A[::-1], B[::-1], "mad[:1]") == pytest.approx(2.0)
    assert discrepancy(A, B, "max[:1]", np.array([1.0, 0.5])) == pytest.approx(2.0)
    assert discrepancy(A, B, "l2[:9]") == discrepancy(A, B, "l2")


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_not_finite_never_leaves(metric: str) -> None:
    for bad in (np.nan, np.inf):
        delta = discrepancy(np.full((2, 2), bad), B, metric)
        assert not decide(delta, 1e300, False, False)
    assert math.isnan(discrepancy(A[:0], B[:0], metric))


def test_cosine_of_nothing() -> None:
    zero = np.zeros((2, 2))
    assert discrepancy(zero, zero, "cosine") == 0.0
    assert discrepancy(zero, A, "cosine") == 1.0


def test_unknown_metric() -> None:
    with pytest.raises(ThresholdsError, match="cosine, l2, mad, max"):
        discrepancy(A, B, "l1")


@pytest.mark.parametrize("metric", ["l2[:0]", "l2[:-1]", "l2[2:]", "l2[:2", "l2 [:2]", ""])
def test_rows_that_cannot_be_read(metric: str) -> None:
    with pytest.raises(ThresholdsError, match=r"e\.g\. l2\[:5\]"):
        discrepancy(A, B, metric)


def test_a_metric_that_says_its_rows_keeps_them() -> None:
    assert metric_over("l2", 5) == "l2[:5]"
    assert metric_over("max[:3]", 5) == "max[:3]"


def test_decision() -> None:
    assert decide(0.5, 0.5, False, False)
    assert not decide(0.5000001, 0.5, False, False)
    assert not decide(0.0, 1.0, True, False)
    assert decide(math.nan, -math.inf, False, True)
    assert not decide(math.nan, math.inf, False, False)
    assert decide(math.nan, math.nan, True, True)


@pytest.mark.parametrize(
    "change",
    [
        {"exits": (3, 1)},
        {"exits": ()},
        {"exits": (-1, 2)},
        {"eta": (0.1,)},
        {"eta": (0.1, 0.2)},
        {"eta": (math.nan, math.inf)},
        {"metric": "l1"},
    ],
)
def test_impossible_thresholds(change: dict) -> None:
    good = {"exits": (1, 3), "eta": (-math.inf, math.inf), "metric": "l2"}
    Thresholds(**good)
    with pytest.raises(ThresholdsError):
        Thresholds(**{**good, **change})


def test_settings_ask_for_what_they_need() -> None:
    ExitSetting(mode="full")
    with pytest.raises(A1Error, match="needs thresholds"):
        ExitSetting(mode="adaptive")
    with pytest.raises(A1Error, match="needs fixed_exit"):
        ExitSetting(mode="fixed")
    with pytest.raises(A1Error, match="adaptive, fixed or full"):
        ExitSetting(mode="deep")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        ((math.inf,), (0,)),
        ((-math.inf, math.inf), (1,)),
        ((-math.inf, -math.inf, -math.inf, math.inf), (3,)),
        ((-math.inf, 0.1, -math.inf, -math.inf, math.inf), (0, 1, 4)),
        ((0.1, -math.inf, -math.inf, 0.0, math.inf), (2, 3, 4)),
        ((-math.inf, 0.1, 0.2, -math.inf, -math.inf, -1.0, math.inf), (0, 1, 2, 4, 5, 6)),
        ((-math.inf, math.inf, math.inf), (0, 1, 2)),
    ],
)
def test_only_exits_that_may_leave_and_those_before_them_matter(eta, expected):
    assert exits_that_matter(eta) == expected


def test_leaving_out_what_does_not_matter_changes_nothing():
    """Discrepancies of the exits that are looked at, taken from chunks as inference does."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        exits = int(rng.integers(2, 9))
        chunks = rng.normal(size=(exits, 4, 2))
        eta = np.where(rng.random(exits) < 0.5, -np.inf, rng.uniform(0.5, 2.5, exits))
        eta[-1] = np.inf
        taken = []
        for looked_at in (tuple(range(exits)), exits_that_matter(eta)):
            before = None
            for k in looked_at:
                delta = math.nan if before is None else discrepancy(chunks[k], before, "l2")
                if decide(delta, eta[k], is_first=before is None, is_last=k == exits - 1):
                    break
                before = chunks[k]
            taken.append(k)
        assert taken[0] == taken[1]
