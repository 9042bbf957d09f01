"""`record_expert --out DIR`: the scripted expert's episodes in the simulator, as recorded bags.

The expert looks into the world and sends chunks; from there on all is as with a policy or a person:
controller, gate, and the recorder, which hears the robot's topics. In lockstep, so that a slow
machine records the same. Started again, it goes on where it was.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from a1_ros.command_line import ends_in_one_line
from a1_ros.domain import isolate
from a1_sim import assets
from a1_sim.ledger import digest
from a1_sim.plans import EXPERT_SEED, TASKS, recording_plans
from a1_sim.recordings import SUCCESS, note_of, play_recorded, recorded
from a1_sim.stage import expert_stage


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="record_expert", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bags")
    parser.add_argument("--episodes", type=int, default=50, help="of all tasks together")
    parser.add_argument(
        "--tasks", nargs="+", choices=TASKS, default=["touch", "bowl"], help="in turn"
    )
    parser.add_argument(
        "--seed", type=int, default=EXPERT_SEED, help="of the first layout; one more each"
    )
    parser.add_argument("--robot", default="", help="name of a robot spec, or its path; franka")
    parser.add_argument("--simulator", type=Path, help="file of the simulator's parameters")
    parser.add_argument("--domain", type=int, help="ROS domain; one of its own by default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Record what is missing; exits with 1 and one line on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line(
        "record_expert",
        console,
        left="whole episodes are kept, start again to go on",
    ):
        _record(options, console)


def _record(options: argparse.Namespace, console: Console) -> None:
    isolate(options.domain)
    robot = assets.robot_file(options.robot)
    driver = f"expert {digest([robot, *([options.simulator] if options.simulator else [])])[:16]}"
    plans = list(recording_plans(options.tasks, options.episodes, options.seed))
    done = recorded(options.out, driver)
    missing = [plan for plan in plans if note_of(plan) not in done]
    if missing:
        stage = expert_stage(robot, options.simulator, recordings=options.out.resolve())
        with stage as operator:
            play_recorded(
                operator, missing, driver=driver, total=len(plans), console=console, policy=False
            )
    outcomes = recorded(options.out, driver)
    good = sum(outcomes.get(note_of(plan)) == SUCCESS for plan in plans)
    console.print(f"{options.out}: {len(plans)} episodes, {good} of them successes")


if __name__ == "__main__":
    main()
