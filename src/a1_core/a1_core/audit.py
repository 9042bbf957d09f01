"""Whether a certificate still holds where the policy acts: one bet an episode that it does not.

A capital of 1 is staked against "the mean loss of an episode is at most the risk". While that is
true the capital is a supermartingale, whatever the bets, so it ever reaches 1/alpha with
probability at most alpha, over a run of any length. Then the policy goes one setting back towards
full depth, and the process begins anew for that setting.

Ticks of an episode resemble each other; bets are therefore made once an episode, on the loss of
its audited ticks, taken together as the certificate did (mean or max over ticks). As long as
ticks are chosen for the audit without looking at them, both are on average at most the loss of
the whole episode. An episode of which nothing was audited is bet on as well, as if it had lost
nothing: which episodes are audited may then depend on anything, as on their length, and the bet
stays fair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import ThresholdsError
from a1_core.p_values import check_share
from a1_core.strict_yaml import Fields

# A stake is twice the growth-optimal one for the losses remembered: these begin as if the risk
# were just kept, and so tell of a change too late. Below the risk nothing is staked, so that a
# long quiet time does not use up the capital.
_MEMORY_EPISODES = 20.0
_PRIOR_EPISODES = 5.0
_BOLDNESS = 2.0
_LARGEST_STAKE = 0.5
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class AuditRule:
    """What is watched.

    Attributes:
        risk: the certified bound on the mean loss of an episode, in (0, 1).
        alpha: how likely a false alarm may be while one setting is in force, in (0, 1).
        thresholds: digest of the thresholds file.
    """

    risk: float
    alpha: float = 0.05
    thresholds: str = ""

    def __post_init__(self) -> None:
        check_share("risk", self.risk)
        check_share("alpha", self.alpha)


@dataclass(frozen=True, kw_only=True)
class AuditState:
    """All there is to remember between episodes.

    Attributes:
        setting: index into the family, 0 is full depth.
        alarms: how often there was one.
        audited, unaudited: episodes with and without an audited tick, of all settings.
        log_capital: of the setting in force; the alarm comes at log(1 / alpha).
        weight, losses, squares: what is remembered of the losses, in units of the risk, older
            ones fading: number, sum and sum of squares.
    """

    setting: int
    alarms: int = 0
    audited: int = 0
    unaudited: int = 0
    log_capital: float
    weight: float
    losses: float
    squares: float


def begin_audit(rule: AuditRule, setting: int, before: AuditState | None = None) -> AuditState:
    """A new process for a setting; the counters of `before` go on."""
    if setting < 0:
        raise ThresholdsError(f"setting is {setting}; give an index into the family, from 0")
    return AuditState(
        setting=setting,
        alarms=0 if before is None else before.alarms,
        audited=0 if before is None else before.audited,
        unaudited=0 if before is None else before.unaudited,
        log_capital=0.0,
        weight=_PRIOR_EPISODES,
        losses=_PRIOR_EPISODES,
        squares=_PRIOR_EPISODES / rule.risk,  # as of losses of 0 and 1
    )


def observe_episode(rule: AuditRule, state: AuditState, loss: float | None) -> AuditState:
    """The state after an episode; `alarms` has grown when this one raised the alarm.

    On an alarm the setting is one step nearer to full depth and the process begins anew.

    Args:
        loss: of the episode's audited ticks, in [0, 1]; None when none was audited, which is
            counted, and bet on as 0, the least that it can have been. Left out it would bias what
            is seen: long episodes are seldom without an audited tick, and may lose more often.

    Raises ThresholdsError for a loss outside [0, 1] or NaN.
    """
    least = 0.0 if loss is None else loss
    if not 0.0 <= least <= 1.0:
        raise ThresholdsError(f"an episode's audited loss is {loss}; losses lie in [0, 1]")
    memory = np.array([state.weight, state.losses, state.squares])
    growth, memory = _step(memory, np.array(least / rule.risk))
    grown = replace(
        state,
        audited=state.audited + (loss is not None),
        unaudited=state.unaudited + (loss is None),
        log_capital=state.log_capital + float(growth),
        weight=float(memory[0]),
        losses=float(memory[1]),
        squares=float(memory[2]),
    )
    if grown.log_capital < -math.log(rule.alpha):
        return grown
    alarmed = replace(grown, alarms=grown.alarms + 1)
    return begin_audit(rule, max(grown.setting - 1, 0), alarmed)


def replay_audit(rule: AuditRule, losses_XT: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logarithm of the capital after each of T episodes of independent runs, [..., T].

    One setting throughout: alarms are where it first reaches log(1 / alpha), and change nothing.
    """
    losses_XT = np.array(losses_XT, dtype=np.float64)
    if not ((losses_XT >= 0.0) & (losses_XT <= 1.0)).all():
        raise ThresholdsError("an episode's audited loss is outside [0, 1], or NaN")
    start = begin_audit(rule, 0)
    memory = np.empty((3, *losses_XT.shape[:-1]))
    memory[0], memory[1], memory[2] = start.weight, start.losses, start.squares
    growth_XT = np.empty_like(losses_XT)
    for t in range(losses_XT.shape[-1]):
        growth_XT[..., t], memory = _step(memory, np.asarray(losses_XT[..., t] / rule.risk))
    return np.cumsum(growth_XT, axis=-1)


def _step(
    memory: NDArray[np.float64], loss: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Growth of the log capital by one loss (in units of the risk), and the new memory.

    The stake b in [0, 1) is known before the loss; the factor 1 + b (loss - 1) has a mean of at
    most 1 when the mean loss is at most the risk.
    """
    weight, losses, squares = memory
    mean = losses / weight - 1.0
    square = squares / weight - 2.0 * losses / weight + 1.0  # of loss - 1; variance + mean^2
    stake = np.clip(_BOLDNESS * mean / np.maximum(square, 1e-12), 0.0, _LARGEST_STAKE)
    growth = np.log1p(stake * (loss - 1.0))
    kept = (1.0 - 1.0 / _MEMORY_EPISODES) * memory
    return growth, kept + np.stack([np.ones_like(loss), loss, loss * loss])


def audit_to_mapping(rule: AuditRule, state: AuditState) -> dict[str, Any]:
    """Rule and state as plain values, for YAML or JSON; floats survive exactly."""
    return {"version": _VERSION, **asdict(rule), **asdict(state)}


def audit_from_mapping(content: Mapping[str, Any], rule: AuditRule, where: str) -> AuditState:
    """The state again; raises ThresholdsError naming the field when it belongs to another rule."""
    part = Fields(content, where, ThresholdsError)
    expected = {"version": _VERSION, **asdict(rule)}
    for key, wanted in expected.items():
        found = part.raw(key)
        if found != wanted:
            raise part.fail(key, found, f"{wanted!r} is in force: begin a new audit")
    state = AuditState(
        setting=part.whole("setting", least=0),
        alarms=part.whole("alarms", least=0),
        audited=part.whole("audited", least=0),
        unaudited=part.whole("unaudited", least=0),
        log_capital=part.number("log_capital"),
        weight=part.number("weight", low=0.0),
        losses=part.number("losses"),
        squares=part.number("squares"),
    )
    part.done()
    if min(state.losses, state.squares) < 0.0:
        raise part.fail("losses", state.losses, "sums of losses are not negative: begin anew")
    if state.log_capital >= -math.log(rule.alpha):
        raise part.fail("log_capital", state.log_capital, "that is an alarm: begin a new audit")
    return state
