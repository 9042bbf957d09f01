"""What a run tells while it trains: a bar, a line of JSON now and then, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from a1_core.whole_file import write_whole
from a1_training.recipe import Stage
from a1_training.samples import BatchSampler
from a1_training.trainer import Trainer

LOG_EVERY = 50


class RunLog:
    """`log.jsonl` and TensorBoard's events in a folder; `tensorboard --logdir FOLDER` shows them.

    Args:
        folder: exists.
        done: optimiser steps of the run so far; rows and events after them, of a killed run, are
            dropped.
        quiet: nothing is written or shown: another process does that.
    """

    def __init__(self, folder: Path, console: Console, done: int = 0, *, quiet: bool = False):
        self._path, self._console, self._quiet = folder / "log.jsonl", console, quiet
        self._events = None
        if not quiet:
            _drop_rows_after(self._path, done)
            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=done)

    def say(self, text: str) -> None:
        """On the console."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def row(self, values: Mapping[str, Any], done: int | None = None) -> None:
        """One line of `log.jsonl`; its numbers become events when `done` steps are given."""
        if self._events is None:
            return
        told = dict(values) if done is None else {"steps_done": done, **values}
        with self._path.open("a") as log:
            log.write(json.dumps(told) + "\n")
        if done is None:
            return
        for name, value in values.items():
            if isinstance(value, float):
                self._events.add_scalar(name, value, done)
        self._events.flush()

    def followed(
        self,
        trainer: Trainer,
        stage: Stage,
        sampler: BatchSampler,
        first: int,
        save: Callable[[int], None],
        save_every: int = 250,
    ) -> None:
        """Trains a stage from step `first` on, with a bar."""
        with Progress(*_columns(), console=self._console, disable=self._quiet) as progress:
            bar = progress.add_task(stage.name, total=stage.steps, completed=first, losses="")
            steps: Iterator[tuple[int, dict[str, float]]] = trainer.run(
                stage, sampler, first, save=save, save_every=save_every
            )
            for step, losses in steps:
                progress.update(bar, completed=step + 1)
                if step % LOG_EVERY == 0:
                    shown = " ".join(f"{name} {value:.3g}" for name, value in losses.items())
                    progress.update(bar, losses=shown)
                    self.row({"stage": stage.name, "step": step, **losses}, trainer.steps_done)

    def close(self) -> None:
        """Writes what is not written yet."""
        if self._events is not None:
            self._events.close()


def _drop_rows_after(path: Path, done: int) -> None:
    """What a killed run told after its last state was saved is told again; a half line ends it."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if row.get("steps_done", 0) <= done:
            kept.append(f"{line}\n")
    write_whole(path, "".join(kept))


def _columns() -> tuple[Any, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
