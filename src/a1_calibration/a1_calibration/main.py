"""`calibrate --robot ROBOT --checkpoint DIR --bags DIR --out FILE`: bags to exit thresholds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from a1_calibration.costs import cost_tables, write_times
from a1_calibration.many_bags import open_checkpoint
from a1_calibration.pipeline import calibrate
from a1_calibration.recordings import open_recordings
from a1_calibration.request import Promise, Request, parse_budget, parse_promise
from a1_core.calibration import DISTRIBUTIONS, FITS
from a1_core.episode_loss import EPISODE_LOSSES, TICK_LOSSES
from a1_core.errors import BagError, ThresholdsError
from a1_core.p_values import TESTS
from a1_core.spec import RobotSpec
from a1_data.reader import ReadSettings
from a1_data.share import find_spec
from a1_ros.command_line import ends_in_one_line

NOTHING_CERTIFIED = 3
CERTIFICATE_OPTIONS = {
    "gripper_tolerance": "gripper",
    "tick_loss": "tick_loss",
    "episode_loss": "episode_loss",
    "test": "test",
    "tried": "tried",
}
"""Options that say something of a certificate, and what of `Promise` they are."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="calibrate", description=__doc__)
    add = parser.add_argument
    add("--robot", required=True, help="name of a robot spec, or its path")
    add("--checkpoint", type=Path, required=True, help="directory of the checkpoint")
    bags = parser.add_mutually_exclusive_group(required=True)
    bags.add_argument("--bags", type=Path, nargs="+", help="bags, or folders that hold bags")
    bags.add_argument(
        "--live", type=Path, metavar="FOLDER",
        help="listen to the robot's topics, e.g. of `ros2 bag play`, and write bags into FOLDER",
    )  # fmt: skip
    add(
        "--live-gap", type=float, default=1.0,
        help="seconds without an image that end a live episode, where no episode events are heard",
    )  # fmt: skip
    add(
        "--live-quiet", type=float, default=10.0, help="seconds without an image that end listening"
    )
    add(
        "--certify-bags", type=Path, nargs="+", default=[],
        help="bags for the certificate alone; without, episodes of --bags are split",
    )  # fmt: skip
    add("--out", type=Path, required=True, help="thresholds file to write")
    add("--report", type=Path, help="folder of the report; beside --out by default")
    add("--v-file", type=Path, help="where discrepancies are kept; beside --out by default")
    add("--fresh", action="store_true", help="compute discrepancies anew, whatever is kept")
    add("--budget", help="depth=0.5, flops=0.6, ms=30 or hz=20: bound on the mean tick")
    add("--parameter", type=float, help="c of the distribution, in place of a budget")
    add(
        "--certify", nargs="?", const="",
        help="risk,failure,tolerance, e.g. 0.05,0.1,10mm; those of --certify alone are 0.05, 0.1 "
        "and 10 mm at the tool tip (0.02 rad where the spec has no kinematics). A tolerance in rad "
        "or deg is one of the joints. On by default without a budget",
    )  # fmt: skip
    of_certificate = "of the certificate; by default "
    add(
        "--gripper-tolerance", type=float,
        help=f"{of_certificate}{Promise.gripper} of the gripper's 0..1",
    )  # fmt: skip
    add("--tick-loss", choices=TICK_LOSSES, help=of_certificate + Promise.tick_loss)
    add("--episode-loss", choices=EPISODE_LOSSES, help=of_certificate + Promise.episode_loss)
    add(
        "--test", choices=TESTS,
        help=f"{of_certificate}the strongest; betting where episodes are to be added later",
    )  # fmt: skip
    add(
        "--tried", type=int, metavar="N",
        help="calibrations (modes, metrics, tolerances, ...) held against the same certifying "
        "episodes, this one included, the best of which is used: failure is split over them",
    )  # fmt: skip
    add(
        "--mode", choices=FITS, default=Request.fit,
        help="how thresholds are fitted; by default least_loss for a certificate without "
        "--distribution or --parameter, else mass",
    )  # fmt: skip
    add(
        "--distribution", choices=DISTRIBUTIONS, default=Request.distribution,
        help="of exits, for --mode mass and eq9; exponential",
    )  # fmt: skip
    add(
        "--metric", default="",
        help="of discrepancies: cosine, l2, mad or max over the executed rows, or e.g. l2[:16] "
        "over so many; the checkpoint's",
    )  # fmt: skip
    add(
        "--choose-exits", action=argparse.BooleanOptionalAction, default=Request.choose_exits,
        help="let the solver leave exits out; by default for a certificate of mode least_loss "
        "without a budget",
    )  # fmt: skip
    add("--certify-share", type=float, default=Request.certify_share, help="of the episodes")
    add("--family", type=int, default=Request.family_size, help="settings to walk through at most")
    add(
        "--executed", type=float, default=Request.executed_s,
        help="first seconds of a chunk, over which deviations and discrepancies count; 0: all",
    )  # fmt: skip
    add("--costs", type=Path, help="times of another machine, in place of measuring here")
    add("--save-costs", type=Path, help="only measure the times of this machine into a file")
    add("--batch", type=int, default=Request.batch, help="ticks computed at once")
    add("--threads", type=int, default=Request.threads, help="CPU threads of the model")
    add("--device", default=Request.device, help="of the model, e.g. cuda")
    add(
        "--ray", default="", metavar="ADDRESS",
        help="compute on a Ray cluster: its address, or local for one on this machine",
    )  # fmt: skip
    add("--instruction", default="", help="for episodes that a bag has no instruction for")
    add("--period", type=float, default=0.3, help="use a tick every so many seconds; 0: all")
    add("--no-events", action="store_true", help="read a bag as one episode, whatever it says")
    add("--as-live", action="store_true", help="do not wait for joint states, as on a robot")
    return parser.parse_args(argv)


def request_of(options: argparse.Namespace) -> Request:
    """The request that a command line makes; raises ThresholdsError naming what is wrong."""
    return Request(
        checkpoint=options.checkpoint,
        fit_bags=tuple(options.bags or (options.live,)),
        certify_bags=tuple(options.certify_bags),
        out=options.out,
        v_file=options.v_file,
        report=options.report,
        fresh=options.fresh,
        budget=None if options.budget is None else parse_budget(options.budget),
        parameter=options.parameter,
        promise=_promise_of(options),
        fit=options.mode,
        distribution=options.distribution,
        metric=options.metric,
        choose_exits=options.choose_exits,
        family_size=options.family,
        certify_share=options.certify_share,
        executed_s=options.executed,
        costs=options.costs,
        batch=options.batch,
        device=options.device,
        threads=options.threads,
        ray=options.ray,
        read=ReadSettings(
            instruction=options.instruction,
            period_s=options.period,
            complete_states=not options.as_live,
            events=not options.no_events,
        ),
    )


def _promise_of(options: argparse.Namespace) -> Promise | None:
    """The certificate asked for; ThresholdsError where options of one come without it."""
    given = {
        name: getattr(options, option)
        for option, name in CERTIFICATE_OPTIONS.items()
        if getattr(options, option) is not None
    }
    if options.certify:
        return parse_promise(options.certify, **given)
    if options.certify is not None or (options.budget is None and options.parameter is None):
        return Promise(**given)
    for option, name in CERTIFICATE_OPTIONS.items():
        if name in given:
            raise ThresholdsError(
                f"--{option.replace('_', '-')} is {given[name]}, but with a budget or a parameter "
                "alone nothing is certified; add --certify, or leave it out"
            )
    return None


def main(argv: Sequence[str] | None = None) -> None:
    """Calibrate; exits with 1 on a mistake, with 3 when nothing could be certified."""
    options = parse(argv)
    console = Console()
    kept = "what was computed is kept, start again to go on"
    with ends_in_one_line("calibrate", console, left=kept):
        sys.exit(_run(options, console))


def _run(options: argparse.Namespace, console: Console) -> int:
    spec = find_spec(options.robot)
    request = request_of(options)
    if options.live is not None:
        _listen(options, spec, console)
    if options.save_costs is not None:
        return _save_costs(options, request, console)
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, object] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        def warn(told: str) -> None:
            console.print(escape(told), style="yellow", highlight=False)

        outcome = calibrate(request, spec, tell, warn)
    console.print(f"report: {outcome.report}", highlight=False)
    if outcome.file is not None:
        console.print(f"thresholds: {request.out}", highlight=False)
    console.print(escape(outcome.message), highlight=False)
    return 0 if outcome.file is not None else NOTHING_CERTIFIED


def _listen(options: argparse.Namespace, spec: RobotSpec, console: Console) -> None:
    # Imported here: with recorded bags the command needs no ROS.
    from a1_calibration.listening import listen

    with Live("listening", console=console, refresh_per_second=5) as line:
        listener = listen(
            spec,
            options.live,
            gap_s=options.live_gap,
            quiet_s=options.live_quiet,
            heard=lambda images: line.update(f"listening: {images} images"),
        )
    console.print(
        f"heard {len(listener.bags)} bags with {listener.images} images, {listener.lost} messages "
        f"lost on the way: {options.live}",
        highlight=False,
    )


def _save_costs(options: argparse.Namespace, request: Request, console: Console) -> int:
    spec = find_spec(options.robot)
    checkpoint = open_checkpoint(request, spec)
    for recording in open_recordings(request.fit_bags, (), spec, request.read):
        for frame in recording.bag.frames():
            tables = cost_tables(checkpoint.policy, frame.observation, None)
            write_times(options.save_costs, tables.ms, checkpoint.config.exits)
            console.print(f"times of this machine: {options.save_costs}", highlight=False)
            return 0
    raise BagError(f"{request.fit_bags[0]}: no observation to measure with; look with bag_info")


if __name__ == "__main__":
    main()
