"""`mine BAGS --robot R --out DIR`: which moments of recorded bags to collect more data of.

Lists the ticks where the policy ran deepest and where a person took over. With --checkpoint the
policy goes over the bags again: then bags that no policy drove count too, and with --thresholds
the ticks are named where a chunk that left early is farther from full depth than the tolerance.
Writes mine.json, mine.csv and a picture of the first ticks.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from a1_core.deviation import DeviationMeter
from a1_core.errors import A1Error, BagError
from a1_core.spec import RobotSpec
from a1_data.reader import Bag
from a1_data.share import find_spec
from a1_policy_node.bag_command import (
    add_reading,
    load_policy,
    open_all,
    progress,
    write,
    write_json,
)
from a1_policy_node.mined_sheet import sheet
from a1_policy_node.mining import (
    MinedTick,
    computed_ticks,
    mark_deepest,
    merged,
    moments,
    recorded_ticks,
)
from a1_policy_node.open_loop import run_open_loop
from a1_ros.command_line import ends_in_one_line

TOLERANCE = {"m": 0.01, "rad": 0.02}
PICTURES = 12


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="mine", description=__doc__)
    add = parser.add_argument
    add("bags", type=Path, nargs="+", help="bags, or folders that hold bags")
    add("--checkpoint", type=Path, help="run this policy over the bags")
    add("--thresholds", type=Path, help="its thresholds; without, it goes to full depth")
    add("--deepest", type=float, default=0.1, help="share of the ticks that counts as deepest")
    add("--top", type=int, default=20, help="moments to print; the files hold all ticks")
    add(
        "--tolerance", type=float,
        help="deviation from full depth that is a disagreement, in --unit; the certificate's, "
        "else 0.01 m or 0.02 rad",
    )  # fmt: skip
    add("--gripper-tolerance", type=float, default=0.1, help="the same of the gripper's 0..1")
    add(
        "--executed", type=float, default=0.5,
        help="first seconds of a chunk over which its deviation counts; 0: all",
    )  # fmt: skip
    add(
        "--unit", choices=tuple(TOLERANCE), default="",
        help="of deviations: m at the tool tip, rad of the joints; m where the spec has kinematics",
    )  # fmt: skip
    add_reading(add)
    options = parser.parse_args(argv)
    if options.thresholds is not None and options.checkpoint is None:
        parser.error("--thresholds needs --checkpoint")
    return options


def mine(options: argparse.Namespace, console: Console) -> list[MinedTick]:
    """The ticks that are worth more data, best first; written as well."""
    if not 0.0 < options.deepest <= 1.0:
        raise A1Error(f"--deepest is {options.deepest}; give a share above 0, at most 1")
    spec = find_spec(options.robot)
    bags = open_all(options.bags, spec, options)
    ticks = [tick for bag in bags for tick in recorded_ticks(bag)]
    if options.checkpoint is not None:
        ticks = merged(ticks, _computed(options, spec, bags, console))
    if not ticks:
        raise BagError(
            f"{options.bags[0]}: no bag holds a1/exit_state; give --checkpoint, so that the policy "
            "goes over them"
        )
    mark_deepest(ticks, options.deepest)
    found = sorted((t for t in ticks if t.reasons), key=lambda tick: tick.rank, reverse=True)
    _write(options, bags, found, len(ticks))
    return found


def _computed(
    options: argparse.Namespace, spec: RobotSpec, bags: Sequence[Bag], console: Console
) -> list[MinedTick]:
    loaded, choice = load_policy(options, spec)
    meter = DeviationMeter(spec, options.executed, options.unit)
    certificate = None if choice.file is None else choice.file.certificate
    tolerance = options.tolerance
    if tolerance is None:
        evidence = None if certificate is None else certificate.evidence
        same = evidence is not None and evidence.deviation == meter.names[0]
        tolerance = certificate.tolerance if same and certificate else TOLERANCE[meter.unit]
    further = [options.gripper_tolerance] * (len(meter.names) - 1)
    found = []
    for bag in bags:
        with progress(console, bag.path.name) as tell:
            run = run_open_loop(
                bag,
                spec,
                loaded.policy,  # type: ignore[arg-type]
                choice.setting,
                period_s=options.period,
                batch=options.batch,
                tell=tell,
            )
        found += computed_ticks(bag, run, meter, (tolerance, *further))
    return found


def _write(
    options: argparse.Namespace, bags: Sequence[Bag], found: Sequence[MinedTick], looked_at: int
) -> None:
    told = [tick.told() for tick in found]
    content = {"ticks_looked_at": looked_at, "reasons": counts(found), "ticks": told}
    write_json(options.out / "mine.json", content)
    lines = io.StringIO()
    table = csv.writer(lines)
    if told:
        table.writerow(told[0])
        table.writerows([*tick.values()][:-1] + [" ".join(tick["reasons"])] for tick in told)
    write(options.out / "mine.csv", lines.getvalue().encode())
    picture = sheet(bags, moments(found)[:PICTURES])
    if picture is not None:
        write(options.out / "mine.png", picture)


def counts(found: Sequence[MinedTick]) -> dict[str, int]:
    """How often each reason was given."""
    reasons = [reason for tick in found for reason in tick.reasons]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def show(found: Sequence[MinedTick], top: int, console: Console) -> None:
    """The best moments as a table."""
    table = Table()
    for heading in ("why", "bag", "episode", "at (s)", "layer", "of tolerance", "instruction"):
        # A name that is cut short finds no bag.
        table.add_column(heading, overflow="fold", no_wrap=False)
    for tick in moments(found)[:top]:
        deviation = "" if tick.deviation is None else f"{tick.deviation:.2f}"
        table.add_row(
            " ".join(tick.reasons),
            Path(tick.bag).name,
            str(tick.episode),
            f"{tick.time_s:.1f}",
            str(tick.exit_layer),
            deviation,
            tick.instruction,
        )
    console.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    """Exits with 1 on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("mine", console):
        found = mine(options, console)
        show(found, options.top, console)
        told = ", ".join(f"{count} {reason}" for reason, count in counts(found).items())
        console.print(f"{told or 'nothing stands out'}; {options.out}", highlight=False)


if __name__ == "__main__":
    main()
