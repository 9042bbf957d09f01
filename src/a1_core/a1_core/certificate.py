"""Which of a family of settings is certified: fixed-sequence Learn-then-Test.

The family runs from full depth to the most aggressive setting. The hypothesis "its risk is above
the bound" is tested setting by setting, and the walk ends at the first that is not rejected; the
LAST rejected one is certified. Then the risk is above the bound with probability at most
`failure`, over the draw of the episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a1_core.arrays import frozen_array
from a1_core.errors import ThresholdsError
from a1_core.p_values import Test, check_share, checked_losses, more_episodes, p_values


def strongest_test(tick_loss: str, episode_loss: str) -> Test:
    """The strongest test for a kind of loss: exact where an episode's loss is 0 or 1."""
    return "binomial" if (tick_loss, episode_loss) == ("binary", "max") else "betting"


def last_rejected(p_XM: NDArray[np.floating], level: float) -> NDArray[np.intp]:
    """Index of the last setting before the first p-value above `level` [...]; -1 for none."""
    return np.cumprod(np.asarray(p_XM) <= level, axis=-1).sum(axis=-1) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Certification:
    """What the walk found.

    Attributes:
        member: index of the certified setting, 0 for full depth; None when not even that one
            could be certified: leave nothing early.
        risk, failure, tried: as asked for; every p-value was held against failure / tried.
        test: one of TESTS.
        episodes: number of episodes certified on.
        p_values_M: of all M settings; those after the first that fails say nothing.
        observed_M: mean loss of all settings on these episodes.
        missing_M: how many more episodes, none with a loss, each setting would need to pass by
            itself; 0 for those that do.
    """

    member: int | None
    risk: float
    failure: float
    tried: int
    test: Test
    episodes: int
    p_values_M: NDArray[np.float64]
    observed_M: NDArray[np.float64]
    missing_M: NDArray[np.intp]

    def explain(self) -> str:
        """One or two sentences for a person."""
        last = len(self.p_values_M) - 1
        if self.member is None:
            found = "nothing is certified, run at full depth"
        elif self.member == 0:
            found = "only full depth is certified, nothing may leave early"
        else:
            found = f"setting {self.member} of 0..{last} is certified"
        found += (
            f": risk {self.risk}, confidence {1 - self.failure:g}, {self.episodes} episodes "
            f"({self.test}" + (f"; the best of {self.tried} tries" if self.tried > 1 else "") + ")."
        )
        return f"{found} {self.lacking()}".rstrip()

    def missing(self, wanted: int | None = None) -> int:
        """How many more episodes, none with a loss, it takes to walk as far as `wanted`.

        Or as far as the walk can be hoped to get, where the mean loss of these episodes is not
        below the risk for a setting on the way. 0 where more episodes would not help.

        Args:
            wanted: a setting; by default the next one, and at least 1, the first in which ticks
                leave early.
        """
        return int(max(self.missing_M[self._following : self._end(wanted)], default=0))

    def lacking(self, wanted: int | None = None) -> str:
        """The same in one or two sentences; empty where `wanted` is certified."""
        end, missing = self._end(wanted), self.missing(wanted)
        sentences = []
        if missing:
            sentences.append(
                f"For setting {end - 1} {missing} more episodes are needed, if none of them has a "
                "loss."
            )
        if end <= self._wanted(wanted):
            sentences.append(
                f"With setting {end} the mean loss of these episodes is {self.observed_M[end]:.3g},"
                f" not below {self.risk:g}: more like them would not certify it."
            )
        return " ".join(sentences)

    @property
    def _following(self) -> int:
        return 0 if self.member is None else self.member + 1

    def _wanted(self, wanted: int | None) -> int:
        last = len(self.p_values_M) - 1
        return min(max(self._following, 1), last) if wanted is None else wanted

    def _end(self, wanted: int | None) -> int:
        """The first setting on the way that there is no hope for; else the one after `wanted`."""
        on_the_way = range(self._following, self._wanted(wanted) + 1)
        hopeless = (m for m in on_the_way if self.observed_M[m] >= self.risk)
        return next(hopeless, on_the_way.stop)


def certify(
    losses_ME: NDArray[np.floating],
    *,
    risk: float,
    failure: float,
    test: Test,
    episodes: Sequence[str],
    fit_episodes: Sequence[str],
    tried: int = 1,
) -> Certification:
    """Walks a family from full depth towards the most aggressive setting.

    Args:
        losses_ME: loss in [0, 1] of every setting on every episode; settings in the order of the
            walk, full depth first, episodes in the order of recording.
        risk: bound on the mean loss of an episode, in (0, 1).
        failure: how likely a certificate may be wrong, in (0, 1).
        test: see `p_values`; chosen before the losses are seen, e.g. by `strongest_test`.
        episodes: names of the E episodes.
        fit_episodes: names of those the family was fitted on; none may be among `episodes`.
        tried: number of families (metrics, modes, exit sets) and losses (tolerances) among which
            the choice is made with these episodes; `failure` is split evenly over them.

    Raises ThresholdsError for anything that would make the certificate worth nothing: no
    episodes, NaN or losses outside [0, 1], numbers out of range, episodes named twice or shared
    with the fit.
    """
    check_share("risk", risk)
    check_share("failure", failure)
    if tried < 1:
        raise ThresholdsError(f"tried is {tried}; give the number of families looked at, 1 or more")
    losses_ME = checked_losses(losses_ME, test)
    if losses_ME.ndim != 2 or losses_ME.shape[1] != len(episodes):
        raise ThresholdsError(
            f"losses have shape {losses_ME.shape} for {len(episodes)} episodes; give [M, E], a "
            "row for each setting"
        )
    _check_names(episodes, fit_episodes)
    level = failure / tried
    p_M = p_values(losses_ME, risk, test)
    member = int(last_rejected(p_M, level))
    missing_M = [more_episodes(losses_E, risk, level, test) for losses_E in losses_ME]
    return Certification(
        member=None if member < 0 else member,
        risk=risk,
        failure=failure,
        tried=tried,
        test=test,
        episodes=len(episodes),
        p_values_M=frozen_array(p_M, np.float64),
        observed_M=frozen_array(losses_ME.mean(axis=1), np.float64),
        missing_M=frozen_array(missing_M, np.intp),
    )


def _check_names(episodes: Sequence[str], fit_episodes: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in episodes:
        if name in seen:
            raise ThresholdsError(
                f"episode '{name}' is given twice; certify on each once, copies are no evidence"
            )
        seen.add(name)
    shared = sorted(seen & set(fit_episodes))
    if shared:
        raise ThresholdsError(
            f"episode '{shared[0]}' (of {len(shared)}) is in the fit and in the certificate; "
            "certify on episodes that the thresholds have not seen"
        )
