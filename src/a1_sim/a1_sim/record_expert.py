"""`record_expert --out DIR`: the scripted expert's episodes in the simulator, as recorded bags.

The expert looks into the world and sends chunks; from there on all is as with a policy or a person:
controller, gate, and the recorder, which hears the robot's topics. In lockstep, so that a slow
machine records the same. Started again, it goes on where it was.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from a1_core.errors import A1Error
from a1_sim import assets
from a1_sim.command import run_command
from a1_sim.plans import RECORDING_SEED, TASKS, recording_plans
from a1_sim.recorder_client import RecorderClient
from a1_sim.records import EpisodePlan
from a1_sim.stage import expert_stage
from a1_sim.system import isolate

DRIVER = "expert"
LEDGER = "recorded.jsonl"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="record_expert", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bags")
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["touch", "bowl"])
    parser.add_argument(
        "--seed", type=int, default=RECORDING_SEED, help="of the first layout; one more each"
    )
    parser.add_argument("--robot", type=Path, help="robot spec")
    parser.add_argument("--simulator", type=Path, help="file of the simulator's parameters")
    parser.add_argument("--domain", type=int, help="ROS domain; one of its own by default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Record what is missing; exits with 1 and one line on a mistake."""
    options = parse(argv)
    run_command(
        "record_expert",
        lambda console: _record(options, console),
        interrupted="interrupted; what was recorded is kept, start again to go on",
    )


def _record(options: argparse.Namespace, console: Console) -> None:
    isolate(options.domain)
    done = recorded(options.out)
    plans = [
        plan
        for plan in recording_plans(options.tasks, options.episodes, options.seed)
        if plan.seed not in done
    ]
    if plans:
        _drive(plans, options, console)
    episodes = recorded(options.out).values()
    good = sum(episode["success"] for episode in episodes)
    console.print(f"{options.out}: {len(episodes)} episodes, {good} of them successes")


def recorded(folder: Path) -> dict[int, dict[str, Any]]:
    """What is in a folder by seed; A1Error where its ledger is none."""
    path = folder / LEDGER
    if not path.exists():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return {int(row["seed"]): row for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise A1Error(
            f"{path}: not a list of recorded episodes ({error}); remove the folder"
        ) from None


def _drive(plans: Sequence[EpisodePlan], options: argparse.Namespace, console: Console) -> None:
    _forget_unfinished(options.out)
    robot = options.robot or assets.find(assets.ROBOT, "robot spec")
    columns = (
        TextColumn("recording"),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns, console=console) as progress,
        expert_stage(robot, options.simulator, recordings=options.out) as operator,
        (options.out / LEDGER).open("a") as ledger,
    ):
        recorder = RecorderClient(operator)
        bar = progress.add_task("", total=len(plans))
        for plan in plans:
            record = operator.run(
                plan,
                policy=False,
                posed=lambda instruction: recorder.start(instruction, DRIVER),
            )
            path = recorder.stop(success=record.success, note=f"layout {plan.seed}")
            row = {"seed": plan.seed, "bag": Path(path).name, "success": record.success}
            ledger.write(json.dumps(row) + "\n")
            ledger.flush()
            progress.update(bar, advance=1, description=record.instruction)


def _forget_unfinished(folder: Path) -> None:
    """Remove the episode that was in hand when this command was killed."""
    if any(folder.glob("*")) and not (folder / LEDGER).exists():
        raise A1Error(f"{folder}: is not empty and was not begun by this command; give a new --out")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LEDGER).touch()
    for draft in folder.glob("*.draft"):
        shutil.rmtree(draft)


if __name__ == "__main__":
    main()
