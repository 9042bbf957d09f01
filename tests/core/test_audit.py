import json
import math

import numpy as np
import pytest
import yaml
from scipy import stats

from a1_core.audit import (
    AuditRule,
    audit_from_mapping,
    audit_to_mapping,
    begin_audit,
    observe_episode,
    replay_audit,
)
from a1_core.errors import ThresholdsError

RULE = AuditRule(risk=0.05, alpha=0.05, thresholds="d" * 64)
RUNS = 10_000


def watch(losses, setting: int = 3, rule: AuditRule = RULE):
    state = begin_audit(rule, setting)
    return [state := observe_episode(rule, state, loss) for loss in losses]


@pytest.mark.parametrize(
    "kind",
    [
        "0 and 1",
        "skewed",
        "narrow",
        "halves",
        "mean of a tenth of the ticks",
        "max of a tenth of the ticks",
    ],
)
def test_false_alarms_are_rarer_than_alpha(bench, kind: str) -> None:
    """Risk exactly at the bound, 500 episodes, 10,000 runs; also where few ticks are looked at."""
    alarms = bench.false_alarms(bench.QUIET_LOSSES[kind], RUNS, 500)
    assert stats.binomtest(alarms, RUNS).proportion_ci(0.99).high <= bench.ALPHA


def test_a_risk_that_only_looks_worse_at_times_is_no_reason_for_alarm() -> None:
    """The risk may depend on the past as long as it is never above the bound."""
    rng = np.random.default_rng(0)
    losses = (rng.random((RUNS, 300)) < RULE.risk).astype(float)
    calm = losses.copy()
    for t in range(1, 300):  # after each bad episode twenty careful ones
        careful = losses[:, max(0, t - 20) : t].any(axis=1)
        calm[careful, t] = 0.0
    alarms = (replay_audit(RULE, calm).max(axis=1) >= -math.log(RULE.alpha)).mean()
    assert alarms <= RULE.alpha


def test_betting_on_every_tick_would_alarm_too_often() -> None:
    """Why the unit is the episode: here all its ticks are lost together or not at all."""
    episodes = (np.random.default_rng(1).random((2000, 60)) < RULE.risk).astype(float)
    by_tick = replay_audit(RULE, np.repeat(episodes, 20, axis=1))
    assert (by_tick.max(axis=1) >= -math.log(RULE.alpha)).mean() > 4 * RULE.alpha


@pytest.mark.parametrize("risk", [0.05, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_every_bet_is_fair_at_the_bound(risk: float, seed: int) -> None:
    """Whatever came before, the mean factor of the next 0/1 loss is exactly 1."""
    rule = AuditRule(risk=risk)
    past = (np.random.default_rng(seed).random(40) < 2 * risk).astype(float)
    both = np.stack([np.append(past, 0.0), np.append(past, 1.0)])
    capital = np.exp(replay_audit(rule, both))
    good, bad = capital[:, -1] / capital[:, -2]
    assert (1 - risk) * good + risk * bad == pytest.approx(1.0, rel=1e-12)
    assert good >= 0.5 * (1 - 1e-12)


def test_a_shift_is_noticed_also_after_a_long_quiet_time(bench) -> None:
    waits = bench.episodes_to_alarm(2000)
    assert np.quantile(waits, 0.95) <= 60
    assert np.median(waits) <= 35
    assert np.isfinite(bench.ticks_to_alarm(2000))
    rng = np.random.default_rng(2)
    for quiet in (0, 2000):
        losses = np.concatenate(
            [np.zeros((500, quiet)), rng.beta(2, 8, (500, 60))], axis=1
        )  # mean 0.2
        capital = replay_audit(RULE, losses)[:, quiet:]
        assert (capital.max(axis=1) >= -math.log(RULE.alpha)).mean() > 0.95


def test_one_by_one_is_the_same_as_at_once() -> None:
    losses = np.random.default_rng(3).beta(0.5, 9.5, 80)
    states = watch(losses)
    assert states[-1].alarms == 0
    at_once = replay_audit(RULE, losses)
    np.testing.assert_allclose([s.log_capital for s in states], at_once, rtol=0, atol=1e-12)


def test_an_alarm_steps_back_and_begins_anew() -> None:
    states = watch([1.0] * 40, setting=2)
    first = next(i for i, state in enumerate(states) if state.alarms)
    assert [s.setting for s in states[: first + 1]] == [2] * first + [1]
    capital = replay_audit(RULE, np.ones(40))
    assert first == np.argmax(capital >= math.log(20))
    fresh = begin_audit(RULE, 1)
    after = states[first]
    assert (after.log_capital, after.weight, after.losses, after.squares) == (
        fresh.log_capital,
        fresh.weight,
        fresh.losses,
        fresh.squares,
    )
    # As long to the next alarm as to the first: nothing of the old capital is left.
    second = next(i for i, state in enumerate(states) if state.alarms == 2)
    assert second - first == first + 1
    assert states[second].setting == 0
    assert states[-1].setting == 0
    assert states[-1].audited == 40


def test_the_alarm_comes_at_one_over_alpha() -> None:
    losses = np.random.default_rng(5).beta(2, 8, (50, 100))
    for alpha in (0.2, 0.05, 0.001):
        rule = AuditRule(risk=0.05, alpha=alpha)
        for row in losses:
            reached = replay_audit(rule, row) >= math.log(1 / alpha)
            alarms = [state.alarms > 0 for state in watch(row, rule=rule)]
            assert np.argmax(alarms) == np.argmax(reached)
            assert any(alarms) == reached.any()


def test_an_episode_without_audit_is_counted_and_bet_on_as_lossless() -> None:
    before = watch([0.2, 0.0])[-1]
    after, lossless = (observe_episode(RULE, before, loss) for loss in (None, 0.0))
    assert (after.audited, after.unaudited) == (2, 1)
    assert (lossless.audited, lossless.unaudited) == (3, 0)
    assert after.log_capital == lossless.log_capital < before.log_capital
    assert (after.weight, after.losses) == (lossless.weight, lossless.losses)


def test_to_leave_out_what_was_not_audited_would_alarm_too_often() -> None:
    """Long episodes are lost at times, and nearly always audited; short ones neither."""
    rng = np.random.default_rng(6)
    lost = rng.random((2000, 400)) < RULE.risk
    audited = rng.random(lost.shape) < 1.0 - 0.9 ** np.where(lost, 50, 3)
    as_lossless = replay_audit(RULE, (lost & audited).astype(float))
    alarm = -math.log(RULE.alpha)
    assert (as_lossless.max(axis=1) >= alarm).mean() <= RULE.alpha
    left_out = [replay_audit(RULE, row[seen].astype(float)).max() for row, seen in zip(
        lost[:200], audited[:200], strict=True
    )]  # fmt: skip
    assert np.mean(np.array(left_out) >= alarm) > 4 * RULE.alpha


def test_below_the_bound_nothing_is_staked() -> None:
    assert watch([0.0] * 5000)[-1].log_capital == 0.0


@pytest.mark.parametrize("through", [json, yaml], ids=["json", "yaml"])
def test_a_state_survives_a_restart(through) -> None:
    losses = np.random.default_rng(4).beta(0.5, 9.5, 60).tolist()
    whole = watch(losses)[-1]
    half = watch(losses[:30])[-1]
    dumps, loads = (json.dumps, json.loads) if through is json else (yaml.safe_dump, yaml.safe_load)
    state = audit_from_mapping(loads(dumps(audit_to_mapping(RULE, half))), RULE, "audit.yaml")
    assert state == half
    for loss in losses[30:]:
        state = observe_episode(RULE, state, loss)
    assert state == whole


def test_a_very_long_quiet_run_can_be_read_back() -> None:
    state = begin_audit(RULE, 1)
    for _ in range(20_000):
        state = observe_episode(RULE, state, 0.0)
    assert audit_from_mapping(audit_to_mapping(RULE, state), RULE, "a") == state


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("risk", 0.1),
        ("alpha", 0.01),
        ("thresholds", "e" * 64),
        ("setting", -1),
        ("alarms", 1.5),
        ("log_capital", math.nan),
        ("log_capital", 9.0),
        ("weight", 0.0),
        ("squares", -1.0),
        ("extra", 1),
    ],
)
def test_a_state_of_something_else_is_refused(key: str, value: object) -> None:
    content = audit_to_mapping(RULE, begin_audit(RULE, 1))
    named = "losses" if key == "squares" else key
    with pytest.raises(ThresholdsError, match=f"audit.yaml.*{named}"):
        audit_from_mapping({**content, key: value}, RULE, "audit.yaml")
    del content["weight"]
    with pytest.raises(ThresholdsError, match="weight"):
        audit_from_mapping(content, RULE, "audit.yaml")


@pytest.mark.parametrize("loss", [math.nan, -0.1, 1.1])
def test_refused_losses(loss: float) -> None:
    with pytest.raises(ThresholdsError, match="0, 1"):
        observe_episode(RULE, begin_audit(RULE, 1), loss)
    with pytest.raises(ThresholdsError, match="0, 1"):
        replay_audit(RULE, np.array([0.0, loss]))


def test_refused_rules() -> None:
    for asked in ({"risk": 0.0}, {"risk": 0.05, "alpha": 1.0}):
        with pytest.raises(ThresholdsError, match="between 0 and 1"):
            AuditRule(**asked)
    with pytest.raises(ThresholdsError, match="setting is -1"):
        begin_audit(RULE, -1)
