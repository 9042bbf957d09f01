"""`predict BAG --robot R --checkpoint DIR --out DIR`: the policy open loop over a bag.

Nothing moves: at every tick the policy says what it would do, at every exit, and its rows are
compared with what was done when they were due. Writes predict.json and three pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from a1_core.errors import BagError
from a1_data.share import find_spec
from a1_policy_node.bag_command import (
    add_reading,
    load_policy,
    open_all,
    progress,
    write,
    write_json,
)
from a1_policy_node.open_loop import run_open_loop
from a1_policy_node.prediction_error import errors_of, summary
from a1_policy_node.prediction_plots import by_exit, by_row, over_time
from a1_ros.command_line import ends_in_one_line

SHOWN_ROWS = 5


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="predict", description=__doc__)
    add = parser.add_argument
    add("bag", type=Path, help="one bag")
    add("--checkpoint", type=Path, required=True, help="directory of the checkpoint")
    add("--thresholds", type=Path, help="thresholds file; without, the policy goes to full depth")
    add(
        "--compare-with", choices=("commanded", "measured"),
        help="what counts as done; commanded where the bag tells it, else measured",
    )  # fmt: skip
    add_reading(add)
    return parser.parse_args(argv)


def predict(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run, write, and return what predict.json holds."""
    spec = find_spec(options.robot)
    bags = open_all([options.bag], spec, options)
    if len(bags) != 1:
        raise BagError(f"{options.bag}: holds {len(bags)} bags; give one")
    (bag,) = bags
    loaded, choice = load_policy(options, spec)
    exits = tuple(loaded.checkpoint.config.exits)
    with progress(console, "predict") as tell:
        run = run_open_loop(
            bag,
            spec,
            loaded.policy,  # type: ignore[arg-type]
            choice.setting,
            period_s=options.period,
            batch=options.batch,
            truth=options.compare_with,
            tell=tell,
        )
    errors = errors_of(run, spec, exits)
    told = {
        "bag": str(bag.path),
        "robot": spec.robot,
        "checkpoint_digest": loaded.checkpoint_digest,
        "thresholds_digest": choice.thresholds_digest,
        "mode": choice.setting.mode,
        "compared_with": run.truth,
        **summary(errors),
    }
    for name, picture in (
        ("error_by_row.png", by_row(errors)),
        ("error_by_exit.png", by_exit(errors)),
        ("error_over_time.png", over_time(errors, run.ticks)),
    ):
        write(options.out / name, picture)
    write_json(options.out / "predict.json", told)
    return told


def show(told: dict[str, Any], console: Console) -> None:
    """The table: joint error in mrad, a row an exit layer."""
    due_s = told["row_due_s"]
    rows = sorted({round(k * (len(due_s) - 1) / (SHOWN_ROWS - 1)) for k in range(SHOWN_ROWS)})
    table = Table(title=f"mean joint error (mrad) from what was {told['compared_with']}")
    for heading in (
        "exit layer",
        *(f"{due_s[row]:.1f} s" for row in rows),
        "all rows",
        "leave (%)",
    ):
        table.add_column(heading, justify="right")

    def line(name: str, by_row: list, overall: float | None, share: str) -> None:
        table.add_row(name, *(_mrad(by_row[row]) for row in rows), _mrad(overall), share)

    taken = told["taken"]
    shares = taken["share_by_exit"]
    for k, layer in enumerate(told["exit_layers"]):
        by_row_k, overall = told["joint_rad_by_exit_and_row"][k], told["joint_rad_by_exit"][k]
        line(str(layer), by_row_k, overall, f"{100 * shares[k]:.0f}")
    line("taken", taken["joint_rad_by_row"], taken["joint_rad"], f"layer {taken['mean_layer']:.1f}")
    line("staying put", told["stay_joint_rad_by_row"], told["stay_joint_rad"], "")
    console.print(table)


def _mrad(value: float | None) -> str:
    return "-" if value is None else f"{1e3 * value:.1f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Exits with 1 on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("predict", console):
        told = predict(options, console)
        show(told, console)
        console.print(f"{told['ticks']} ticks; {options.out}", highlight=False)


if __name__ == "__main__":
    main()
