"""Console script `record_episodes`: the policy at full depth in lockstep, recorded for calibration.

One bag an episode, by the recorder node, on layouts that are neither trained nor evaluated on. What
was recorded before with the same checkpoint and robot spec is not played again.
"""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from a1_msgs.srv import DiscardEpisode, LabelEpisode, StartRecording, StopRecording
from rclpy.client import Client
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from a1_core.errors import A1Error
from a1_data.bag_files import find_bags
from a1_data.episodes import OUTCOME_KEY
from a1_sim import assets
from a1_sim.command import run_command
from a1_sim.ledger import digest
from a1_sim.operator_node import Operator
from a1_sim.plans import LEARNT_TASKS, TASKS, recording_plans
from a1_sim.records import EpisodePlan
from a1_sim.stage import Stage, composed_stage
from a1_sim.system import isolate
from a1_world.tasks import KINDS

# As the recorder writes outcomes.
SUCCESS, FAILURE = "success", "failure"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    learnt = list(dict.fromkeys(TASKS[task] for task in LEARNT_TASKS))
    parser = argparse.ArgumentParser(prog="record_episodes", description=__doc__)
    parser.add_argument("--episodes", type=int, default=120, help="of all tasks together")
    parser.add_argument("--tasks", nargs="+", choices=KINDS, default=learnt, help="in turn")
    parser.add_argument("--robot", type=Path, help="robot spec")
    parser.add_argument("--checkpoint", type=Path, help="directory of the checkpoint")
    parser.add_argument("--out", type=Path, default=Path("out/recordings"), help="folder of bags")
    parser.add_argument("--domain", type=int, help="ROS domain; one of its own by default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Record what is missing; exits with 1 and one line on a mistake."""
    options = parse(argv)
    run_command(
        "record_episodes",
        lambda console: _record(options, console),
        interrupted="interrupted; whole episodes are kept, start again to go on",
    )


def _record(options: argparse.Namespace, console: Console) -> None:
    isolate(options.domain)
    stage = Stage(
        robot=(options.robot or assets.find(assets.ROBOT, "robot spec")).resolve(),
        checkpoint=(options.checkpoint or assets.find(assets.CHECKPOINT, "checkpoint")).resolve(),
        thresholds=None,
    )
    driver = f"policy {digest([stage.checkpoint, stage.robot])[:16]}"
    plans = recording_plans(options.tasks, options.episodes)
    outcomes = recorded(options.out, driver)
    missing = [plan for plan in plans if note_of(plan) not in outcomes]
    if missing:
        with composed_stage(stage, options.out.resolve()) as operator:
            operator.let_the_world_judge()
            _play(operator, missing, driver, outcomes, console, len(plans))
    successes = sum(outcomes.get(note_of(plan)) == SUCCESS for plan in plans)
    console.print(f"{options.out}: {len(plans)} episodes, {successes} of them succeeded")


def _play(
    operator: Operator,
    plans: Sequence[EpisodePlan],
    driver: str,
    outcomes: dict[str, str],
    console: Console,
    total: int,
) -> None:
    recorder = RecorderClient(operator, driver)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("recording", total=total, completed=total - len(plans))
        for plan in plans:
            note = note_of(plan)
            record = operator.run(plan, during=partial(recorder.recording, note))
            recorder.label(success=record.success)
            outcomes[note] = SUCCESS if record.success else FAILURE
            progress.update(bar, advance=1, description=record.instruction)


def note_of(plan: EpisodePlan) -> str:
    """What the bag of an episode says about it; by it a recording is found again."""
    return f"{plan.kind}, layout {plan.seed}"


def recorded(folder: Path, driver: str) -> dict[str, str]:
    """Outcome by note of the whole bags in a folder; what a kill cut off is removed.

    Raises A1Error when a bag was recorded with another checkpoint or robot spec.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return {}
    outcomes = {}
    for bag in find_bags(folder):
        found = bag.custom.get("driver", "")
        if found != driver:
            raise A1Error(
                f"{bag.path}: driver is '{found}', now it is '{driver}': it was recorded with "
                "another checkpoint or robot spec; give another --out, or remove the folder"
            )
        if "note" in bag.custom:
            outcomes[bag.custom["note"]] = bag.custom.get(OUTCOME_KEY, "")
        else:
            shutil.rmtree(bag.path)
    return outcomes


class RecorderClient:
    """What an operator asks of the recorder node; A1Error repeats its reason for refusing."""

    def __init__(self, operator: Operator, driver: str) -> None:
        """`driver`: who drives, for the bags."""
        make = operator.create_client
        self._operator, self._driver = operator, driver
        self._start = make(StartRecording, "a1/start_recording")
        self._label = make(LabelEpisode, "a1/label_episode")
        self._stop = make(StopRecording, "a1/stop_recording")
        self._discard = make(DiscardEpisode, "a1/discard_episode")

    @contextmanager
    def recording(self, note: str, instruction: str) -> Iterator[None]:
        """Record an episode for as long as this lasts; it is thrown away after an error."""
        self._ask(self._start, StartRecording.Request(instruction=instruction, driver=self._driver))
        try:
            self._ask(self._label, LabelEpisode.Request(note=note))
            yield
        except BaseException:
            with suppress(A1Error):  # What went wrong before is what has to be told.
                self._ask(self._discard, DiscardEpisode.Request(reason="interrupted"))
            raise
        self._ask(self._stop, StopRecording.Request())

    def label(self, *, success: bool) -> None:
        """Say how the episode recorded last went."""
        outcome = LabelEpisode.Request.SUCCESS if success else LabelEpisode.Request.FAILURE
        self._ask(self._label, LabelEpisode.Request(outcome=outcome))

    def _ask(self, client: Client, request: Any) -> None:
        answer = self._operator.answer(client.call_async(request), client.srv_name)
        if not answer.success:
            raise A1Error(f"recorder ({client.srv_name}): {answer.message}")
