"""The shipped thresholds in closed loop, for `calibration`: what they save and what they cost."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from a1_core.errors import A1Error
from a1_core.thresholds_file import read_thresholds
from a1_ros.domain import isolate
from a1_sim import assets
from a1_sim.ledger import Cell, Ledger, digest
from a1_sim.plans import learnt_kinds, table_plans
from a1_sim.policy_modes import set_mode
from a1_sim.records import EpisodePlan, EpisodeRecord
from a1_sim.stage import Stage, composed_stage
from a1_sim.statistics import paired_difference

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "out/bench/certified"
LEAST_PAIRS = 200
"""With fewer than 189 not even equal success all along says that at most 2 points are lost."""
SETTINGS = ("full", "adaptive")
NAMES = ("compute_saved", "success_loss", "success_loss_high", "tolerance_mm", "pairs")
UNITS = {"tolerance_mm": "mm", "pairs": "episodes"}


def certified_rows(*, play: bool) -> list[dict[str, Any]]:
    """Rows of `certified`; their values are None where it has none."""
    found: dict[str, float] = {}
    try:
        found = certified(play=play)
    except (A1Error, OSError) as why:
        print(f"certified_*: {why}", file=sys.stderr)
    return [
        {
            "name": f"certified_{name}",
            "value": round(found[name], 4) if name in found else None,
            "unit": UNITS.get(name, "1"),
        }
        for name in NAMES
    ]


def certified(*, play: bool) -> dict[str, float]:
    """Figures of the shipped thresholds in closed loop; `play` plays what they lack.

    Raises A1Error when the thresholds carry no certificate or when too few episodes were played.
    """
    thresholds = ROOT / assets.THRESHOLDS
    certificate = read_thresholds(thresholds).certificate
    evidence = None if certificate is None else certificate.evidence
    if certificate is None or evidence is None or evidence.deviation != "tool_tip_m":
        raise A1Error(
            f"{thresholds}: carries no certificate about the tool tip; `make thresholds` makes one "
            "that does"
        )
    stage = Stage(
        robot=ROOT / assets.ROBOT, checkpoint=ROOT / assets.CHECKPOINT, thresholds=thresholds
    )
    bound = digest(stage.files)
    # Named by what they belong to: episodes of other thresholds are left where they are.
    ledger = Ledger(FOLDER / f"{bound[:16]}.jsonl", bound)
    kinds = learnt_kinds(stage.words())
    plans = table_plans(kinds, math.ceil(LEAST_PAIRS / len(kinds)))
    if play:
        _play(stage, ledger, plans)
    return {
        **closed_loop(pairs_of(ledger, plans)),
        "tolerance_mm": 1e3 * certificate.tolerance,
    }


def closed_loop(pairs: Sequence[tuple[EpisodeRecord, EpisodeRecord]]) -> dict[str, float]:
    """Figures of episodes at full depth and under the thresholds on the same layout, all different.

    `success_loss_high` is the end of the 95 % interval. Raises A1Error for too few.
    """
    if len(pairs) < LEAST_PAIRS:
        raise A1Error(
            f"{FOLDER}: {len(pairs)} layouts were played at full depth and under the thresholds, "
            f"{LEAST_PAIRS} are needed; `make bench-calibration ARGS=--evaluate` plays them"
        )
    gain, interval = paired_difference(
        [early.success for _, early in pairs], [full.success for full, _ in pairs]
    )
    depths = [sample.depth_fraction for _, early in pairs for sample in early.exits]
    return {
        "compute_saved": 1.0 - float(np.mean(depths)),
        "success_loss": -gain,
        "success_loss_high": -interval[0],
        "pairs": len(pairs),
    }


def pairs_of(
    ledger: Ledger, plans: Sequence[EpisodePlan]
) -> list[tuple[EpisodeRecord, EpisodeRecord]]:
    """Episodes of the plans that were played at full depth and under the thresholds."""
    full, early = SETTINGS
    return [
        (
            ledger.records(_cell(plan, full))[plan.seed],
            ledger.records(_cell(plan, early))[plan.seed],
        )
        for plan in plans
        if all(ledger.has(_cell(plan, setting), plan.seed) for setting in SETTINGS)
    ]


def _cell(plan: EpisodePlan, setting: str) -> Cell:
    return Cell(task=plan.task, setting=setting, clock="lockstep")


def _play(stage: Stage, ledger: Ledger, plans: Sequence[EpisodePlan]) -> None:
    """What is missing; progress goes to stderr, since stdout is for the measurement's line."""
    missing = [
        (setting, plan)
        for setting in SETTINGS
        for plan in plans
        if not ledger.has(_cell(plan, setting), plan.seed)
    ]
    if not missing:
        return
    isolate()
    with composed_stage(stage) as operator, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("certified", total=len(missing))
        for setting, plan in missing:
            set_mode(operator, setting)
            ledger.add(_cell(plan, setting), operator.run(plan))
            progress.advance(bar)
