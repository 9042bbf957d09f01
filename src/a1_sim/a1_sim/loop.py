"""`loop`: record, export, fine-tune, calibrate, run: from what goes wrong to a policy that does it.

In a simulator whose camera somebody knocked, where the checkpoint fails: its success, episodes of
the expert through controller, gate and recorder, a LeRobot data set, a fine-tuned checkpoint,
thresholds from episodes that training never saw, success again, and what to record next. Every
step is a command that can be typed; started again, it goes on with the first one that is not done.
"""

import argparse
import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from a1_core.errors import A1Error
from a1_core.whole_file import write_whole
from a1_ros.command_line import ends_in_one_line
from a1_ros.launch_reader.command import find_executable
from a1_sim import assets
from a1_sim.ledger import digest
from a1_sim.plans import EXPERT_SEED, TASKS
from a1_sim.statistics import paired_difference

SIMULATOR = "config/sim_knocked_camera.yaml"
RECIPE = "fine-tune"
DEPTH = "depth=0.6"
# Layouts of the held-out bags, apart from those that are trained on.
HELD_OUT_SEED = EXPERT_SEED + 50_000
STATE = "loop.json"
# Fewer episodes than these leave a step without any, of the tasks or to calibrate on.
LEAST = {"episodes": 2, "held_out": 3, "trials": 1}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What goes round, where and how often.

    Attributes:
        robot, checkpoint, thresholds, simulator: files to begin with.
        tasks: to record and to evaluate.
        episodes: to learn from. held_out: to calibrate on. trials: of each task and setting.
        out: folder of everything.

    Raises A1Error where there are too few episodes for some step.
    """

    robot: Path
    checkpoint: Path
    thresholds: Path
    simulator: Path
    tasks: tuple[str, ...]
    episodes: int
    held_out: int
    trials: int
    out: Path

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                option = name.replace("_", "-")
                raise A1Error(f"--{option} is {getattr(self, name)}; give {least} or more")

    @property
    def binding(self) -> dict[str, Any]:
        """What the folder belongs to."""
        files = [self.robot, self.checkpoint, self.thresholds, self.simulator]
        counts = {"episodes": self.episodes, "held_out": self.held_out, "trials": self.trials}
        return {"files": digest(files), "tasks": list(self.tasks), **counts}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command; it is done once `product` is there, or, without one, was run to its end."""

    name: str
    package: str
    program: str
    arguments: tuple[str, ...]
    product: Path | None = None

    @property
    def shown(self) -> str:
        """As a person types it."""
        return shlex.join(["./a1", "run", self.package, self.program, *self.arguments])


def steps(plan: Plan) -> Iterator[Step]:
    """The steps in order; each is to be done before the next one is asked for."""
    out = plan.out
    checkpoint, thresholds = out / "checkpoint", out / "thresholds.yaml"
    recordings, held_out = out / "recordings", out / "held_out"
    yield _evaluation(plan, "before", plan.checkpoint, plan.thresholds)
    yield _recording(plan, recordings, plan.episodes, EXPERT_SEED)
    yield _recording(plan, held_out, plan.held_out, HELD_OUT_SEED)
    yield Step(
        name="export",
        package="a1_recorder",
        program="export",
        arguments=(
            *("--to", "lerobot", str(recordings), "--out", str(out / "dataset")),
            # Before the first chunk and after the last the arm waits, which is nothing to learn.
            *("--no-failures", "--trim"),
        ),
        product=out / "dataset",
    )
    yield Step(
        name="train",
        package="a1_training",
        program="train",
        arguments=(
            *("--recipe", RECIPE, "--start", str(plan.checkpoint), "--robot", str(plan.robot)),
            *("--data", f"recorded={out / 'dataset'}"),
            *("--work", str(out / "train"), "--out", str(checkpoint)),
        ),
        product=checkpoint / "digest",
    )
    yield Step(
        name="calibrate",
        package="a1_calibration",
        program="calibrate",
        arguments=(
            *("--robot", str(plan.robot), "--checkpoint", str(checkpoint)),
            *("--bags", str(held_out), "--out", str(thresholds)),
            *("--budget", DEPTH, "--distribution", "gaussian"),
            # There is no certificate to keep half of so few episodes for.
            *("--certify-share", "0.2"),
        ),
        product=thresholds,
    )
    yield _evaluation(plan, "after", checkpoint, thresholds)
    policy = (
        *("--robot", str(plan.robot), "--checkpoint", str(checkpoint)),
        *("--thresholds", str(thresholds)),
    )
    yield Step(
        name="predict",
        package="a1_policy_node",
        program="predict",
        arguments=(str(_first_bag(held_out)), *policy, "--out", str(out / "predict")),
        product=out / "predict/predict.json",
    )
    yield Step(
        name="mine",
        package="a1_policy_node",
        program="mine",
        arguments=(str(held_out), *policy, "--out", str(out / "mine")),
        product=out / "mine/mine.json",
    )


def _evaluation(plan: Plan, name: str, checkpoint: Path, thresholds: Path) -> Step:
    return Step(
        name=name,
        package="a1_sim",
        program="evaluate",
        arguments=(
            *("--checkpoint", str(checkpoint), "--thresholds", str(thresholds)),
            *("--simulator", str(plan.simulator), "--robot", str(plan.robot)),
            *("--tasks", *plan.tasks, "--settings", "full", "adaptive", "--clocks", "lockstep"),
            *("--episodes", str(plan.trials), "--out", str(plan.out / name)),
        ),
    )


def _recording(plan: Plan, folder: Path, episodes: int, seed: int) -> Step:
    return Step(
        name=folder.name,
        package="a1_sim",
        program="record_expert",
        arguments=(
            *("--simulator", str(plan.simulator), "--robot", str(plan.robot)),
            *("--tasks", *plan.tasks, "--episodes", str(episodes), "--seed", str(seed)),
            *("--out", str(folder)),
        ),
    )


def _first_bag(folder: Path) -> Path:
    bags = sorted(path.parent for path in folder.glob("*/metadata.yaml"))
    return bags[0] if bags else folder


class Progress:
    """What was run to its end, and the seconds it took, on disk; `binding`: what it belongs to."""

    def __init__(self, out: Path, binding: dict[str, Any]) -> None:
        """Raises A1Error where the folder belongs to another plan."""
        self._path = out / STATE
        self._binding = binding
        self.seconds: dict[str, float] = {}
        self._done: list[str] = []
        if not self._path.exists():
            out.mkdir(parents=True, exist_ok=True)
            self._write()
            return
        try:
            told = json.loads(self._path.read_text())
            before, self.seconds, self._done = told["binding"], told["seconds"], told["done"]
        except (ValueError, KeyError, TypeError) as error:
            raise A1Error(
                f"{self._path}: not the state of a loop ({error}); remove {out}"
            ) from None
        different = [key for key in binding if before.get(key) != binding[key]]
        if different:
            raise A1Error(
                f"{self._path}: begun with other {', '.join(different)}; go on with the same, "
                f"remove {out}, or give another --out"
            )

    def done(self, step: Step) -> bool:
        """Whether nothing is left of it."""
        return step.name in self._done if step.product is None else step.product.exists()

    def add(self, step: Step, seconds: float, *, done: bool) -> None:
        """One more stretch of a step, run to its end or broken off."""
        self.seconds[step.name] = self.seconds.get(step.name, 0.0) + seconds
        self._done += [step.name] * done
        self._write()

    def _write(self) -> None:
        content = {"binding": self._binding, "seconds": self.seconds, "done": self._done}
        _write_json(self._path, content)


def run(plan: Plan, console: Console) -> dict[str, Any]:
    """Everything that is not done yet; the summary."""
    progress = Progress(plan.out, plan.binding)
    for step in steps(plan):
        if progress.done(step):
            console.print(f"[green]done[/green] {step.name}")
            continue
        console.rule(step.name)
        console.print(step.shown, highlight=False, soft_wrap=True, markup=False)
        began_s, ended = time.monotonic(), False
        try:
            _run(step)
            ended = True
        finally:
            progress.add(step, time.monotonic() - began_s, done=ended)
    summary = summarise(plan, progress.seconds)
    _write_json(plan.out / "summary.json", summary)
    return summary


def _run(step: Step) -> None:
    program = find_executable(step.package, step.program, where="loop")
    status = subprocess.run([str(program), *step.arguments], env=os.environ, check=False).returncode
    if status:
        raise A1Error(f"{step.name} ended with {status}; what it printed says why: {step.shown}")


def summarise(plan: Plan, seconds: dict[str, float]) -> dict[str, Any]:
    """Success before and after on layouts that nothing was recorded on, and what it took."""
    tables = {
        when: json.loads((plan.out / when / "summary.json").read_text())["rows"]
        for when in ("before", "after")
    }
    kept = (
        *("task", "setting", "episodes", "successes", "success_rate", "interval95"),
        "mean_depth_fraction",
    )
    table = [
        {"when": when, **{key: row[key] for key in kept}}
        for when, rows in tables.items()
        for row in rows
    ]
    overall = {f"success_{when}": _adaptive_success(rows) for when, rows in tables.items()}
    return {
        "rows": [{"name": name, "value": value, "unit": "1"} for name, value in overall.items()]
        + [{"name": "minutes", "value": round(sum(seconds.values()) / 60, 2), "unit": "min"}],
        "table": table,
        "differences": differences(tables["before"], tables["after"]),
        "recorded_episodes": plan.episodes,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def differences(
    before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Success after less success before, by task and setting, on the layouts of both."""
    found = []
    for row in after:
        same = [r for r in before if (r["task"], r["setting"]) == (row["task"], row["setting"])]
        earlier, later = same[0]["layouts"], row["layouts"]
        seeds = [seed for seed in later if seed in earlier]
        difference, interval = paired_difference(
            [later[seed] for seed in seeds], [earlier[seed] for seed in seeds]
        )
        found.append(
            {
                "task": row["task"],
                "setting": row["setting"],
                "episodes": len(seeds),
                "difference": difference,
                "interval95": list(interval),
            }
        )
    return found


def _adaptive_success(rows: Sequence[dict[str, Any]]) -> float:
    """Over all tasks, as the policy is run: with its thresholds."""
    adaptive = [row for row in rows if row["setting"] == "adaptive"]
    return sum(row["successes"] for row in adaptive) / sum(row["episodes"] for row in adaptive)


def _write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=1) + "\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="loop", description=__doc__)
    parser.add_argument("--episodes", type=int, default=50, help="to learn from")
    parser.add_argument("--held-out", type=int, default=10, help="episodes to calibrate on")
    parser.add_argument("--trials", type=int, default=20, help="evaluated per task and setting")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["touch", "bowl"])
    parser.add_argument("--robot", default="", help="name of a robot spec, or its path; franka")
    parser.add_argument("--checkpoint", type=Path, help="directory of the one to start from")
    parser.add_argument("--thresholds", type=Path, help="its thresholds file")
    parser.add_argument(
        "--simulator", type=Path, help="file of the simulator's parameters; one with a camera askew"
    )
    parser.add_argument("--out", type=Path, default=Path("out/loop"))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Go on where it was; exits with 1 and one line on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("loop", console, left="what was done is kept, start again to go on"):
        _loop(options, console)


def _loop(options: argparse.Namespace, console: Console) -> None:
    plan = Plan(
        robot=_from_here(assets.robot_file(options.robot)),
        checkpoint=options.checkpoint or _found(assets.CHECKPOINT, "checkpoint"),
        thresholds=options.thresholds or _found(assets.THRESHOLDS, "thresholds file"),
        simulator=options.simulator or _found(SIMULATOR, "file of the simulator's parameters"),
        tasks=tuple(options.tasks),
        episodes=options.episodes,
        held_out=options.held_out,
        trials=options.trials,
        out=options.out,
    )
    summary = run(plan, console)
    for one in summary["differences"]:
        low, high = (100 * bound for bound in one["interval95"])
        console.print(
            f"{one['task']}, {one['setting']}: {100 * one['difference']:+.0f} points "
            f"(95%: {low:+.0f} to {high:+.0f}, {one['episodes']} pairs)",
            highlight=False,
        )
    before, after, minutes = (row["value"] for row in summary["rows"])
    console.print(
        f"success {before:.2f} before, {after:.2f} after, in {minutes:.0f} minutes; written: "
        f"{plan.out}/summary.json",
        highlight=False,
    )


def _found(path: str, what: str) -> Path:
    return _from_here(assets.find(path, what))


def _from_here(path: Path) -> Path:
    """The path as a person who is here would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
