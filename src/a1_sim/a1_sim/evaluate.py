"""Console script `evaluate`: closed-loop success against compute, in lockstep and in real time.

Suite `tasks` plays every task with the shipped setting beside full and fixed depth; suite `table`
plays the rows of config/table.yaml, all in lockstep on the same layouts.
"""

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from a1_core.errors import A1Error
from a1_ros.command_line import ends_in_one_line
from a1_ros.domain import isolate
from a1_sim import assets, summary
from a1_sim.ledger import Cell, Ledger, digest
from a1_sim.operator_node import Operator
from a1_sim.plans import TASKS, evaluation_plans, learnt_tasks
from a1_sim.policy_modes import exit_prices, set_mode
from a1_sim.stage import Stage, composed_stage, launched_stage
from a1_sim.table_suite import run_table

SETTINGS = ("full", "adaptive", "fixed")
CLOCKS = ("lockstep", "real_time")
# Fixed depth has no row of its own in real time: it costs what adaptive costs.
REAL_TIME_SETTINGS = ("full", "adaptive")
SUITES = ("tasks", "table")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__)
    parser.add_argument("--suite", choices=SUITES, default="tasks")
    parser.add_argument("--episodes", type=int, default=50, help="per task and setting, lockstep")
    parser.add_argument("--real-time-episodes", type=int, default=20)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="default: all that are learnt")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--clocks", nargs="+", choices=CLOCKS, default=list(CLOCKS))
    parser.add_argument("--robot", default="", help="name of a robot spec, or its path; franka")
    parser.add_argument("--checkpoint", type=Path, help="directory of the checkpoint")
    parser.add_argument("--thresholds", type=Path, help="thresholds file of setting adaptive")
    parser.add_argument("--table", type=Path, help="rows of suite table; config/table.yaml")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="of suite table; all by default")
    parser.add_argument(
        "--calibration-episodes", type=int, default=60, help="of suite table, for thresholds"
    )
    parser.add_argument(
        "--publish", action="store_true", help="put a whole table into docs and config"
    )
    parser.add_argument("--simulator", type=Path, help="file of the simulator's parameters")
    parser.add_argument("--out", type=Path, default=Path("out/eval"))
    parser.add_argument("--fresh", action="store_true", help="forget episodes that were run before")
    parser.add_argument("--domain", type=int, help="ROS domain; one of its own by default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing and write the table; exits with 1 and one line on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("evaluate", console, left="what was run is kept, start again to go on"):
        _evaluate(options, console)


def _evaluate(options: argparse.Namespace, console: Console) -> None:
    isolate(options.domain)
    if options.suite == "table":
        run_table(options, console)
        return
    if options.rows or options.table or options.publish:
        raise A1Error("--rows, --table and --publish belong to suite table; give --suite table too")
    stage = _stage(options)
    tasks = options.tasks or learnt_tasks(stage.words())
    wanted = [setting for setting in SETTINGS if setting in options.settings]
    if stage.thresholds is None and set(wanted) - {"full"}:
        raise A1Error(
            f"{assets.THRESHOLDS} is missing, and settings adaptive and fixed need it: calibrate "
            "first, give --thresholds, or ask for --settings full"
        )
    ledger = Ledger(
        options.out / "episodes.jsonl",
        digest(stage.files),
        fresh=options.fresh,
    )
    about = {"checkpoint": stage.checkpoint.name, "robot": stage.robot.stem}
    for clock in (clock for clock in CLOCKS if clock in options.clocks):
        settings = [s for s in wanted if clock == "lockstep" or s in REAL_TIME_SETTINGS]
        episodes = options.episodes if clock == "lockstep" else options.real_time_episodes
        cells = [(task, setting) for task in tasks for setting in settings]
        with _Lazy(stage, clock, options.out) as system:
            for task, setting in cells:
                _run_cell(system, ledger, task, setting, clock, episodes, console)
                summary.write(options.out, ledger, about)
    final = summary.write(options.out, ledger, about)
    _show(final, console)
    console.print(f"written: {options.out}/summary.json, summary.md, summary.png")


def _stage(options: argparse.Namespace) -> Stage:
    thresholds = options.thresholds or assets.find_or_empty(assets.THRESHOLDS)
    return Stage(
        robot=assets.robot_file(options.robot),
        checkpoint=options.checkpoint or assets.find(assets.CHECKPOINT, "checkpoint"),
        thresholds=Path(thresholds).resolve() if thresholds else None,
        simulator=options.simulator,
    )


class _Lazy:
    """The system of one clock, started when the first episode needs it."""

    def __init__(self, stage: Stage, clock: str, out: Path) -> None:
        self._stage, self._clock, self._out = stage, clock, out
        self._exits = contextlib.ExitStack()
        self._operator: Operator | None = None
        self._prices: dict[int, float] = {}

    def __enter__(self) -> "_Lazy":
        return self

    def __exit__(self, *details: object) -> None:
        self._operator = None
        self._exits.close()

    def operator(self) -> Operator:
        """The operator of the running system."""
        if self._operator is None:
            if self._clock == "lockstep":
                self._operator = self._exits.enter_context(composed_stage(self._stage))
            else:
                launched = launched_stage(self._stage, self._out)
                self._operator, _ = self._exits.enter_context(launched)
        return self._operator

    def prices(self) -> dict[int, float]:
        """What a fixed exit costs (share of full depth's FLOPs), by block; each is tried once."""
        if not self._prices:
            self._prices = exit_prices(self.operator(), self._stage.exits())
        return self._prices


def _run_cell(
    system: _Lazy,
    ledger: Ledger,
    task: str,
    setting: str,
    clock: str,
    episodes: int,
    console: Console,
) -> None:
    block = 0
    if setting == "fixed":
        shallow = ledger.records(Cell(task=task, setting="adaptive", clock=clock))
        costs = [one.flops_fraction for record in shallow.values() for one in record.exits]
        if not costs:
            raise A1Error(
                f"{task}: setting fixed takes its depth from setting adaptive, which was not run; "
                "add adaptive to --settings"
            )
        block = summary.equal_cost_exit(sum(costs) / len(costs), system.prices())
    cell = Cell(task=task, setting=setting, clock=clock, fixed_exit=block)
    plans = [plan for plan in evaluation_plans(task, episodes) if not ledger.has(cell, plan.seed)]
    if not plans:
        return
    operator = system.operator()
    set_mode(operator, setting, block)
    columns = (
        TextColumn(f"{task:15} {setting:8} {clock:9}"),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=episodes, completed=episodes - len(plans))
        for plan in plans:
            record = operator.run(plan)
            ledger.add(cell, record)
            done = ledger.records(cell).values()
            rate = sum(one.success for one in done) / len(done)
            progress.update(bar, advance=1, description=f"success {rate:.2f}")


def _show(final: dict, console: Console) -> None:
    table = Table(*summary.COLUMNS.values(), box=box.SIMPLE, pad_edge=False)
    for row in final["rows"]:
        table.add_row(*summary.cells_of_table(row))
    wide = Console(width=max(console.width, 128))
    wide.print(table)
    moving = summary.moving_table(final)
    if moving:
        table = Table(*summary.MOVING_COLUMNS, box=box.SIMPLE, pad_edge=False)
        for cells in moving:
            table.add_row(*cells)
        wide.print(table)
    for one in final["comparisons"]:
        console.print(summary.sentence(one), highlight=False)
