import itertools
import math

import numpy as np
import pytest
from scipy import stats

from a1_core.errors import ThresholdsError
from a1_core.p_values import _WEIGHTS, _growth, binomial_p, more_episodes, p_values

TABLE = {  # (risk, failure): episodes with 0, 1 and 3 bad ones
    (0.10, 0.10): (22, 38, 65),
    (0.05, 0.10): (45, 77, 132),
    (0.02, 0.10): (114, 194, 333),
}


@pytest.mark.parametrize(("asked", "episodes"), TABLE.items())
def test_more_episodes_make_as_many_as_the_binomial_asks_for(asked: tuple, episodes: tuple) -> None:
    risk, failure = asked
    for bad, wanted in zip((0, 1, 3), episodes, strict=True):
        losses = np.ones(bad) if bad else np.zeros(1)
        assert len(losses) + more_episodes(losses, risk, failure, "binomial") == wanted
        enough = [stats.binom.cdf(bad, n, risk) <= failure for n in (wanted - 1, wanted)]
        assert enough == [False, True]


@pytest.mark.parametrize("risk", [0.001, 0.02, 0.05, 0.5, 0.97])
@pytest.mark.parametrize("episodes", [1, 2, 45, 1000])
def test_binomial_is_scipys(risk: float, episodes: int) -> None:
    bad = np.unique(np.linspace(0, episodes, 40).astype(int))
    np.testing.assert_allclose(
        binomial_p(bad, episodes, risk), stats.binom.cdf(bad, episodes, risk), rtol=1e-9
    )
    losses = np.zeros(episodes)
    losses[: bad[-2] if len(bad) > 1 else 0] = 1.0
    p = float(p_values(losses, risk, "binomial"))
    assert p == pytest.approx(stats.binom.cdf(losses.sum(), episodes, risk), rel=1e-9)


def _h1(a: float, b: float) -> float:
    first = a * math.log(a / b) if a > 0 else 0.0
    return first + (1 - a) * math.log((1 - a) / (1 - b))


@pytest.mark.parametrize("risk", [0.01, 0.05, 0.3])
def test_hoeffding_bentkus_is_the_formula(risk: float) -> None:
    rng = np.random.default_rng(0)
    for episodes, scale in itertools.product((1, 7, 60, 400), (0.0, 0.02, 0.2, 1.0)):
        losses = scale * rng.random(episodes)
        mean = losses.mean()
        hoeffding = math.exp(-episodes * _h1(min(mean, risk), risk))
        bentkus = math.e * stats.binom.cdf(math.ceil(losses.sum()), episodes, risk)
        assert float(p_values(losses, risk, "hoeffding_bentkus")) == pytest.approx(
            min(hoeffding, bentkus), rel=1e-9
        )


def test_sums_of_losses_are_not_rounded_up() -> None:
    """In floats 0.1 added ten times is not 1, and 0.1 added thirty times is above 3."""
    losses = np.full(30, 0.1)
    assert losses.cumsum()[-1] > 3.0
    p = float(p_values(losses, 0.3, "hoeffding_bentkus"))
    wanted = min(math.exp(-30 * _h1(0.1, 0.3)), math.e * stats.binom.cdf(3, 30, 0.3))
    assert p == pytest.approx(wanted)


def test_betting_is_the_mixture_written_out() -> None:
    rng = np.random.default_rng(1)
    risk, losses = 0.05, rng.beta(0.5, 12.0, 90)
    bets = [1 - (j + 0.5) / 32 for j in range(32)]
    most = 1.0
    for n in range(1, len(losses) + 1):
        capital = sum(
            b**4 * math.prod(1 + b * (risk - x) / (1 - risk) for x in losses[:n]) for b in bets
        ) / sum(b**4 for b in bets)
        most = max(most, capital)
    assert float(p_values(losses, risk, "betting")) == pytest.approx(1 / most, rel=1e-12)


@pytest.mark.parametrize("risk", [0.02, 0.05, 0.4])
def test_each_bet_is_fair_at_the_bound(risk: float) -> None:
    """The mean capital over all sequences of 0/1 losses is 1 when the risk is the bound."""
    episodes = 8
    sequences = np.array(list(itertools.product((0.0, 1.0), repeat=episodes)))
    capital_X = np.tensordot(_WEIGHTS, _growth(sequences, risk).prod(axis=-1), 1)
    bad_X = sequences.sum(axis=1)
    mean = float((capital_X * risk**bad_X * (1 - risk) ** (episodes - bad_X)).sum())
    assert mean == pytest.approx(1.0, rel=1e-12)


def test_betting_stays_valid_when_episodes_are_added() -> None:
    """Tested after every episode; the exact test, used like that, is wrong far too often."""
    rng = np.random.default_rng(2)
    runs, episodes, risk, failure = 4000, 300, 0.05, 0.1
    losses = (rng.random((runs, episodes)) < risk).astype(float)
    # The p-value of the betting test is a running minimum: the last one tells of all before.
    wrong = (p_values(losses, risk, "betting") <= failure).mean()
    again = [
        binomial_p(losses[:, :n].sum(axis=1).astype(int), n, risk) for n in range(1, episodes + 1)
    ]
    assert wrong <= failure
    assert (np.min(again, axis=0) <= failure).mean() > 2 * failure


def test_mean_losses_that_vary_little_need_the_betting_test() -> None:
    losses = np.random.default_rng(3).beta(4, 196, 130)  # mean 0.02
    assert float(p_values(losses, 0.05, "betting")) < 0.05
    assert float(p_values(losses, 0.05, "hoeffding_bentkus")) > 0.2


@pytest.mark.parametrize("test", ["binomial", "hoeffding_bentkus", "betting"])
def test_more_episodes_are_just_enough(test: str) -> None:
    rng = np.random.default_rng(4)
    for bad in (0, 1, 4):
        losses = np.zeros(20)
        losses[rng.permutation(20)[:bad]] = 1.0
        more = more_episodes(losses, 0.05, 0.1, test)
        assert more > 0
        for extra, enough in ((more - 1, False), (more, True)):
            longer = np.concatenate([losses, np.zeros(extra)])
            assert (float(p_values(longer, 0.05, test)) <= 0.1) == enough
    assert more_episodes(np.zeros(500), 0.05, 0.1, test) == 0


@pytest.mark.parametrize(
    ("losses", "test", "named"),
    [
        ([], "betting", "at least one episode"),
        (np.zeros((3, 0)), "binomial", "at least one episode"),
        ([0.1, math.nan], "betting", "nan"),
        ([0.1, -1e-9], "betting", "-1e-09"),
        ([0.1, 1.1], "hoeffding_bentkus", "1.1"),
        ([0.0, 0.5], "binomial", "0.5.*use betting"),
        ([0.0], "student", "student"),
    ],
)
def test_refused_losses(losses: list, test: str, named: str) -> None:
    with pytest.raises(ThresholdsError, match=named):
        p_values(np.array(losses), 0.05, test)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan, 5.0])
def test_refused_shares(share: float) -> None:
    with pytest.raises(ThresholdsError, match="risk is"):
        p_values(np.zeros(3), share, "betting")
    with pytest.raises(ThresholdsError, match="failure is"):
        more_episodes(np.zeros(3), 0.05, share, "betting")
