"""Console script `record_episodes`: the policy at full depth in lockstep, recorded for calibration.

One bag an episode, by the recorder node, on layouts that are neither trained nor evaluated on. What
was recorded before with the same checkpoint and robot spec is not played again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from a1_ros.command_line import ends_in_one_line
from a1_ros.domain import isolate
from a1_sim import assets
from a1_sim.ledger import digest
from a1_sim.plans import TASKS, learnt_kinds, recording_plans
from a1_sim.recordings import SUCCESS, note_of, play_recorded, recorded
from a1_sim.stage import Stage, composed_stage


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="record_episodes", description=__doc__)
    parser.add_argument("--episodes", type=int, default=120, help="of all tasks together")
    parser.add_argument(
        "--tasks", nargs="+", choices=TASKS, help="in turn; default: every kind that it has learnt"
    )
    parser.add_argument("--robot", default="", help="name of a robot spec, or its path; franka")
    parser.add_argument("--checkpoint", type=Path, help="directory of the checkpoint")
    parser.add_argument("--out", type=Path, default=Path("out/recordings"), help="folder of bags")
    parser.add_argument("--domain", type=int, help="ROS domain; one of its own by default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Record what is missing; exits with 1 and one line on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line(
        "record_episodes",
        console,
        left="whole episodes are kept, start again to go on",
    ):
        _record(options, console)


def _record(options: argparse.Namespace, console: Console) -> None:
    isolate(options.domain)
    stage = Stage(
        robot=assets.robot_file(options.robot),
        checkpoint=(options.checkpoint or assets.find(assets.CHECKPOINT, "checkpoint")).resolve(),
        thresholds=None,
    )
    driver = f"policy {digest([stage.checkpoint, stage.robot])[:16]}"
    tasks = options.tasks or learnt_kinds(stage.words())
    plans = list(recording_plans(tasks, options.episodes))
    done = recorded(options.out, driver)
    missing = [plan for plan in plans if note_of(plan) not in done]
    if missing:
        with composed_stage(stage, options.out.resolve()) as operator:
            operator.let_the_world_judge()
            play_recorded(
                operator, missing, driver=driver, total=len(plans), console=console, policy=True
            )
    outcomes = recorded(options.out, driver)
    successes = sum(outcomes.get(note_of(plan)) == SUCCESS for plan in plans)
    console.print(f"{options.out}: {len(plans)} episodes, {successes} of them succeeded")
