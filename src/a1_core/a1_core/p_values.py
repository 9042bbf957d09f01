"""P-values for "the mean loss of an episode is above a risk", from n independent episodes.

A small one speaks against that: with probability at most delta it is delta or less when the
mean loss really is above the risk. Sources: Bates et al. and Angelopoulos et al. on
distribution-free risk control (binomial, Hoeffding-Bentkus), Waudby-Smith and Ramdas on
estimating bounded means by betting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a1_core.errors import ThresholdsError

Test = Literal["binomial", "hoeffding_bentkus", "betting"]
TESTS = ("binomial", "hoeffding_bentkus", "betting")

# Shares of the capital that are staked; most of it where few losses are expected.
_BETS = 1.0 - (np.arange(32) + 0.5) / 32
_WEIGHTS = _BETS**4 / np.sum(_BETS**4)


def p_values(losses_XE: NDArray[np.floating], risk: float, test: Test) -> NDArray[np.float64]:
    """P-value of each row of episode losses [..., E] against a mean above `risk`.

    Args:
        losses_XE: losses in [0, 1], episodes in the order in which they were recorded.
        risk: in (0, 1).
        test: `binomial`, exact, for losses of 0 and 1 only; `hoeffding_bentkus`, the smaller of
            both; `betting`, much stronger for mean losses that vary little, and the only one that
            stays valid when episodes are added and the test is made again.

    Raises ThresholdsError for no episodes, NaN, a loss outside [0, 1] (or none of 0 and 1, with
    `binomial`), a risk outside (0, 1) or an unknown test.
    """
    losses_XE = checked_losses(losses_XE, test)
    check_share("risk", risk)
    episodes = losses_XE.shape[-1]
    if test == "betting":
        return _betting_p(losses_XE, risk)
    # Sums are rounded once, so that ten losses of 0.1 are 1 and not a little more.
    rows = losses_XE.reshape(-1, episodes)
    totals_X = np.array([math.fsum(row) for row in rows]).reshape(losses_XE.shape[:-1])
    if test == "binomial":
        return binomial_p(totals_X.astype(np.intp), episodes, risk)
    return hoeffding_bentkus_p(totals_X, episodes, risk)


def binomial_p(bad_X: NDArray[np.integer], episodes: int, risk: float) -> NDArray[np.float64]:
    """P(Bin(episodes, risk) <= bad), for bad episodes in 0..episodes."""
    bad_X = np.asarray(bad_X)
    most = int(bad_X.max(initial=0))
    i = np.arange(most + 1, dtype=np.float64)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((episodes - i[1:] + 1.0) / i[1:]))])
    mass = np.exp(log_choose + i * math.log(risk) + (episodes - i) * math.log1p(-risk))
    return np.asarray(np.minimum(np.cumsum(mass), 1.0)[bad_X])


def hoeffding_bentkus_p(
    total_X: NDArray[np.floating], episodes: int, risk: float
) -> NDArray[np.float64]:
    """The smaller of Hoeffding's and Bentkus' bound, for sums of `episodes` losses in [0, 1]."""
    total_X = np.asarray(total_X, dtype=np.float64)
    mean_X = np.minimum(total_X / episodes, risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        some_X = np.where(mean_X > 0.0, mean_X * np.log(mean_X / risk), 0.0)
    divergence_X = some_X + (1.0 - mean_X) * (np.log1p(-mean_X) - math.log1p(-risk))
    hoeffding_X = np.exp(-episodes * np.maximum(divergence_X, 0.0))
    bentkus_X = math.e * binomial_p(np.ceil(total_X).astype(np.intp), episodes, risk)
    return np.minimum(hoeffding_X, bentkus_X)


def _betting_p(losses_XE: NDArray[np.float64], risk: float) -> NDArray[np.float64]:
    """1 over the most that a mixture of constant bets on small losses has ever owned."""
    capital_BX = np.empty((len(_BETS), *losses_XE.shape[:-1]))
    capital_BX[:] = _WEIGHTS.reshape(-1, *[1] * (losses_XE.ndim - 1))
    most_X = np.ones(losses_XE.shape[:-1])
    with np.errstate(over="ignore"):  # beyond the range of floats the p-value is 0
        for e in range(losses_XE.shape[-1]):
            capital_BX *= _growth(losses_XE[..., e], risk)
            np.maximum(most_X, capital_BX.sum(axis=0), out=most_X)
    return 1.0 / most_X


def _growth(loss_X: NDArray[np.float64], risk: float) -> NDArray[np.float64]:
    """Factor [B, ...] of each bet's capital; its mean is at most 1 where the mean loss >= risk."""
    return 1.0 + np.multiply.outer(_BETS, (risk - np.asarray(loss_X)) / (1.0 - risk))


def more_episodes(losses_E: NDArray[np.floating], risk: float, failure: float, test: Test) -> int:
    """How many more episodes, all without loss, bring the p-value of `losses_E` to `failure`.

    Raises ThresholdsError as `p_values` does, and for `failure` outside (0, 1).
    """
    losses_E = checked_losses(np.asarray(losses_E, dtype=np.float64), test)
    check_share("risk", risk)
    check_share("failure", failure)
    if float(p_values(losses_E, risk, test)) <= failure:
        return 0
    return _least(lambda more: _p_after(losses_E, more, risk, test) <= failure)


def _p_after(losses_E: NDArray[np.float64], more: int, risk: float, test: Test) -> float:
    """P-value of the losses and `more` zeros after them."""
    episodes, total = len(losses_E) + more, math.fsum(losses_E)
    if test == "binomial":
        return float(binomial_p(np.array(int(total)), episodes, risk))
    if test == "hoeffding_bentkus":
        return float(hoeffding_bentkus_p(np.array(total), episodes, risk))
    log_B = np.log(_WEIGHTS) + np.log(_growth(losses_E, risk)).sum(axis=1)
    log_B = log_B + more * np.log(_growth(np.array(0.0), risk))
    return math.exp(-max(0.0, float(np.logaddexp.reduce(log_B))))


def _least(enough: Callable[[int], bool]) -> int:
    """The smallest number from 1 that is enough, when every larger one is too."""
    high = 1
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def checked_losses(losses_XE: ArrayLike, test: str) -> NDArray[np.float64]:
    """The losses as float64; raises ThresholdsError for what no test can judge."""
    if test not in TESTS:
        raise ThresholdsError(f"test is '{test}'; use one of {', '.join(TESTS)}")
    losses_XE = np.array(losses_XE, dtype=np.float64)
    if losses_XE.ndim < 1 or losses_XE.size == 0:
        raise ThresholdsError(
            f"losses have shape {losses_XE.shape}; give at least one episode: nothing can be said "
            "about none"
        )
    wrong = losses_XE[~((losses_XE >= 0.0) & (losses_XE <= 1.0))]  # NaN too
    if wrong.size:
        raise ThresholdsError(f"an episode's loss is {wrong[0]}; losses lie in [0, 1]")
    if test == "binomial":
        between = losses_XE[(losses_XE != 0.0) & (losses_XE != 1.0)]
        if between.size:
            raise ThresholdsError(
                f"an episode's loss is {between[0]}; the binomial test is for losses of 0 and 1, "
                "use betting"
            )
    return losses_XE


def check_share(name: str, value: float) -> None:
    """Raises ThresholdsError unless 0 < value < 1."""
    if not 0.0 < value < 1.0:
        raise ThresholdsError(f"{name} is {value}; give a number between 0 and 1, neither included")
