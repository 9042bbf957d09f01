"""How often certificate and audit are wrong, and how soon the audit notices. No model, no robot.

Prints one JSON line and writes out/bench/calibration_maths.json.

certificate_violation_rate: how many certificates for a family of known risks (0/1 and mean losses,
all tests, risks just above the bound) are for a setting whose risk is above 0.05, failure 0.1. The
worst family in FAMILIES is found with one set of draws and measured with ten fresh ones.
certificate_violation_rate_low is the lower end of its 99 % binomial interval.

audit_false_alarm_rate: runs of 500 episodes with a risk of just 0.05 and an alarm (alpha 0.05),
for the worst kind of losses. audit_ticks_to_alarm_p95: after 200 episodes with a risk of 0.02 the
risk is 0.3; ticks of the policy until the alarm, 25 an episode.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from a1_core.audit import AuditRule, replay_audit
from a1_core.certificate import last_rejected
from a1_core.p_values import Test, p_values

OUT = Path(__file__).parents[1] / "out/bench/calibration_maths.json"
RISK, FAILURE, ALPHA = 0.05, 0.1, 0.05
ABOVE = RISK * (1 + 1e-6)
DRAWS = 10_000
QUIET_EPISODES, QUIET_RISK, SHIFTED_RISK = 200, 0.02, 0.3
TICKS_PER_EPISODE = 25

Draw = Callable[[np.random.Generator, tuple[int, ...], float], NDArray[np.float64]]


def zero_one(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return (rng.random(shape) < mean).astype(np.float64)


def skewed(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return rng.beta(0.5, 0.5 * (1 / mean - 1), shape) if mean else np.zeros(shape)


def narrow(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return rng.beta(20 * mean, 20 * (1 - mean), shape) if mean else np.zeros(shape)


def halves(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return 0.5 * (rng.random(shape) < 2 * mean)


@dataclass(frozen=True)
class Family:
    """Settings of known risk; with `together` all see the same episodes go wrong: p-values tie."""

    risks: tuple[float, ...]
    episodes: int
    test: Test
    draw: Draw = zero_one
    together: bool = False

    def losses(self, rng: np.random.Generator, draws: int) -> NDArray[np.float64]:
        """Episode losses [draws, M, E]."""
        shape = (draws, self.episodes)
        if self.together:
            u = rng.random(shape)
            return np.stack([(u < risk).astype(np.float64) for risk in self.risks], axis=1)
        return np.stack([self.draw(rng, shape, risk) for risk in self.risks], axis=1)


COARSE = (0.0, ABOVE)
BUMPY = (0.0, 0.02, ABOVE, 0.01, 0.3, ABOVE)
FAMILIES = {
    "coarse, 45 episodes": Family(COARSE, 45, "binomial"),
    "coarse, 77 episodes": Family(COARSE, 77, "binomial"),
    "coarse, 132 episodes": Family(COARSE, 132, "binomial"),
    "coarse, 400 episodes": Family(COARSE, 400, "binomial"),
    "far too bold": Family((0.0, 0.3), 45, "binomial"),
    "non-monotone": Family(BUMPY, 77, "binomial"),
    "ties": Family((0.0, *[ABOVE] * 5), 77, "binomial", together=True),
    "nested": Family((0.0, 0.01, 0.03, 0.049, ABOVE, 0.06, 0.1), 132, "binomial", together=True),
    "many above": Family((0.0, *[ABOVE] * 8), 45, "binomial"),
    "all above": Family((ABOVE, ABOVE), 45, "binomial"),
    "betting, 0 and 1": Family(COARSE, 132, "betting"),
    "betting, skewed": Family(COARSE, 200, "betting", skewed),
    "betting, narrow": Family(COARSE, 200, "betting", narrow),
    "betting, halves": Family(BUMPY, 132, "betting", halves),
    "bound, 0 and 1": Family(COARSE, 132, "hoeffding_bentkus"),
    "bound, skewed": Family(BUMPY, 200, "hoeffding_bentkus", skewed),
}
QUIET_LOSSES = {"0 and 1": zero_one, "skewed": skewed, "narrow": narrow, "halves": halves}


def violations(family: Family, draws: int, seed: int = 0) -> int:
    """How many of the certificates are for a setting whose risk is above RISK."""
    losses_XME = family.losses(np.random.default_rng(seed), draws)
    member_X = last_rejected(p_values(losses_XME, RISK, family.test), FAILURE)
    risk_X = np.array([*family.risks, 0.0])[member_X]  # -1, nothing certified, is the 0 at the end
    return int((risk_X > RISK).sum())


def false_alarms(draw: Draw, runs: int, episodes: int, risk: float = RISK, seed: int = 0) -> int:
    """Runs with an alarm although the risk is kept."""
    losses_XT = draw(np.random.default_rng(seed), (runs, episodes), risk)
    capital_XT = replay_audit(AuditRule(risk=RISK, alpha=ALPHA), losses_XT)
    return int((capital_XT.max(axis=1) >= -np.log(ALPHA)).sum())


def episodes_to_alarm(runs: int, after: int = 200, seed: int = 0) -> NDArray[np.float64]:
    """Episodes from the shift to the alarm; infinite where none came within `after`."""
    rng = np.random.default_rng(seed)
    quiet = zero_one(rng, (runs, QUIET_EPISODES), QUIET_RISK)
    shifted = zero_one(rng, (runs, after), SHIFTED_RISK)
    capital_XT = replay_audit(
        AuditRule(risk=RISK, alpha=ALPHA), np.concatenate([quiet, shifted], axis=1)
    )
    alarm_XT = capital_XT[:, QUIET_EPISODES:] >= -np.log(ALPHA)
    return np.where(alarm_XT.any(axis=1), alarm_XT.argmax(axis=1) + 1.0, np.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    draws = parser.parse_args().draws
    by_family = {name: violations(family, draws) for name, family in FAMILIES.items()}
    worst = max(by_family, key=lambda name: by_family[name])
    fresh = sum(violations(FAMILIES[worst], draws, seed) for seed in range(1, 11))
    low = stats.binomtest(fresh, 10 * draws).proportion_ci(0.99).low
    alarms = {kind: false_alarms(draw, draws, 500) for kind, draw in QUIET_LOSSES.items()}
    ticks = TICKS_PER_EPISODE * np.percentile(episodes_to_alarm(draws), 95)
    figures = [
        ("certificate_violation_rate", fresh / (10 * draws), "1"),
        ("certificate_violation_rate_low", low, "1"),
        ("audit_false_alarm_rate", max(alarms.values()) / draws, "1"),
        ("audit_ticks_to_alarm_p95", ticks, "ticks"),
    ]
    rows = [{"name": n, "value": round(float(v), 4), "unit": unit} for n, v, unit in figures]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    details = {"worst_family": worst, "violations": by_family, "false_alarms": alarms}
    OUT.write_text(json.dumps({"rows": rows, "draws": draws, **details}, indent=1) + "\n")
    print(json.dumps({"bench": "calibration_maths", **{r["name"]: r["value"] for r in rows}}))


if __name__ == "__main__":
    main()
