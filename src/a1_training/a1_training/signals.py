"""How well what exits are compared by tells what leaving there costs.

Plays episodes at full depth in the simulator. For every signal and metric: Spearman's rank
correlation, over the ticks, of an exit's discrepancy with how far its chunk is from the full-depth
chunk of the same tick. 1: the ticks that should go deeper are those with the large discrepancies;
0: discrepancies say nothing. It is taken exit by exit, and the mean is over the exits that may fire
(the first has no predecessor, the last always leaves).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import ConstantInputWarning, spearmanr

from a1_core.deviation import EXECUTED_S, DeviationMeter
from a1_core.errors import A1Error
from a1_core.exit_rule import METRICS, discrepancy, metric_over
from a1_core.observation import Observation
from a1_core.spec import RobotSpec
from a1_core.whole_file import write_whole
from a1_data.share import find_spec
from a1_model.checkpoint import LoadedCheckpoint, load_checkpoint
from a1_model.exit_pass import HeadSettings
from a1_model.policy import AdaptivePolicy
from a1_training.arguments import whole
from a1_training.recorded_ticks import BATCH, record


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Of one signal and metric.

    Attributes:
        head: whose chunk is left with. signal: what exits are compared by.
        by_exit: of the second exit to the last but one; NaN where all ticks are alike.
        ticks: how many there were.
    """

    head: str
    signal: str
    metric: str
    by_exit: tuple[float, ...]
    ticks: int

    @property
    def mean(self) -> float:
        """Over the exits at which ticks differ; NaN when there are none."""
        told = [value for value in self.by_exit if not np.isnan(value)]
        return float(np.mean(told)) if told else float("nan")


def correlations(
    checkpoint: LoadedCheckpoint, spec: RobotSpec, observations: Sequence[Observation]
) -> Iterator[Correlation]:
    """Of everything the network's heads can be compared by, from the tick's one noise.

    Raises:
        A1Error: deviations cannot be taken in the robot's action space.
    """
    meter = DeviationMeter(spec, EXECUTED_S)
    for settings in _settings(checkpoint):
        policy = AdaptivePolicy(
            checkpoint.network,
            checkpoint.tokenizer,
            checkpoint.normaliser,
            digest=checkpoint.digest,
            spec_digest=spec.digest,
            settings=settings,
        )
        compared_KNHD, off_KN = _replayed(policy, meter, observations)
        for name in METRICS:
            metric = metric_over(name, meter.rows)
            yield Correlation(
                head=settings.head,
                signal=settings.compared,
                metric=metric,
                by_exit=tuple(
                    rank_correlation(
                        [
                            discrepancy(a_HD, b_HD, metric)
                            for a_HD, b_HD in zip(
                                compared_KNHD[k], compared_KNHD[k - 1], strict=True
                            )
                        ],
                        off_KN[k],
                    )
                    for k in range(1, len(compared_KNHD) - 1)
                ),
                ticks=len(observations),
            )


def rank_correlation(a_N: Sequence[float], b_N: Sequence[float] | NDArray[np.floating]) -> float:
    """Spearman's, ties at their mean rank; NaN when all values of one side are alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(a_N, b_N).statistic)


def _settings(checkpoint: LoadedCheckpoint) -> list[HeadSettings]:
    config = checkpoint.config
    heads = [head for head in ("fm", "mlp") if head in config.parts]
    plain = [
        HeadSettings(
            head=head,
            num_steps=config.num_steps,
            start="shared",
            renoise_tau=config.renoise_tau,
        )
        for head in heads
    ]
    if "fm" not in heads or not config.backbone.causal:
        return plain
    signals = ["probe", *(head for head in heads if head == "mlp")]
    return [*(dataclasses.replace(plain[0], signal=signal) for signal in signals), *plain]


def _replayed(
    policy: AdaptivePolicy, meter: DeviationMeter, observations: Sequence[Observation]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """What is compared [K, N, H, D], and the deviation [K, N] of every exit's chunk."""
    compared, off = [], []
    for start in range(0, len(observations), BATCH):
        some = observations[start : start + BATCH]
        study = policy.all_exits(some)
        state_ND = np.stack([observation.state_D for observation in some])
        compared.append(study.normalised_KNHD)
        off.append(meter(study.actions_KNHD, study.full_NHD, state_ND)[..., 0])
    return np.concatenate(compared, axis=1), np.concatenate(off, axis=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Console entry; see --help."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/tiny"))
    parser.add_argument("--robot", default="franka", help="name of the robot spec, or its path")
    parser.add_argument("--episodes", type=whole(1), default=20)
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON, exit by exit")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    console = Console()
    try:
        spec = find_spec(arguments.robot)
        checkpoint = load_checkpoint(arguments.checkpoint, spec)
        recording = record(checkpoint, arguments.episodes, console)
        made = correlations(checkpoint, spec, recording.observations)
        found = list(track(made, "replaying", console=console, transient=True))
        if arguments.out is not None:
            _write(arguments.out, checkpoint.digest, found)
    except (A1Error, OSError) as error:
        console.print(f"signals: {error}", markup=False, highlight=False)
        return 1
    console.print(_table(found))
    return 0


def _table(found: Sequence[Correlation]) -> Table:
    title = f"rank correlation with the deviation from full depth, {found[0].ticks} ticks"
    table = Table("chunk of", "compared by", *dict.fromkeys(x.metric for x in found), title=title)
    rows: dict[tuple[str, str], list[str]] = {}
    for each in found:
        rows.setdefault((each.head, each.signal), []).append(f"{each.mean:.2f}")
    for names, cells in rows.items():
        table.add_row(*names, *cells)
    return table


def _write(path: Path, digest: str, found: Sequence[Correlation]) -> None:
    # NaN is no JSON.
    rows = [
        dataclasses.asdict(x) | {"by_exit": [None if np.isnan(v) else v for v in x.by_exit]}
        for x in found
    ]
    write_whole(path, json.dumps({"checkpoint_digest": digest, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
