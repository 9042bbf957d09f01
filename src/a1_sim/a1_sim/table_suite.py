"""`evaluate --suite table`: plays the rows of the table of settings that are not played yet.

What was played is kept by row, bound by digest to the row's checkpoint, thresholds and robot: a
killed run goes on where it was, and rows may be played by several runs at a time, each with other
`--rows`.
"""

import json
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from a1_core.errors import A1Error
from a1_core.settings_table import SettingsTable, TableRow, read_settings_table
from a1_core.whole_file import write_whole
from a1_sim import assets, table
from a1_sim.ledger import Cell, Ledger, digest
from a1_sim.operator_node import Operator
from a1_sim.plans import table_plans
from a1_sim.policy_modes import exit_prices, set_mode
from a1_sim.records import EpisodePlan, EpisodeRecord
from a1_sim.stage import Stage, composed_stage
from a1_sim.summary import equal_cost_exit

TABLE = "config/table.yaml"
COMMITTED = "docs/table.json"
READY = "config/thresholds/table"
# By its module and not imported: training and simulation do not know each other.
PREPARE = "a1_training.prepare_table"


@dataclass(frozen=True, kw_only=True)
class Files:
    """What is read and where everything goes."""

    table: Path
    robot: Path
    checkpoint: Path
    out: Path

    @property
    def work(self) -> Path:
        """Variants, thresholds and episodes."""
        return self.out / "table"

    def episodes(self, row: TableRow) -> Path:
        """The row's ledger."""
        return self.work / "episodes" / f"{row.name}.jsonl"


def run_table(options: Namespace, console: Console) -> None:
    """Prepare, play, write; A1Error on a mistake."""
    files = Files(
        table=options.table or assets.find(TABLE, "table of settings"),
        robot=assets.robot_file(options.robot),
        checkpoint=options.checkpoint or assets.find(assets.CHECKPOINT, "checkpoint"),
        out=options.out,
    )
    wanted = read_settings_table(files.table)
    rows = wanted.choose(options.rows)
    _prepare(files, rows, options.calibration_episodes)
    if options.fresh:
        for row in rows:
            files.episodes(row).unlink(missing_ok=True)
    run = _Run(wanted, files, options.episodes)
    for row in rows:
        run.play(row, console)
        run.write()
    result = run.write()
    _show(result, run.committed, console)
    console.print(f"written: {', '.join(str(files.out / name) for name in table.FILES)}")
    if options.publish:
        _publish(files, wanted, result)


def _prepare(files: Files, rows: Sequence[TableRow], episodes: int) -> None:
    command = [sys.executable, "-m", PREPARE, "--rows", *(row.name for row in rows)]
    command += ["--episodes", str(episodes)]
    for name, path in (
        ("--table", files.table),
        ("--checkpoint", files.checkpoint),
        ("--robot", files.robot),
        ("--out", files.work),
        ("--ready", assets.find_or_empty(READY) or files.work / "thresholds"),
    ):
        command += [name, str(path)]
    files.work.mkdir(parents=True, exist_ok=True)
    if subprocess.run(command).returncode:
        raise A1Error("checkpoints and thresholds of the rows could not be made; see above")


class _Run:
    """The episodes of all rows there are, and the table made of them."""

    def __init__(self, wanted: SettingsTable, files: Files, each: int) -> None:
        self._table, self._files = wanted, files
        self._plans = table_plans(wanted.kinds, each)
        self._prepared = json.loads((files.work / "prepared.json").read_text())
        self._records: dict[str, dict[int, EpisodeRecord]] = {}
        self._fixed: dict[str, int] = {}
        self.committed = _committed(self._prepared["rows"])
        for row in wanted.rows:
            if row.name in self._prepared["rows"] and files.episodes(row).exists():
                self._take(row, self._ledger(row))

    def play(self, row: TableRow, console: Console) -> None:
        """The episodes of the row that are missing."""
        ledger = self._ledger(row)
        self._take(row, ledger)
        missing = [plan for plan in self._plans if plan.seed not in self._records[row.name]]
        if not missing:
            return
        block = self._known_block(row)
        prepared = self._prepared["rows"][row.name]
        thresholds = prepared["thresholds"]
        stage = Stage(
            robot=self._files.robot,
            checkpoint=Path(prepared["checkpoint"]),
            thresholds=None if thresholds is None else Path(thresholds),
        )
        columns = (
            TextColumn(f"{row.name:16}"),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        with composed_stage(stage) as operator, Progress(*columns, console=console) as progress:
            operator.let_the_world_judge()
            if block is None:
                block = self._equal_block(row, operator, stage)
            set_mode(operator, row.mode, block)
            done = len(self._plans) - len(missing)
            bar = progress.add_task("", total=len(self._plans), completed=done)
            for plan in missing:
                ledger.add(_cell(row, plan, block), operator.run(plan))
                self._take(row, ledger)
                records = self._records[row.name].values()
                rate = sum(one.success for one in records) / len(records)
                progress.update(bar, advance=1, description=f"success {rate:.2f}")

    def write(self) -> dict[str, Any]:
        """The table of what there is so far."""
        rows = self._rows()
        best = self._best(rows) or next(
            (name for name, row in self.committed.items() if row["shipped"]), ""
        )
        for row in rows:
            row["shipped"] = row["name"] == best
        result = {
            "checkpoint": self._files.checkpoint.name,
            "checkpoint_digest": self._prepared["checkpoint_digest"],
            "robot": self._files.robot.stem,
            "rows": rows,
            "answers": table.answers(self._table, self._records, rows, best),
        }
        table.write(self._files.out, result)
        return result

    def _rows(self) -> list[dict[str, Any]]:
        return [
            table.table_row(
                row,
                self._prepared["rows"][row.name],
                self._records[row.name],
                fixed_exit=self._fixed.get(row.name, 0),
            )
            for row in self._table.rows
            if self._records.get(row.name)
        ]

    def _best(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """The best adaptive row, once all of them and their references are played."""
        adaptive = [row for row in self._table.rows if row.mode == "adaptive"]
        needed = {row.name for row in adaptive} | {*self._table.references.values()}
        complete = {n for n, found in self._records.items() if len(found) == len(self._plans)}
        return table.best_row(self._table, self._records, rows) if needed <= complete else ""

    def _known_block(self, row: TableRow) -> int | None:
        """The exit of a fixed row as it was begun or committed; None: to be found by its cost."""
        if row.mode != "fixed":
            return 0
        if row.name in self._fixed:
            return self._fixed[row.name]
        if self._best(self._rows()):
            return None
        if row.name in self.committed:
            return int(self.committed[row.name]["fixed_exit"])
        raise A1Error(
            f"row {row.name} takes its depth from the best adaptive row: play all adaptive rows "
            "and their references first"
        )

    def _equal_block(self, row: TableRow, operator: Operator, stage: Stage) -> int:
        """The exit nearest in cost to the best adaptive row."""
        rows = self._rows()
        costs = {one["name"]: one["tflops"] for one in rows}
        flops = self._prepared["rows"][row.name]["flops"]
        full = sum(cost["full"] for cost in flops.values()) / len(flops) / 1e12
        prices = exit_prices(operator, stage.exits())
        return equal_cost_exit(costs[self._best(rows)] / full, prices)

    def _take(self, row: TableRow, ledger: Ledger) -> None:
        seeds = {plan.seed for plan in self._plans}
        found: dict[int, EpisodeRecord] = {}
        for cell in ledger.cells():
            found |= {s: r for s, r in ledger.records(cell).items() if s in seeds}
            if row.mode == "fixed":
                self._fixed[row.name] = cell.fixed_exit
        self._records[row.name] = found

    def _ledger(self, row: TableRow) -> Ledger:
        prepared = self._prepared["rows"][row.name]
        bound = [Path(prepared["checkpoint"]) / "digest", self._files.robot]
        thresholds = prepared["thresholds"]
        bound += [] if thresholds is None else [Path(thresholds)]
        return Ledger(self._files.episodes(row), digest(bound))


def _committed(prepared: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows of the table that came with the checkpoint, by name, as far as they were played with
    what is prepared.
    """
    path = assets.find_or_empty(COMMITTED)
    rows = json.loads(Path(path).read_text())["rows"] if path else []
    digests = {name: row["checkpoint_digest"] for name, row in prepared.items()}
    return {
        row["name"]: row for row in rows if digests.get(row["name"]) == row["checkpoint_digest"]
    }


def _publish(files: Files, wanted: SettingsTable, result: Mapping[str, Any]) -> None:
    """Into the repository that this is run in."""
    played = {len(row["outcomes"]) for row in result["rows"]}
    if len(result["rows"]) < len(wanted.rows) or len(played) > 1:
        raise A1Error(
            "--publish: the table is not whole; play all of its rows on all layouts first"
        )
    page = Path("docs/table.md")
    write_whole(page, table.page(page.read_text(), result))
    shutil.copy(files.out / "table.json", COMMITTED)
    shutil.copy(files.out / "table.png", "docs/pictures/table.png")
    ready = Path(READY)
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir(parents=True)
    for row in wanted.rows:
        if row.mode == "adaptive":
            shutil.copy(files.work / "thresholds" / f"{row.name}.yaml", ready)


def _cell(row: TableRow, plan: EpisodePlan, block: int) -> Cell:
    return Cell(task=plan.task, setting=row.name, clock="lockstep", fixed_exit=block)


def _show(
    result: Mapping[str, Any], committed: Mapping[str, Mapping[str, Any]], console: Console
) -> None:
    shown = Table(*table.COLUMNS.values(), box=box.SIMPLE, pad_edge=False)
    for row in result["rows"]:
        shown.add_row(*table.cells(row))
    Console(width=max(console.width, 128)).print(shown)
    lines = [table.sentence(answer) for answer in result["answers"]]
    lines += [
        table.beside(row, committed[row["name"]])
        for row in result["rows"]
        if row["name"] in committed
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False)
