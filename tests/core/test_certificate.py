import itertools
import math
import re

import numpy as np
import pytest
from scipy import stats

from a1_core.budget import Setting
from a1_core.calibration import Fit, exits_taken
from a1_core.certificate import certify, last_rejected, strongest_test
from a1_core.episode_loss import family_losses
from a1_core.errors import ThresholdsError
from a1_core.family import build_family
from a1_core.p_values import p_values


def names(count: int) -> list[str]:
    return [f"bag/{n}" for n in range(count)]


def zeros_then(bad: int, episodes: int) -> np.ndarray:
    losses = np.zeros(episodes)
    losses[:bad] = 1.0
    return losses


def run(losses, **changes):
    losses = np.array(losses)
    asked = {
        "risk": 0.05,
        "failure": 0.1,
        "test": "binomial",
        "episodes": names(losses.shape[-1]),
        "fit_episodes": ["other"],
    }
    return certify(losses, **{**asked, **changes})


def test_the_last_rejected_is_certified() -> None:
    """0, 1, 3 and then 9 bad ones of 132: three of them pass, the fourth is never looked at."""
    found = run([zeros_then(bad, 132) for bad in (0, 1, 3, 9, 0)])
    assert found.member == 2
    np.testing.assert_allclose(found.p_values_M, stats.binom.cdf([0, 1, 3, 9, 0], 132, 0.05))
    np.testing.assert_allclose(found.observed_M, np.array([0, 1, 3, 9, 0]) / 132)
    assert "setting 2 of 0..4 is certified" in found.explain()
    assert "With setting 3 the mean loss of these episodes is 0.0682" in found.explain()


def test_all_may_pass() -> None:
    found = run([zeros_then(0, 45)] * 3)
    assert (found.member, found.missing()) == (2, 0)
    assert found.lacking() == ""
    assert "more episodes" not in found.explain()


@pytest.mark.parametrize(("episodes", "bad", "missing"), [(44, 0, 1), (44, 1, 33), (1, 0, 44)])
def test_too_few_episodes_fall_back_and_say_how_many(episodes: int, bad: int, missing: int) -> None:
    found = run([zeros_then(bad, episodes)] * 2)
    assert (found.member, found.missing()) == (None, missing)
    assert "run at full depth" in found.explain()
    assert f"{missing} more episodes are needed" in found.explain()


def test_the_betting_test_takes_more_episodes_in_addition() -> None:
    found = run([zeros_then(0, 40)], test="betting")
    assert found.member is None
    assert run([np.zeros(40 + found.missing())], test="betting").member == 0
    assert run([np.zeros(40 + found.missing() - 1)], test="betting").member is None


def test_a_setting_farther_on_takes_what_all_before_it_take() -> None:
    """The third passes by itself sooner than the second, which the walk has to get past."""
    found = run([zeros_then(bad, 77) for bad in (0, 3, 2, 1)])
    assert found.member == 0
    alone = [0, 132 - 77, 105 - 77, 0]
    assert found.missing_M.tolist() == alone
    assert [found.missing(wanted) for wanted in range(4)] == [0, 55, 55, 55]
    assert "For setting 3 55 more episodes are needed" in found.lacking(3)
    assert run([zeros_then(bad, 132) for bad in (0, 3, 2, 1)]).member == 3


def test_more_episodes_do_not_help_where_too_many_are_lost() -> None:
    found = run([zeros_then(bad, 100) for bad in (0, 4, 5, 0)])
    assert found.missing_M[2] > 0
    assert found.missing(3) == found.missing(1) > 0
    assert "For setting 1 " in found.lacking(3)
    assert "With setting 2 the mean loss of these episodes is 0.05, not below" in found.lacking(3)
    nothing = run([zeros_then(bad, 100) for bad in (0, 50)])
    assert nothing.missing() == 0
    assert "more episodes are needed" not in nothing.explain()
    assert "With setting 1 the mean loss of these episodes is 0.5" in nothing.explain()


def test_only_full_depth() -> None:
    found = run([zeros_then(0, 45), zeros_then(5, 45)])
    assert found.member == 0
    assert "nothing may leave early" in found.explain()


def test_looking_at_several_families_costs_confidence() -> None:
    assert run([zeros_then(0, 45)]).member == 0
    assert run([zeros_then(0, 45)], tried=2).member is None
    found = run([zeros_then(0, 59)] * 2, tried=2)
    assert found.member == 1
    assert "the best of 2 tries" in found.explain()


def test_the_test_for_a_kind_of_loss() -> None:
    assert strongest_test("binary", "max") == "binomial"
    for kinds in (("binary", "mean"), ("clipped", "max"), ("clipped", "mean")):
        assert strongest_test(*kinds) == "betting"


@pytest.mark.parametrize(
    ("losses", "changes", "named"),
    [
        (np.zeros((2, 0)), {}, "at least one episode"),
        (np.zeros((0, 4)), {"episodes": names(4)}, "at least one episode"),
        (np.zeros(4), {}, "M, E"),
        (np.zeros((2, 4)), {"episodes": names(3)}, "M, E"),
        ([[0.0, math.nan]], {"test": "betting"}, "nan"),
        ([[0.0, 1.5]], {"test": "betting"}, "1.5"),
        ([[0.0, -0.5]], {"test": "betting"}, "-0.5"),
        ([[0.0, 0.5]], {}, "0.5"),
        ([[0.0, 0.0]], {"risk": 0.0}, "risk is 0.0"),
        ([[0.0, 0.0]], {"risk": 1.0}, "risk is 1.0"),
        ([[0.0, 0.0]], {"failure": math.nan}, "failure is nan"),
        ([[0.0, 0.0]], {"failure": 1.2}, "failure is 1.2"),
        ([[0.0, 0.0]], {"tried": 0}, "tried is 0"),
        ([[0.0, 0.0]], {"test": "guess"}, "guess"),
        ([[0.0, 0.0]], {"episodes": ["a", "a"]}, "'a' is given twice"),
        ([[0.0, 0.0]], {"fit_episodes": ["bag/1", "x"]}, "'bag/1'.*in the fit"),
    ],
)
def test_refused(losses, changes: dict, named: str) -> None:
    with pytest.raises(ThresholdsError, match=named):
        run(losses, **changes)


def test_wrong_at_most_as_often_as_promised(bench) -> None:
    """10,000 certificates for families of known risks, most of them just above the bound."""
    for name, family in bench.FAMILIES.items():
        wrong = bench.violations(family, bench.DRAWS)
        interval = stats.binomtest(wrong, bench.DRAWS).proportion_ci(0.99)
        assert interval.low <= bench.FAILURE, f"{name}: {wrong} of {bench.DRAWS}"


def test_the_promise_is_nearly_used_up(bench) -> None:
    """Not safe by being too shy: where the bound is tight it is wrong nearly that often."""
    wrong = bench.violations(bench.FAMILIES["coarse, 45 episodes"], bench.DRAWS)
    assert stats.binomtest(wrong, bench.DRAWS).proportion_ci(0.99).high > 0.95**45


def test_the_first_that_is_not_rejected_would_break_it(bench) -> None:
    """What a walk that stops one too late does; the coverage test above must notice it."""
    family = bench.FAMILIES["coarse, 132 episodes"]
    losses = family.losses(np.random.default_rng(0), 2000)
    p = p_values(losses, bench.RISK, family.test)
    late = np.minimum(last_rejected(p, bench.FAILURE) + 1, len(family.risks) - 1)
    wrong = int((np.array(family.risks)[late] > bench.RISK).sum())
    assert stats.binomtest(wrong, 2000).proportion_ci(0.99).low > bench.FAILURE


def test_picking_the_best_p_value_would_break_it(bench) -> None:
    """The walk may not skip a setting that failed, however good the next one looks."""
    family = bench.FAMILIES["many above"]
    losses = family.losses(np.random.default_rng(0), 2000)
    rejected = p_values(losses, bench.RISK, family.test) <= bench.FAILURE
    wrong = int(rejected[:, 1:].any(axis=1).sum())
    assert stats.binomtest(wrong, 2000).proportion_ci(0.99).low > bench.FAILURE


@pytest.mark.parametrize("name", ["non-monotone", "ties", "betting, skewed", "bound, skewed"])
def test_many_certificates_at_once_are_single_ones(bench, name: str) -> None:
    family = bench.FAMILIES[name]
    losses = family.losses(np.random.default_rng(1), 40)
    at_once = last_rejected(p_values(losses, 0.05, family.test), 0.1)
    single = [run(draw, test=family.test).member for draw in losses]
    assert [-1 if member is None else member for member in single] == at_once.tolist()


@pytest.mark.parametrize("fit", ["mass", "least_loss"])
def test_from_discrepancies_to_a_certificate_that_holds(fit: Fit) -> None:
    """Families fitted on episodes of a made-up policy, certified on draws of 100 others.

    Discrepancies tell only roughly how far an exit is from full depth, episodes differ in how hard
    they are, and the risk of every setting is known from 4000 of them.
    """
    rng = np.random.default_rng(5)
    exits, ticks, count = 6, 12, 4100
    hard_E = rng.gamma(2.0, 0.5, count)
    scale_KN = np.linspace(1.0, 0.1, exits)[:, None] * np.repeat(hard_E, ticks)
    deviation = 0.004 * scale_KN * rng.gamma(1.5, 1.0, scale_KN.shape)
    deviation[-1] = 0.0
    V = deviation * rng.lognormal(0.0, 0.4, scale_KN.shape)
    V[0] = np.nan
    episode_N = np.repeat(np.arange(count), ticks)
    first = episode_N < 100
    family = build_family(
        V[:, first],
        np.arange(1.0, exits + 1),
        fit=fit,
        size=8,
        loss_KN=np.minimum(deviation[:, first] / 0.01, 1.0) ** 4,
    )
    _, losses_ME = family_losses(
        V[:, ~first],
        deviation[:, ~first][..., None],
        episode_N[~first],
        [member.eta_P for member in family],
        tolerance_C=[0.01],
        tick_loss="binary",
        episode_loss="max",
    )
    risk_M = losses_ME.mean(axis=1)
    bound = 0.3  # in the middle of what the family offers
    assert risk_M[0] == 0.0
    assert (risk_M > bound).any()
    assert ((risk_M > 0) & (risk_M < bound)).any()
    drawn = rng.integers(0, losses_ME.shape[1], (3000, 100))
    p_XM = p_values(np.moveaxis(losses_ME[:, drawn], 0, 1), bound, "binomial")
    member_X = last_rejected(p_XM, 0.1)
    assert (member_X >= 0).all()
    wrong = int((risk_M[member_X] > bound).sum())
    assert stats.binomtest(wrong, 3000).proportion_ci(0.99).low <= 0.1
    assert (member_X > 0).mean() > 0.9
    one = run(losses_ME[:, drawn[0]], risk=bound, episodes=names(100), fit_episodes=["a", "b"])
    assert one.member == member_X[0]


def test_a_family_runs_from_full_depth_to_the_most_aggressive() -> None:
    rng = np.random.default_rng(6)
    V = rng.random((8, 400))
    V[0] = np.nan
    cost_K = np.arange(1.0, 9.0)
    family = build_family(V, cost_K, size=16)
    assert family[0].eta_P.tolist() == [-math.inf] * 7 + [math.inf]
    assert family[0].parameter is None
    costs = [member.cost for member in family]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == len(family) == 16
    assert np.allclose(np.diff(costs), np.diff(costs)[0], atol=0.05)
    assert costs[-1] < 2.05
    for member in family:
        assert isinstance(member, Setting)
        assert exits_taken(V, member.eta_P).mean() + 1 == pytest.approx(member.cost)


def test_families_of_few_or_tied_ticks_are_short_and_still_descend() -> None:
    for V in (
        np.zeros((4, 30)),
        np.ones((4, 1)),
        np.round(np.random.default_rng(7).random((4, 9))),
    ):
        costs = [member.cost for member in build_family(V, np.arange(1.0, 5.0), size=16)]
        assert costs[0] == 4.0
        assert all(a > b for a, b in itertools.pairwise(costs))
    never = np.full((4, 9), np.nan)
    assert len(build_family(never, np.arange(1.0, 5.0), size=16)) == 1
    with pytest.raises(ThresholdsError, match=re.escape("size of the family is 1")):
        build_family(never, np.arange(1.0, 5.0), size=1)
