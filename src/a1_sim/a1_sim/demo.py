"""Console script `demo`: five tasks with the simulated Franka, in real time, filmed."""

import argparse
import dataclasses
import json
import os
import socket
import time
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from a1_core.spec import load_spec
from a1_core.whole_file import write_whole
from a1_ros.command_line import ends_in_one_line
from a1_ros.domain import isolate
from a1_sim import assets
from a1_sim.film import write_film
from a1_sim.plans import demonstration_plans, learnt_tasks
from a1_sim.plots import plot_exits
from a1_sim.records import EpisodePlan, EpisodeRecord
from a1_sim.spectator import Footage, Spectator
from a1_sim.stage import Stage, launched_stage
from a1_sim.statistics import percentile

PAGE_PATIENCE_S = 5.0
POLL_S = 0.1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--robot", default="", help="name of a robot spec, or its path; franka")
    parser.add_argument("--checkpoint", type=Path, help="directory of the checkpoint")
    parser.add_argument("--thresholds", type=Path, help="thresholds file; without it: full depth")
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    parser.add_argument("--no-page", action="store_true", help="do not serve the page of the run")
    parser.add_argument("--domain", type=int, help="ROS domain; one of its own by default")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tasks and write film, plot and summary; exits with 1 and one line on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("demo", console, left="every node is ended"):
        _demo(options, console)


def _demo(options: argparse.Namespace, console: Console) -> None:
    isolate(options.domain)
    thresholds = options.thresholds or assets.find_or_empty(assets.THRESHOLDS)
    stage = Stage(
        robot=assets.robot_file(options.robot),
        checkpoint=(options.checkpoint or assets.find(assets.CHECKPOINT, "checkpoint")).resolve(),
        thresholds=Path(thresholds).resolve() if thresholds else None,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    plans = demonstration_plans(options.episodes, learnt_tasks(stage.words()))
    page_port = None if options.no_page else free_port()
    records, footages = _play(stage, plans, options.out, console, page_port)
    summary = summarise(records)
    write_whole(options.out / "summary.json", json.dumps(summary, indent=2) + "\n")
    plot_exits(options.out / "exits.png", records)
    with console.status("writing the film"):
        write_film(options.out / "run.mp4", footages)
    console.print(
        f"{summary['successes']} of {summary['episodes']} tasks done; chunk latency "
        f"{summary['chunk_latency_ms_p50']:.0f} ms (p95 {summary['chunk_latency_ms_p95']:.0f} ms); "
        f"real-time factor {summary['real_time_factor']:.2f}"
    )
    console.print(f"written: {options.out}/summary.json, run.mp4, exits.png")


def _play(
    stage: Stage,
    plans: list[EpisodePlan],
    out: Path,
    console: Console,
    page_port: int | None,
) -> tuple[list[EpisodeRecord], list[Footage]]:
    records: list[EpisodeRecord] = []
    footages: list[Footage] = []
    spec = load_spec(stage.robot)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("starting simulator, policy and controller", total=None)
        staged = launched_stage(stage, out, lambda: Spectator(spec), page_port=page_port)
        with staged as (operator, spectator):
            assert isinstance(spectator, Spectator)
            if page_port is not None:
                show_page(page_port, progress.console)
            for index, plan in enumerate(plans, start=1):
                progress.update(
                    bar, description=f"{index} of {len(plans)}: {plan.task.replace('_', ' ')}"
                )
                spectator.cut()
                record = operator.run(plan)
                records.append(record)
                footages.append(spectator.cut())
                mark = "[green]done[/green]" if record.success else f"[red]{record.reason}[/red]"
                progress.console.print(
                    f"  {record.instruction}: {mark} in {record.elapsed_s:.1f} s, "
                    f"mean depth {record.mean('depth_fraction'):.2f}",
                    highlight=False,
                )
    return records, footages


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def show_page(
    port: int,
    console: Console,
    environment: Mapping[str, str] = os.environ,
    patience_s: float = PAGE_PATIENCE_S,
) -> bool:
    """Say where the page is and open it where there is a display; False where none is served."""
    until_s = time.monotonic() + patience_s
    while not _answers(port):
        if time.monotonic() > until_s:
            console.print("  no page of the run is served; system.log says why", highlight=False)
            return False
        time.sleep(POLL_S)
    address = f"http://127.0.0.1:{port}/"
    console.print(f"  watch it think: {address}", highlight=False)
    if environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)
    return True


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def summarise(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """The figures of a demonstration."""
    latencies_ms = [sample.chunk_ms for record in records for sample in record.exits]
    return {
        "episodes": len(records),
        "successes": sum(record.success for record in records),
        "chunk_latency_ms_p50": percentile(latencies_ms, 50),
        "chunk_latency_ms_p95": percentile(latencies_ms, 95),
        "real_time_factor": float(np.mean([record.clock_rate for record in records])),
        "runs": [
            {
                "instruction": record.instruction,
                "success": record.success,
                "reason": record.reason,
                "steps": [dataclasses.asdict(step) for step in record.steps],
                "seconds": round(record.elapsed_s, 2),
                "mean_depth_fraction": record.mean("depth_fraction"),
                "exit_layers": [sample.exit_layer for sample in record.exits],
            }
            for record in records
        ],
    }
