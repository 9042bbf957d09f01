"""What leaving at each exit costs: layers, FLOPs, and milliseconds measured here or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from a1_core.errors import ThresholdsError
from a1_core.observation import Observation
from a1_core.segment_costs import BudgetKind, SegmentCosts, depth_costs, measured_costs
from a1_core.strict_yaml import Fields, read_mapping
from a1_model.exit_pass import ExitPass
from a1_model.policy import AdaptivePolicy
from a1_model.segments import measure_segments
from a1_model.stopwatch import Stopwatch


@dataclass(frozen=True, kw_only=True, eq=False)
class CostTables:
    """Costs of all K exits in three units; `source` says where the times were measured."""

    depth: SegmentCosts
    flops: SegmentCosts
    ms: SegmentCosts
    source: str

    def of(self, kind: BudgetKind | None) -> SegmentCosts:
        """The costs that a kind of budget is about; FLOPs where there is no budget."""
        if kind == "depth":
            return self.depth
        return self.flops if kind in (None, "flops") else self.ms


def cost_tables(
    policy: AdaptivePolicy, observation: Observation, given: Path | None, repeats: int = 5
) -> CostTables:
    """Costs for a tick like `observation`.

    Args:
        given: file of `write_times` from another machine, in place of measuring.

    Raises ThresholdsError when that file cannot be read or is for other exits.
    """
    config = policy.network.config
    if given is None:
        segments = measure_segments(policy, observation, repeats)
        ms = measured_costs(1e3 * np.array(segments.first_s), 1e3 * np.array(segments.next_s))
        source = "measured here"
    else:
        ms, source = read_times(given, config.exits), f"given by {given}"
    return CostTables(
        depth=depth_costs(config.exits, config.backbone.layers),
        flops=flop_costs(policy, observation),
        ms=ms,
        source=source,
    )


@torch.inference_mode()
def flop_costs(policy: AdaptivePolicy, observation: Observation) -> SegmentCosts:
    """FLOPs of reaching and checking each exit, as a pass counts them."""
    exits = range(len(policy.network.config.exits))
    watch = Stopwatch(policy.device, policy.clock)

    def fresh(*, compares: bool) -> ExitPass:
        given = policy.prepare([observation])
        return ExitPass(policy.network, policy.settings, given, watch, compares=compares)

    first = []
    for k in exits:
        going = fresh(compares=False)
        going.actions(k)
        first.append(going.flops)
    return measured_costs(first, [0.0, *np.diff([_walked(fresh(compares=True), k) for k in exits])])


def _walked(going: ExitPass, deepest: int) -> int:
    """FLOPs of looking at all exits up to one and leaving there."""
    for k in range(deepest + 1):
        going.signal(k)
    if not going.settings.own:
        going.actions(deepest)
    return going.flops


def write_times(path: Path, costs: SegmentCosts, exits: tuple[int, ...]) -> None:
    """Keep measured times for `--costs` on another machine."""
    content = {
        "exits": list(exits),
        "reach_ms": costs.reach_K.tolist(),
        "check_ms": costs.check_K.tolist(),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def read_times(path: Path, exits: tuple[int, ...]) -> SegmentCosts:
    """Times that were measured elsewhere; raises ThresholdsError naming file and field."""
    fields = Fields(read_mapping(path, ThresholdsError), str(path), ThresholdsError)
    found = fields.raw("exits")
    if found != list(exits):
        raise fields.fail("exits", found, f"the checkpoint has {list(exits)}: measure them again")
    reach = fields.numbers("reach_ms", len(exits))
    check = fields.numbers("check_ms", len(exits))
    fields.done()
    try:
        return SegmentCosts(reach_K=reach, check_K=check)
    except ThresholdsError as why:
        raise ThresholdsError(f"{path}: {why}") from None
