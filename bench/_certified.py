"""The shipped thresholds in closed loop, for `calibration`: what they save and what they cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from a1_core.errors import A1Error
from a1_core.thresholds_file import read_thresholds
from a1_sim import assets, evaluate
from a1_sim.ledger import Cell, Ledger, digest
from a1_sim.plans import TASKS
from a1_sim.records import EpisodeRecord
from a1_sim.statistics import paired_difference

ROOT = Path(__file__).parents[1]
EVALUATION = ROOT / "out/eval"
LEAST_PAIRS = 100
NAMES = ("compute_saved", "success_loss", "success_loss_high", "tolerance_mm", "pairs")
UNITS = {"tolerance_mm": "mm", "pairs": "episodes"}


def certified_rows(*, play: bool) -> list[dict[str, Any]]:
    """Rows of `certified`; their values are None where it has none."""
    found: dict[str, float] = {}
    try:
        found = certified(play=play)
    except A1Error as why:
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
    """Figures of the shipped thresholds in closed loop.

    Raises A1Error when they carry no certificate or when too few episodes were evaluated.
    """
    thresholds = ROOT / assets.THRESHOLDS
    certificate = read_thresholds(thresholds).certificate
    evidence = None if certificate is None else certificate.evidence
    if certificate is None or evidence is None or evidence.deviation != "tool_tip_m":
        raise A1Error(
            f"{thresholds}: carries no certificate about the tool tip; `make thresholds` makes one "
            "that does"
        )
    if play:
        lockstep = ["--clocks", "lockstep", "--settings", "full", "adaptive"]
        evaluate.main([*lockstep, "--out", str(EVALUATION)])
    bound = digest([ROOT / assets.CHECKPOINT, ROOT / assets.ROBOT, thresholds])
    ledger = Ledger(EVALUATION / "episodes.jsonl", bound)
    pairs = [pair for task in TASKS for pair in pairs_of(ledger, task)]
    if len(pairs) < LEAST_PAIRS:
        raise A1Error(
            f"{EVALUATION}: {len(pairs)} layouts were played at full depth and under the "
            f"thresholds, {LEAST_PAIRS} are needed; `make eval` or --evaluate plays them"
        )
    gain, interval = paired_difference(
        [early.success for _, early in pairs], [full.success for full, _ in pairs]
    )
    depths = [sample.depth_fraction for _, early in pairs for sample in early.exits]
    return {
        "compute_saved": 1.0 - float(np.mean(depths)),
        "success_loss": -gain,
        "success_loss_high": -interval[0],
        "tolerance_mm": 1e3 * certificate.tolerance,
        "pairs": len(pairs),
    }


def pairs_of(ledger: Ledger, task: str) -> list[tuple[EpisodeRecord, EpisodeRecord]]:
    """Episodes on the same layouts: at full depth, and under the thresholds."""
    full, early = (
        ledger.records(Cell(task=task, setting=setting, clock="lockstep"))
        for setting in ("full", "adaptive")
    )
    return [(full[seed], early[seed]) for seed in sorted(set(full) & set(early))]
