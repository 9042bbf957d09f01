"""Calibration: how fast it reads and computes, what memory it takes, how often it is wrong.

Prints one JSON line and writes out/bench/calibration.json.

throughput_over_bare_forward: ticks a second of reading, decoding, computing all exits and keeping
the result, over those of bare passes through all exits over the same frames, which lie decoded in
memory. Network of size small with random weights, 128 px raw images, 8 ticks in batches of 4;
medians of runs that take turns. throughput_over_bare_forward_tiny: the same with tiny, 1200 ticks
in batches of 16.

memory_growth_20x: peak resident memory of the same with a bag of 1200 ticks over that with one of
60, tiny, each in a process of its own.

certificate_violation_rate: how many certificates for a family of known risks (0/1 and mean losses,
all tests, risks just above the bound) are for a setting whose risk is above 0.05, failure 0.1. The
worst family in FAMILIES is found with one set of draws and measured with ten fresh ones.
certificate_violation_rate_low is the lower end of its 99 % binomial interval.

audit_false_alarm_rate: runs of 500 audited episodes with a risk of just 0.05 and an alarm (alpha
0.05), for the worst kind of losses; among them those of episodes of 25 ticks of which a tenth is
audited. audit_ticks_to_alarm_p95: after 200 episodes with a risk of 0.02 the risk is 0.3; ticks of
the policy until the alarm when a tenth of them is audited, one an episode at least, 25 an episode;
in a lost one 1 to 25 are past tolerance. audit_all_ticks_to_alarm_p95: the same when all are
audited.

certified_compute_saved: share of the backbone's layers that are not run under the shipped
thresholds over all inferences of closed-loop episodes in lockstep, where these thresholds carry a
certificate, for certified_tolerance_mm at the tool tip. certified_success_loss: success at full
depth less success under them, on the same certified_pairs layouts of the evaluation, every one
another, with the kinds of task that `make thresholds` records; certified_success_loss_high: the end
of its 95 % interval. Playing them takes longer than all else here, so they are kept in
out/bench/certified, bound to checkpoint, robot spec and thresholds by digest; --evaluate plays what
is missing there. Null where they carry no certificate or too little was played, with the reason on
stderr; with --evaluate that is an error.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from a1_core.audit import AuditRule, replay_audit
from a1_core.certificate import last_rejected
from a1_core.p_values import Test, p_values

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/bench/calibration.json"
RISK, FAILURE, ALPHA = 0.05, 0.1, 0.05
ABOVE = RISK * (1 + 1e-6)
DRAWS = 10_000
QUIET_EPISODES, QUIET_RISK, SHIFTED_RISK = 200, 0.02, 0.3
TICKS_PER_EPISODE = 25
AUDIT_FRACTION = 0.1
"""The policy node's default."""
TICKS = {"few": 8, "short": 60, "long": 1200}
"""Of a bag by its name."""
BATCHES = {"small": 4, "tiny": 16}
REPEATS = 3

Draw = Callable[[np.random.Generator, tuple[int, ...], float], NDArray[np.float64]]


def zero_one(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return (rng.random(shape) < mean).astype(np.float64)


def skewed(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return rng.beta(0.5, 0.5 * (1 / mean - 1), shape) if mean else np.zeros(shape)


def narrow(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return rng.beta(20 * mean, 20 * (1 - mean), shape) if mean else np.zeros(shape)


def halves(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    return 0.5 * (rng.random(shape) < 2 * mean)


def audited_ticks(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """How many ticks of an episode are audited: those drawn, or one."""
    return np.maximum(rng.binomial(TICKS_PER_EPISODE, AUDIT_FRACTION, shape), 1)


def lost_ticks(rng: np.random.Generator, shape: tuple[int, ...], bad: float) -> NDArray[np.int64]:
    """Lost ticks of an episode: with the probability `bad` from 1 to all of them, else none."""
    return (rng.random(shape) < bad) * rng.integers(1, TICKS_PER_EPISODE + 1, shape)


def audited_mean(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    """Mean over the audited ticks; `mean` is that of an episode over all of its ticks."""
    share = (TICKS_PER_EPISODE + 1) / 2 / TICKS_PER_EPISODE
    lost, audited = lost_ticks(rng, shape, mean / share), audited_ticks(rng, shape)
    return rng.hypergeometric(lost, TICKS_PER_EPISODE - lost, audited) / audited


def audited_max(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> NDArray:
    """Whether an audited tick is lost; `mean` is the share of episodes with a lost tick."""
    lost, audited = lost_ticks(rng, shape, mean), audited_ticks(rng, shape)
    return (rng.hypergeometric(lost, TICKS_PER_EPISODE - lost, audited) > 0).astype(np.float64)


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
QUIET_LOSSES = {
    "0 and 1": zero_one,
    "skewed": skewed,
    "narrow": narrow,
    "halves": halves,
    "mean of a tenth of the ticks": audited_mean,
    "max of a tenth of the ticks": audited_max,
}


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


def episodes_to_alarm(
    runs: int, draw: Draw = zero_one, after: int = 400, seed: int = 0
) -> NDArray[np.float64]:
    """Audited episodes from the shift to the alarm; infinite where none came within `after`."""
    rng = np.random.default_rng(seed)
    quiet = draw(rng, (runs, QUIET_EPISODES), QUIET_RISK)
    shifted = draw(rng, (runs, after), SHIFTED_RISK)
    capital_XT = replay_audit(
        AuditRule(risk=RISK, alpha=ALPHA), np.concatenate([quiet, shifted], axis=1)
    )
    alarm_XT = capital_XT[:, QUIET_EPISODES:] >= -np.log(ALPHA)
    return np.where(alarm_XT.any(axis=1), alarm_XT.argmax(axis=1) + 1.0, np.inf)


def ticks_to_alarm(runs: int) -> float:
    """95 % of the alarms come within so many ticks of the policy, audited or not."""
    return float(TICKS_PER_EPISODE * np.percentile(episodes_to_alarm(runs, audited_max), 95))


def write_recordings(folder: Path) -> None:
    """A checkpoint of each size with random weights, and the bags."""
    sys.path[:0] = [str(ROOT / "tests" / part) for part in ("calibration", "data", "")]
    import world_bags
    from bag_rig import START, write_bag, write_spec

    from a1_core.spec import load_spec
    from a1_model.config import small, tiny
    from a1_world.world import World

    spec = load_spec(write_spec(folder / "spec.yaml"))
    for size in (small, tiny):
        world_bags.write_checkpoint(folder / size.__name__, spec, config=size)
    for name, ticks in TICKS.items():
        with World() as world:

            def messages(world=world, ticks=ticks):
                for tick in range(ticks):
                    world.step(0.02)
                    yield from world_bags.look(world, spec, START + tick * 100_000_000)

            write_bag(folder / name, messages(), instruction="touch the red cube")


def collect_all(folder: Path, bag: str, size: str) -> tuple[int, float]:
    """Ticks of a bag and seconds that calibration took to read and compute them."""
    import torch

    from a1_calibration.collect import collect, groups_of, measure_here
    from a1_calibration.recordings import open_recordings
    from a1_calibration.v_file import VFile
    from a1_core.deviation import DeviationMeter
    from a1_core.spec import load_spec
    from a1_data.reader import ReadSettings
    from a1_model.checkpoint import load_checkpoint

    torch.set_num_threads(1)
    spec = load_spec(folder / "spec.yaml")
    policy = load_checkpoint(folder / size, spec).policy
    recordings = open_recordings([folder / bag], [], spec, ReadSettings())
    began_s = time.perf_counter()
    with VFile(folder / "bench.v", {}, fresh=True) as file:
        meter = DeviationMeter(spec, 0.5)
        groups = groups_of(recordings, BATCHES[size], 1.0)
        measure = partial(measure_here, policy, meter, "l2", groups, BATCHES[size])
        ticks = collect(recordings, file, measure, lambda *_: None)
    return ticks.count, time.perf_counter() - began_s


def bare_passes(folder: Path, bag: str, size: str) -> tuple[int, float]:
    """Ticks, and seconds of passes through all exits over frames that are in memory."""
    import torch

    from a1_core.spec import load_spec
    from a1_data.reader import ReadSettings, open_bags
    from a1_model.checkpoint import load_checkpoint
    from a1_model.exit_pass import ExitPass
    from a1_model.stopwatch import Stopwatch

    torch.set_num_threads(1)
    spec = load_spec(folder / "spec.yaml")
    policy = load_checkpoint(folder / size, spec).policy
    (opened,) = open_bags(folder / bag, spec, ReadSettings())
    observations = [frame.observation for frame in opened.frames()]
    began_s = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, len(observations), BATCHES[size]):
            given = policy.prepare(observations[first : first + BATCHES[size]])
            watch = Stopwatch(policy.device, policy.clock)
            going = ExitPass(policy.network, policy.settings, given, watch)
            for exit_index in range(len(policy.network.config.exits)):
                going.actions(exit_index).cpu().numpy()
    return len(observations), time.perf_counter() - began_s


def throughput(folder: Path, bag: str, size: str) -> dict[str, float]:
    """Medians in ticks a second, and their ratio."""
    for each in (collect_all, bare_passes):
        each(folder, "few", size)
    rates: dict[str, list[float]] = {"collect_all": [], "bare_passes": []}
    for _ in range(REPEATS):
        for each in (bare_passes, collect_all):
            count, seconds = each(folder, bag, size)
            assert count >= TICKS[bag] - 2
            rates[each.__name__].append(count / seconds)
    ours, bare = (float(np.median(rates[name])) for name in ("collect_all", "bare_passes"))
    return {"ratio": ours / bare, "ticks_per_s": ours, "bare_ticks_per_s": bare}


def peak_of_this_process_mib() -> float:
    """ru_maxrss would count what the parent held when it forked."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def peak_mib(folder: Path, bag: str) -> float:
    """Peak resident memory of a process that collects a bag."""
    command = [sys.executable, __file__, "--collect", str(folder), bag]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--evaluate", action="store_true", help="play what certified_* lack")
    parser.add_argument("--collect", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collect is not None:
        collect_all(Path(options.collect[0]), options.collect[1], "tiny")
        print(peak_of_this_process_mib())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_recordings(folder)
        speed = {
            "tiny": throughput(folder, "long", "tiny"),
            "small": throughput(folder, "few", "small"),
        }
        short, long = (peak_mib(folder, bag) for bag in ("short", "long"))
    draws = options.draws
    by_family = {name: violations(family, draws) for name, family in FAMILIES.items()}
    worst = max(by_family, key=lambda name: by_family[name])
    fresh = sum(violations(FAMILIES[worst], draws, seed) for seed in range(1, 11))
    low = stats.binomtest(fresh, 10 * draws).proportion_ci(0.99).low
    alarms = {kind: false_alarms(draw, draws, 500) for kind, draw in QUIET_LOSSES.items()}
    all_ticks = TICKS_PER_EPISODE * np.percentile(episodes_to_alarm(draws), 95)
    figures = [
        ("throughput_over_bare_forward", speed["small"]["ratio"], "1"),
        ("throughput_over_bare_forward_tiny", speed["tiny"]["ratio"], "1"),
        ("memory_growth_20x", long / short, "1"),
        ("certificate_violation_rate", fresh / (10 * draws), "1"),
        ("certificate_violation_rate_low", low, "1"),
        ("audit_false_alarm_rate", max(alarms.values()) / draws, "1"),
        ("audit_ticks_to_alarm_p95", ticks_to_alarm(draws), "ticks"),
        ("audit_all_ticks_to_alarm_p95", all_ticks, "ticks"),
    ]
    from _certified import certified_rows  # Not before memory was measured.

    rows: list[dict[str, Any]] = [
        {"name": n, "value": round(float(v), 4), "unit": unit} for n, v, unit in figures
    ]
    details = {
        "worst_family": worst,
        "violations": by_family,
        "false_alarms": alarms,
        "throughput": speed,
        "peak_mib": {"short": short, "long": long},
    }
    _write(rows, {"draws": draws, **details})  # hours of playing may come now
    in_closed_loop = certified_rows(play=options.evaluate)
    rows += in_closed_loop
    _write(rows, {"draws": draws, **details})
    print(json.dumps({"bench": "calibration", **{r["name"]: r["value"] for r in rows}}))
    if options.evaluate and any(row["value"] is None for row in in_closed_loop):
        sys.exit(1)


def _write(rows: list[dict[str, Any]], details: dict[str, Any]) -> None:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"rows": rows, **details}, indent=1) + "\n")


if __name__ == "__main__":
    main()
