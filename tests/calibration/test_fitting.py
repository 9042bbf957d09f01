"""From made-up discrepancies to thresholds, certificate and sentence: no bags, no model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a1_calibration.collect import Ticks
from a1_calibration.costs import CostTables
from a1_calibration.fitting import Fitted, fit
from a1_calibration.outcome import explain, savings_of
from a1_calibration.recordings import Split
from a1_calibration.request import Promise, Request, parse_budget
from a1_core.calibration import exits_taken
from a1_core.episode_loss import split_episodes
from a1_core.errors import ThresholdsError
from a1_core.exit_rule import exits_that_matter
from a1_core.segment_costs import SegmentCosts, depth_costs

EXITS, TICKS = 6, 8
COSTS = depth_costs(range(EXITS), EXITS)
TABLES = CostTables(depth=COSTS, flops=COSTS, ms=COSTS, source="made up")


def draw(episodes: int, seed: int = 0) -> tuple[Ticks, list[str], Split]:
    """Chunks come nearer to full depth with every exit; discrepancies tell roughly how near."""
    rng = np.random.default_rng(seed)
    shape = (EXITS, episodes * TICKS)
    off_KN = 0.02 * 0.4 ** np.arange(EXITS)[:, None] * rng.gamma(4.0, 0.25, shape)
    off_KN[-1] = 0.0
    V_KN = off_KN * rng.lognormal(0.0, 0.3, shape) + 1e-6
    V_KN[0] = np.nan
    names = [f"run_{n:03d}#0" for n in range(episodes) for _ in range(TICKS)]
    numbers_N = np.arange(episodes).repeat(TICKS)
    ticks = Ticks(
        V_KN=V_KN,
        pairs_KKN=np.zeros(0),
        deviation_KNC=off_KN[..., None],
        bag_N=numbers_N,
        episode_N=np.zeros_like(numbers_N),
        stamp_N=np.arange(len(numbers_N)),
        accounts=(),
    )
    fitted_on, held_out = split_episodes(list(dict.fromkeys(names)), 0.5)
    return ticks, names, Split(fit=fitted_on, held_out=held_out)


def run(drawn, costs: CostTables = TABLES, measured=("tool_tip_m",), **asked) -> tuple[Fitted, str]:
    request = Request(
        checkpoint=Path("c"),
        fit_bags=(Path("b"),),
        out=Path("o"),
        **{"promise": Promise(), **asked},
    )
    fitted = fit(request, *drawn, costs, "m")
    savings = savings_of(fitted, fitted.member, costs)
    return fitted, explain(request, fitted, savings, measured)


@pytest.mark.parametrize("mode", ["mass", "least_loss"])
def test_held_out_ticks_decide_nothing_but_where_the_walk_ends(mode):
    """With other held-out discrepancies and deviations the family is the same to the last bit."""
    drawn = draw(120)
    ticks, names, split = drawn
    held = np.isin(names, split.held_out)
    worse = np.where(held, 50.0, 1.0)
    other = replace(
        ticks,
        V_KN=ticks.V_KN * np.where(held, 3.0, 1.0),
        deviation_KNC=ticks.deviation_KNC * worse[:, None],
    )
    ours, _ = run(drawn, fit=mode)
    theirs, _ = run((other, names, split), fit=mode)
    assert [s.eta_P.tolist() for s in ours.family] == [s.eta_P.tolist() for s in theirs.family]
    assert ours.member > theirs.member


def test_thresholds_that_lose_least_certify_more():
    drawn = draw(240)
    saved = {}
    for mode in ("mass", "least_loss"):
        fitted, message = run(drawn, fit=mode)
        assert fitted.certification.p_values_M[fitted.member] <= 0.1
        assert message.startswith("Certified: saves")
        saved[mode] = 1.0 - savings_of(fitted, fitted.member, TABLES).depth
    assert saved["least_loss"] > saved["mass"] > 0.1


def with_pairs(ticks: Ticks) -> Ticks:
    """Discrepancies of all pairs of exits: of the last exit before k they are those of V."""
    pairs_KKN = np.full((EXITS, *ticks.V_KN.shape), np.nan)
    for j in range(EXITS):
        for k in range(j + 1, EXITS):
            pairs_KKN[j, k] = ticks.V_KN[k] * 1.5 ** (k - j - 1)
    return replace(ticks, pairs_KKN=pairs_KKN)


def test_for_a_certificate_exits_that_are_not_worth_a_look_are_left_out():
    dear = SegmentCosts(reach_K=COSTS.reach_K, check_K=np.full(EXITS, 0.08))
    costs = CostTables(depth=COSTS, flops=dear, ms=dear, source="made up")
    ticks, *rest = draw(240)
    saved = {}
    for asked in (None, False):
        fitted, message = run((with_pairs(ticks), *rest), costs=costs, choose_exits=asked)
        assert message.startswith("Certified: saves")
        saved[asked] = 1.0 - savings_of(fitted, fitted.member, costs).flops
        assert (len(fitted.plan) < EXITS) == (asked is None)
        assert len(fitted.chosen.eta_P) == len(fitted.plan)
    assert saved[None] > saved[False]
    fitted, _ = run((ticks, *rest), costs=costs)  # exits start from each other
    assert fitted.plan == tuple(range(EXITS))
    with pytest.raises(ThresholdsError, match="exits cannot be chosen"):
        run((ticks, *rest), costs=costs, choose_exits=True)


def test_a_gripper_is_spoken_of_where_there_is_one():
    drawn = draw(120)
    _, message = run(drawn, promise=Promise(tolerance=1.0))
    assert "more than 1000 mm at the tool tip away" in message
    ticks, *rest = drawn
    both_KNC = np.concatenate([ticks.deviation_KNC, 0.0 * ticks.deviation_KNC], axis=-1)
    _, message = run(
        (replace(ticks, deviation_KNC=both_KNC), *rest),
        measured=("tool_tip_m", "gripper"),
        promise=Promise(tolerance=1.0),
    )
    assert "1000 mm at the tool tip or 0.1 at the gripper away" in message


def test_the_best_of_several_tries_has_to_be_surer():
    drawn = draw(90)  # 45 are held out: at risk 0.05 they say 0.0994 when none has a loss
    once, _ = run(drawn, promise=Promise(tolerance=1.0))
    assert once.member == len(once.family) - 1
    twice, message = run(drawn, promise=Promise(tolerance=1.0, tried=2))
    assert twice.member == 0
    assert "the best of 2 tries" in message
    assert "14 more episodes are needed" in message
    assert "Record 59 fresh ones and run again with these in --certify-bags" in message
    mean = Promise(tolerance=1.0, tried=2, episode_loss="mean")
    _, message = run(drawn, promise=mean, certify_bags=(Path("more"),))
    assert "to --certify-bags, with names behind the others" in message
    _, message = run(drawn, promise=Promise(tolerance=1e-9))
    assert "more like them would not certify it" in message
    assert "fresh ones" not in message


@pytest.mark.parametrize("size", [2, 5, 16])
def test_a_family_has_as_many_settings_as_were_asked_for(size):
    fitted, _ = run(draw(120), family_size=size)
    assert len(fitted.family) == size


def test_a_budget_that_is_not_certified_says_what_it_would_take():
    fitted, message = run(draw(120), budget=parse_budget("depth=0.35"))
    assert 0 < fitted.member < len(fitted.family) - 1
    assert "what was asked for is NOT kept. " in message
    last = len(fitted.family) - 1
    assert fitted.certification.lacking(last) in message
    fitted, message = run(draw(120), budget=parse_budget("depth=0.8"))
    assert fitted.member == len(fitted.family) - 1
    assert "keep what was asked for" in message


def test_a_tick_costs_what_the_policy_looks_at():
    """Checks on which nothing hangs are left out, unless exits start from each other."""
    costs = SegmentCosts(reach_K=COSTS.reach_K, check_K=[0.1, 0.1, 0.1, 0.1, 0.1, 0.0])
    dear = CostTables(depth=COSTS, flops=costs, ms=costs, source="made up")
    ticks, *rest = draw(120)
    free = replace(ticks, pairs_KKN=np.zeros((EXITS, EXITS, ticks.count)))
    saved = {}
    for given in (ticks, free):
        fitted, _ = run((given, *rest), dear, choose_exits=False)
        V_PN = fitted.V_PN[:, fitted.judged_N]
        spent = []
        for setting in fitted.family:
            all_P = range(EXITS)
            looked_at = exits_that_matter(setting.eta_P) if given is free else all_P
            taken_N = exits_taken(V_PN, setting.eta_P)
            spent.append(
                np.mean(
                    [
                        costs.reach_K[k] + sum(costs.check_K[j] for j in looked_at if j <= k)
                        for k in taken_N
                    ]
                )
            )
        told = [fitted.mean_cost(setting, costs) for setting in fitted.family]
        assert told == pytest.approx(spent)
        saved[given is free] = 1.0 - savings_of(fitted, fitted.member, dear).flops
    assert told[0] == costs.full
    assert saved[True] > saved[False]


def test_what_costs_no_less_than_full_depth_is_no_setting():
    """Checks that cost more than the layers they save."""
    costs = SegmentCosts(reach_K=COSTS.reach_K, check_K=[1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    dear = CostTables(depth=COSTS, flops=costs, ms=costs, source="made up")
    fitted, message = run(draw(120), dear, promise=Promise(tolerance=1.0))
    assert len(fitted.family) == 1
    assert message.startswith("Nothing is saved and no file is written")
