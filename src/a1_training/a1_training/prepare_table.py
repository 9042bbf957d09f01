"""What the table of settings plays with: a variant of the checkpoint and thresholds for each row.

`evaluate --suite table` calls this for what is missing. Thresholds are fitted on ticks that the
head's reference row (no exit) has recorded in layouts used for nothing else. What is there and
fits is kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from a1_core.budget import STEPS_PER_UNIT, Search
from a1_core.deviation import executed_rows
from a1_core.errors import A1Error, ThresholdsError
from a1_core.exit_rule import metric_over
from a1_core.segment_costs import depth_costs
from a1_core.settings_table import SettingsTable, TableRow, read_settings_table
from a1_core.spec import RobotSpec, load_spec
from a1_core.thresholds_file import ThresholdsFile, read_thresholds, write_thresholds
from a1_core.whole_file import write_whole
from a1_model.checkpoint import (
    LoadedCheckpoint,
    load_checkpoint,
    read_without_weights,
)
from a1_model.flops import FlopTable
from a1_model.variant import vary_checkpoint
from a1_training.recorded_ticks import Recording, record, replay, thresholds_file
from a1_world.layout import make_layout
from a1_world.tasks import KINDS_WITH_TARGET, make_task

PREPARED = "prepared.json"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where things lie: `out` is the evaluation's folder, `ready` holds thresholds made before."""

    checkpoint: Path
    out: Path
    ready: Path

    def variant(self, row: TableRow) -> Path:
        """Directory of the row's checkpoint."""
        return self.out / "variants" / row.variant

    def thresholds(self, row: TableRow) -> Path:
        """File of the row's thresholds."""
        return self.out / "thresholds" / f"{row.name}.yaml"


class Preparation:
    """Makes rows ready; ticks are recorded once a head, when a row first needs them."""

    def __init__(
        self,
        table: SettingsTable,
        place: Place,
        spec: RobotSpec,
        console: Console,
        episodes: int,
    ) -> None:
        self._table, self._place, self._spec = table, place, spec
        self._console, self._episodes = console, episodes
        self._recorded: dict[str, Recording] = {}

    def row(self, row: TableRow) -> dict[str, Any]:
        """What the evaluation has to know of the row, as plain values."""
        checkpoint = self._checkpoint(row)
        thresholds = None
        if row.mode == "adaptive":
            self._fit_thresholds(row, checkpoint)
            thresholds = str(self._place.thresholds(row).resolve())
        return {
            "checkpoint": str(self._place.variant(row).resolve()),
            "checkpoint_digest": checkpoint.digest,
            "thresholds": thresholds,
            "flops": {kind: _flops(checkpoint, kind) for kind in self._table.kinds},
        }

    def _checkpoint(self, row: TableRow) -> LoadedCheckpoint:
        variant = self._place.variant(row)
        vary_checkpoint(self._place.checkpoint, variant, row.changes())
        return load_checkpoint(variant, self._spec)

    def _fit_thresholds(self, row: TableRow, checkpoint: LoadedCheckpoint) -> None:
        path = self._place.thresholds(row)
        for found in (path, self._place.ready / path.name):
            if found.exists() and _fits(read_thresholds(found), row, checkpoint, self._spec):
                write_thresholds(path, read_thresholds(found))
                return
        recording = self._recording(row.head)
        config = checkpoint.config
        self._console.print(f"{row.name}: thresholds", highlight=False)
        metric = _metric(checkpoint, self._spec)
        deltas_KN = replay(checkpoint, recording, metric, self._console)
        costs_K = depth_costs(config.exits, config.backbone.layers).reach_K
        search = Search(deltas_KN, costs_K, distribution=row.distribution)
        setting = search.at(_in_steps(row))
        samples = deltas_KN.shape[1]
        file = thresholds_file(
            checkpoint, self._spec, setting, metric, row.distribution, samples, recording.episodes
        )
        write_thresholds(path, file)

    def _recording(self, head: str) -> Recording:
        if head not in self._recorded:
            reference = self._table.row(self._table.references[head])
            made = record(self._checkpoint(reference), self._episodes, self._console)
            self._console.print(
                f"{reference.name}: {made.successes} of {made.episodes} episodes succeeded, "
                f"{len(made.observations)} ticks",
                highlight=False,
            )
            self._recorded[head] = made
        return self._recorded[head]


def _in_steps(row: TableRow) -> int:
    assert row.c is not None
    step = round(row.c * STEPS_PER_UNIT)
    if step / STEPS_PER_UNIT != row.c:
        raise ThresholdsError(f"row {row.name}: c is {row.c}; give whole thousandths")
    return step


def _fits(file: ThresholdsFile, row: TableRow, found: LoadedCheckpoint, spec: RobotSpec) -> bool:
    bindings = file.thresholds.bindings
    made_for = (bindings["checkpoint"], bindings["robot_spec"], file.thresholds.metric)
    asked = (file.fit, file.distribution, file.parameter)
    return made_for == (found.digest, spec.digest, _metric(found, spec)) and (
        asked == ("mass", row.distribution, row.c)
    )


def _metric(checkpoint: LoadedCheckpoint, spec: RobotSpec) -> str:
    """The checkpoint's, over the rows that are executed."""
    return metric_over(checkpoint.config.metric, executed_rows(spec))


def _flops(checkpoint: LoadedCheckpoint, kind: str) -> dict[str, Any]:
    """Full depth, and the backbone up to each exit by its layer counted from 1; of one tick."""
    config, colours = checkpoint.config, make_layout(0).colours
    target = colours[1] if kind in KINDS_WITH_TARGET else None
    text = checkpoint.tokenizer.encode([make_task(kind, colours[0], target).instruction])[0]
    queries = config.mlp_queries if config.head == "mlp" else 0
    table = FlopTable(config, text.shape[1], queries)
    return {
        "full": table.full(config.head, config.num_steps),
        "backbone": {str(k + 1): table.backbone(k + 1, config.head) for k in config.exits},
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="prepare_table", description=__doc__)
    parser.add_argument("--table", type=Path, default=Path("config/table.yaml"))
    parser.add_argument("--rows", nargs="+", help="names of rows; all by default")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/tiny"))
    parser.add_argument("--robot", type=Path, default=Path("config/robots/franka.yaml"))
    parser.add_argument("--out", type=Path, default=Path("out/eval/table"))
    parser.add_argument("--ready", type=Path, default=Path("config/thresholds/table"))
    parser.add_argument("--episodes", type=int, default=60, help="recorded for thresholds, a head")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Console entry; see --help."""
    arguments = parse(argv)
    torch.set_num_threads(1)
    console = Console()
    try:
        table = read_settings_table(arguments.table)
        place = Place(checkpoint=arguments.checkpoint, out=arguments.out, ready=arguments.ready)
        spec = load_spec(arguments.robot)
        preparation = Preparation(table, place, spec, console, arguments.episodes)
        rows = {row.name: preparation.row(row) for row in table.choose(arguments.rows)}
    except A1Error as error:
        console.print(f"prepare_table: {error}", markup=False, highlight=False)
        return 1
    _write(place.out / PREPARED, read_without_weights(place.checkpoint).digest, rows)
    return 0


def _write(path: Path, digest: str, rows: dict[str, Any]) -> None:
    """Rows that were prepared before, for the same checkpoint, stay."""
    before = json.loads(path.read_text()) if path.exists() else {}
    if before.get("checkpoint_digest") == digest:
        rows = before["rows"] | rows
    write_whole(path, json.dumps({"checkpoint_digest": digest, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
