"""What being adaptive costs: ticks that look at every exit, beside ticks that go straight there.

Random weights, one observation, one thread; costs are CPU seconds of this process, which other
programs disturb less than the clock on the wall. In every round the two ticks of a ratio run one
after the other, so that what slows the machine for longer slows both; a figure is the median of
its ratio over as many rounds as were asked for and fit into a few minutes. The largest of many
figures that each vary is above the largest true one: `noise_small` says how far ratios of the same
two ticks lie apart (median over the ratios of the middle half of their rounds). Prints one JSON
line with the rounds made and the machine's load (mean of a minute, before and after), and writes
out/bench/adaptive.json, with all times and settings as well.

"Ours" is the shipped checkpoint's head, start and signal. The flow-matching head then takes 2
steps; a row about steps is of that head with the start "shared" and the signal "probe" when the
shipped head has none. The suffix "_paper" stands for the paper's scheme in the same run: flow
matching, 2 steps at every exit, each from the chunk of the exit before, compared by these chunks.

to_last_exit_over_full_same_steps_small: a tick that looks at all exits and leaves at the last one,
over a fixed full-depth tick with the same number of steps.
exit_k_over_ideal_max_small: a tick that looks at all exits up to k and leaves there, over a tick
fixed at k, which runs what k needs once and its head once; the largest of all k but the first,
which cannot fire.
to_last_exit_over_full10_tiny: the first one, over full depth with 10 steps.
python_overhead_small: share of that tick that is not spent in matrix products, attention and
convolutions: Python, dispatch, and norms, activations and copies as well.
"""

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

from a1_core.exit_rule import Thresholds
from a1_core.normaliser import Normaliser
from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_model.config import ModelConfig, small, tiny
from a1_model.exit_pass import HeadSettings
from a1_model.network import A1Network
from a1_model.policy import AdaptivePolicy
from a1_model.tokenizer import InstructionTokenizer

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/bench/adaptive.json"
SHIPPED = ROOT / "checkpoints/tiny/config.json"
SIZES = {"tiny": tiny, "small": small}
TEXT = "put the red cube in the bowl"
STEPS, MANY_STEPS = 2, 10
# Wall time of each part; all of it stays below six minutes unless more is asked for.
SECONDS_SMALL, SECONDS_OVERHEAD, SECONDS_TINY = 210.0, 25.0, 40.0
# What counts as a matrix product, by the name torch's profiler gives it.
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "scaled_dot_product", "mkldnn_linear")


def shipped_settings() -> HeadSettings:
    """Head, start and signal of the shipped checkpoint, 2 steps."""
    config = ModelConfig.from_json(json.loads(SHIPPED.read_text())["model"])
    return HeadSettings(
        head=config.head,
        num_steps=STEPS,
        start=config.start,
        renoise_tau=config.renoise_tau,
        signal=config.signal,
    )


def with_steps(settings: HeadSettings) -> HeadSettings:
    """The same, or the flow-matching head's when its head takes no steps."""
    if settings.head == "fm":
        return settings
    return dataclasses.replace(settings, head="fm", start="shared", signal="probe")


class Ticks:
    """Ticks of one network under several settings, on one observation."""

    def __init__(self, size: str):
        torch.manual_seed(0)
        tokenizer = InstructionTokenizer.from_words(TEXT.split())
        self.config = SIZES[size](vocab_size=len(tokenizer))
        self.network = A1Network(self.config).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        dim, bound = self.config.dim, np.ones(self.config.dim)
        self._normaliser = Normaliser(
            names=tuple(f"joint{i}" for i in range(dim)),
            state_low_D=-bound,
            state_high_D=bound,
            action_low_D=-bound,
            action_high_D=bound,
        )
        rng = np.random.default_rng(0)
        side = self.config.vision.image_size
        self._observation = Observation(
            stamp_ns=1,
            images={
                camera.name: rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
                for camera in self.config.cameras
            },
            state_D=np.zeros(dim, np.float32),
            instruction=TEXT,
        )

    def policy(self, settings: HeadSettings) -> AdaptivePolicy:
        return AdaptivePolicy(
            self.network,
            self._tokenizer,
            self._normaliser,
            digest="",
            spec_digest="",
            settings=settings,
        )

    def leaving(self, settings: HeadSettings, number: int) -> Callable[[], None]:
        """A tick that looks at all exits up to one and leaves there."""
        exits = self.config.exits
        # No discrepancy is below 0; exits with -inf would not be looked at.
        eta = [np.inf if k in (number, len(exits) - 1) else -1.0 for k in range(len(exits))]
        thresholds = Thresholds(exits=exits, eta=tuple(eta), metric=self.config.metric)
        setting = ExitSetting(mode="adaptive", thresholds=thresholds)
        return self._tick(settings, setting, number)

    def fixed(self, settings: HeadSettings, number: int) -> Callable[[], None]:
        """A tick that goes straight to an exit."""
        setting = ExitSetting(mode="fixed", fixed_exit=self.config.exits[number])
        return self._tick(settings, setting, number)

    def _tick(
        self, settings: HeadSettings, setting: ExitSetting, number: int
    ) -> Callable[[], None]:
        policy = self.policy(settings)

        def tick() -> None:
            trace = policy.act(self._observation, setting=setting).trace
            assert trace.exit_index == number

        return tick


@dataclasses.dataclass
class Allowance:
    """How often to repeat: `repeats` times, or as long as a round still fits into `seconds`.

    One round is always made.
    """

    repeats: int
    seconds: float

    def rounds(self) -> Iterator[int]:
        began_s = time.monotonic()
        for number in range(self.repeats):
            spent_s = time.monotonic() - began_s
            if number and spent_s * (number + 1) / number > self.seconds:
                return
            yield number


Times = dict[str, NDArray[np.float64]]
"""CPU seconds of each tick, one a round."""


def measured(ticks: dict[str, Callable[[], None]], allowed: Allowance) -> Times:
    """Ticks take turns in their order; the last two run once before, to warm up."""
    for tick in list(ticks.values())[-2:]:
        tick()
    times: dict[str, list[float]] = {name: [] for name in ticks}
    for _ in allowed.rounds():
        for name, tick in ticks.items():
            began_s = time.process_time()
            tick()
            times[name].append(time.process_time() - began_s)
    return {name: np.array(values) for name, values in times.items()}


def ratio(times: Times, over: str, under: str) -> float:
    """Median over the rounds."""
    return float(np.median(times[over] / times[under]))


def spread(times: Times, over: str, under: str) -> float:
    """Width of the middle half of the rounds' ratios."""
    low, high = np.quantile(times[over] / times[under], (0.25, 0.75))
    return float(high - low)


def told(times: Times) -> dict[str, Any]:
    """For the file."""
    rounds = min(map(len, times.values()))
    return {"times_s": {name: values.tolist() for name, values in times.items()}, "rounds": rounds}


def overhead(tick: Callable[[], None], allowed: Allowance) -> float:
    """Median share of a tick that is not spent in matrix products.

    The profiler tells time by the wall, so the whole is measured by the wall in the same tick.
    """
    shares = []
    for _ in allowed.rounds():
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            began_s = time.perf_counter()
            tick()
            whole_s = time.perf_counter() - began_s
        spent_us = sum(
            event.self_cpu_time_total
            for event in profiler.key_averages()
            if any(part in event.key for part in PRODUCTS)
        )
        shares.append(1 - 1e-6 * spent_us / whole_s)
    return float(np.median(shares))


Schemes = Sequence[tuple[str, HeadSettings]]


def straight(settings: HeadSettings) -> str:
    """Name of the ticks at a fixed exit; they do not depend on how exits are compared."""
    return f"{settings.head}{settings.num_steps if settings.head == 'fm' else ''}"


def measure_small(schemes: Schemes, allowed: Allowance) -> tuple[dict, dict]:
    """Rows and times; the profiler's ticks have a time of their own."""
    with torch.inference_mode():
        ticks = Ticks("small")
        last = len(ticks.config.exits) - 1
        calls: dict[str, Callable[[], None]] = {}
        for number in range(1, last + 1):
            for suffix, settings in schemes:
                calls[f"leave_{number}{suffix}"] = ticks.leaving(settings, number)
                name = f"fixed_{number}_{straight(settings)}"
                calls.setdefault(name, ticks.fixed(settings, number))
        times = measured(calls, allowed)
        rows, spreads = {}, []
        for suffix, settings in schemes:
            pairs = [
                (f"leave_{k}{suffix}", f"fixed_{k}_{straight(settings)}")
                for k in range(1, last + 1)
            ]
            ratios = [ratio(times, *pair) for pair in pairs]
            spreads += [spread(times, *pair) for pair in pairs]
            rows[f"to_last_exit_over_full_same_steps_small{suffix}"] = ratios[-1]
            rows[f"exit_k_over_ideal_max_small{suffix}"] = max(ratios)
            walk = calls[f"leave_{last}{suffix}"]
            profiled = Allowance(allowed.repeats, SECONDS_OVERHEAD)
            rows[f"python_overhead_small{suffix}"] = overhead(walk, profiled)
        rows["noise_small"] = float(np.median(spreads))
    return rows, told(times)


def measure_tiny(schemes: Schemes, repeats: int) -> tuple[dict, dict]:
    """Rows and times."""
    with torch.inference_mode():
        ticks = Ticks("tiny")
        last = len(ticks.config.exits) - 1
        calls = {}
        for suffix, settings in schemes:
            stepping = with_steps(settings)
            many = dataclasses.replace(stepping, num_steps=MANY_STEPS)
            calls[f"full2{suffix}"] = ticks.fixed(stepping, last)
            calls[f"to_last{suffix}"] = ticks.leaving(stepping, last)
            calls[f"full10{suffix}"] = ticks.fixed(many, last)
        times = measured(calls, Allowance(repeats, SECONDS_TINY))
    rows = {
        f"to_last_exit_over_full10_tiny{suffix}": ratio(
            times, f"to_last{suffix}", f"full10{suffix}"
        )
        for suffix, _ in schemes
    }
    return rows, told(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=("small", "tiny"), default=["small", "tiny"])
    parser.add_argument("--head", choices=("fm", "mlp"), help="instead of the shipped one")
    parser.add_argument("--signal", choices=("fm", "mlp", "probe"), help="with --head")
    parser.add_argument("--repeats-small", type=int, default=5)
    parser.add_argument(
        "--seconds-small", type=float, default=SECONDS_SMALL,
        help="no round of small is begun that would take longer; a round takes over a minute",
    )  # fmt: skip
    parser.add_argument("--repeats-tiny", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours = shipped_settings()
    if options.head:
        ours = dataclasses.replace(ours, head=options.head, start="shared", signal=options.signal)
    paper = HeadSettings(head="fm", num_steps=STEPS, start="direct", renoise_tau=ours.renoise_tau)
    schemes = (("", ours), ("_paper", paper))
    load = [os.getloadavg()]
    rows, details = {}, {}
    if "small" in options.sizes:
        more, details["small"] = measure_small(
            schemes, Allowance(options.repeats_small, options.seconds_small)
        )
        rows |= more
    if "tiny" in options.sizes:
        more, details["tiny"] = measure_tiny(schemes, options.repeats_tiny)
        rows |= more
    load.append(os.getloadavg())
    content = {
        "rows": [{"name": n, "value": round(value, 4), "unit": "1"} for n, value in rows.items()],
        "settings": {suffix or "ours": dataclasses.asdict(chosen) for suffix, chosen in schemes},
        "settings_with_steps": dataclasses.asdict(with_steps(ours)),
        "repeats": {"small": options.repeats_small, "tiny": options.repeats_tiny},
        "cores": os.cpu_count(),
        "load_before_after": load,
        **details,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(content, indent=1) + "\n")
    line: dict[str, Any] = {"bench": "adaptive"}
    line |= {row["name"]: row["value"] for row in content["rows"]}
    line |= {f"rounds_{size}": found["rounds"] for size, found in details.items()}
    print(json.dumps(line | {"cores": os.cpu_count(), "load_before_after": [x[0] for x in load]}))


if __name__ == "__main__":
    main()
