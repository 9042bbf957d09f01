"""What `predict` and `mine` share: arguments, the policy they name, files that are whole."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_core.whole_file import write_whole
from a1_data.reader import Bag, ReadSettings, open_bags
from a1_policy_node.exit_choice import ExitChoice, choose
from a1_policy_node.loading import Loaded, load, load_a1
from a1_policy_node.settings import Settings
from a1_ros.parameters import settings_from, specs_of


def add_reading(add: Callable[..., Any]) -> None:
    """Arguments that say how bags are read."""
    add("--robot", required=True, help="name of a robot spec, or its path")
    add("--out", type=Path, required=True, help="folder of what is written")
    add("--instruction", default="", help="for episodes that a bag has no instruction for")
    add("--period", type=float, default=0.3, help="the policy thinks every so many s; 0: all ticks")
    add("--no-events", action="store_true", help="read a bag as one episode, whatever it says")
    add("--as-live", action="store_true", help="do not wait for joint states, as on a robot")
    add("--batch", type=int, default=16, help="ticks computed at once")
    add("--threads", type=int, default=1, help="CPU threads of the model")
    add("--device", default="cpu", help="where the model runs, e.g. cuda")


def open_all(paths: Sequence[Path], spec: RobotSpec, options: argparse.Namespace) -> list[Bag]:
    """The bags of a command line, to be read tick by tick."""
    settings = ReadSettings(
        instruction=options.instruction,
        complete_states=not options.as_live,
        events=not options.no_events,
    )
    return [bag for path in paths for bag in open_bags(path, spec, settings)]


def load_policy(options: argparse.Namespace, spec: RobotSpec) -> tuple[Loaded, ExitChoice]:
    """Checkpoint and thresholds, as strictly as the node takes them."""
    values = {parameter.name: parameter.default for parameter in specs_of(Settings)}
    values |= {
        "robot": str(spec.path),
        "checkpoint": str(options.checkpoint),
        "thresholds": str(options.thresholds or ""),
        "threads": options.threads,
        "device": options.device,
    }
    settings = settings_from(Settings, values)
    loaded = load(settings, load_a1)
    return loaded, choose(loaded, settings)


@contextmanager
def progress(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar; what it gives is told (done, total)."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(name)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write(path: Path, data: bytes) -> None:
    """Write a file as a whole; A1Error where it cannot be written."""
    try:
        write_whole(path, data)
    except OSError as why:
        raise A1Error(f"{path}: cannot be written ({why.strerror}); choose another --out") from None


def write_json(path: Path, content: Any) -> None:
    """Plain values as JSON."""
    write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
