"""Episodes that are recorded while they are played: the recorder, and what is there already."""

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
from a1_sim.operator_node import Operator
from a1_sim.records import EpisodePlan

# As the recorder writes outcomes.
SUCCESS, FAILURE = "success", "failure"


def note_of(plan: EpisodePlan) -> str:
    """What the bag of an episode says about it; by it a recording is found again."""
    return f"{plan.task}, layout {plan.seed}"


def recorded(folder: Path, driver: str) -> dict[str, str]:
    """Outcome by note of the whole bags in a folder; what a kill cut off is removed.

    Raises A1Error when a bag is of another driver.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return {}
    outcomes = {}
    for bag in find_bags(folder):
        found = bag.custom.get("driver", "")
        if found != driver:
            raise A1Error(
                f"{bag.path}: driver is '{found}', now it is '{driver}': it was recorded with "
                "other files; give another --out, or remove the folder"
            )
        if "note" in bag.custom and OUTCOME_KEY in bag.custom:
            outcomes[bag.custom["note"]] = bag.custom[OUTCOME_KEY]
        else:
            shutil.rmtree(bag.path)
    return outcomes


def play_recorded(
    operator: Operator,
    plans: Sequence[EpisodePlan],
    *,
    driver: str,
    total: int,
    console: Console,
    policy: bool,
) -> None:
    """Play and record episodes, the last of `total`; each bag is labelled with how it went.

    Without `policy` somebody else sends the chunks.
    """
    recorder = RecorderClient(operator, driver)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("recording", total=total, completed=total - len(plans))
        for plan in plans:
            during = partial(recorder.recording, note_of(plan))
            record = operator.run(plan, policy=policy, during=during)
            recorder.label(success=record.success)
            progress.update(bar, advance=1, description=record.instruction)


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
