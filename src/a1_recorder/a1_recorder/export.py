"""`export --to lerobot BAGS --out DIR`: recorded bags as one LeRobot v3.0 data set, and a report.

Observations are those of the live node, taken at the policy's rate; actions are what was commanded
at them. The report, DIR_report.html, shows every episode and what was left out, and why.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from a1_core.errors import BagError, DatasetError, SpecError
from a1_core.spec import RobotSpec
from a1_core.whole_file import write_whole
from a1_data.bag_files import find_bags
from a1_data.lerobot.from_bags import (
    ExportSettings,
    Plan,
    plan_bag,
    policy_fps,
    write_frames,
)
from a1_data.lerobot.writer import DatasetWriter, Frame
from a1_data.reader import Bag, ReadSettings, open_bags
from a1_data.share import find_spec
from a1_recorder.export_page import BagAccount, page, thumbnail
from a1_ros.command_line import ends_in_one_line


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="export", description=__doc__)
    parser.add_argument("bags", nargs="+", type=Path, help="bags, or folders that hold bags")
    parser.add_argument("--to", required=True, choices=["lerobot"], help="format of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set; new")
    parser.add_argument(
        "--robot", default="", help="name of a robot spec, or its path; else as recorded"
    )
    parser.add_argument("--fps", type=int, default=0, help="frames a second; else the policy's")
    parser.add_argument(
        "--action",
        choices=["commanded", "measured"],
        default="commanded",
        help="what the controller sent, or where the robot was one frame later",
    )
    parser.add_argument(
        "--fill", type=int, default=1, help="missing frames in a row that repeat their neighbour"
    )
    parser.add_argument("--trim", action="store_true", help="cut still heads and tails")
    parser.add_argument("--min-frames", type=int, default=2, help="leave out shorter episodes")
    parser.add_argument("--no-failures", action="store_true", help="leave out labelled failures")
    parser.add_argument("--keep-still", action="store_true", help="keep episodes without motion")
    parser.add_argument(
        "--pictures",
        choices=["video", "image"],
        default="video",
        help="MP4 files, or PNG in the tables, which is larger and loses nothing",
    )
    parser.add_argument(
        "--instruction", default="", help="for episodes that the bag has no instruction for"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Exits with 1 on a mistake, or when no episode was written."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("export", console, left="nothing was written"):
        _export(options, console)


def export_bags(
    bags: Sequence[Bag], spec: RobotSpec, writer: DatasetWriter, settings: ExportSettings
) -> Iterator[BagAccount]:
    """Append every bag's episodes to a data set; the account of each bag once it is done."""
    for bag in bags:
        account = BagAccount(bag=bag, plans=[] if bag.missing else plan_bag(bag, spec, settings))
        account.report = bag.report
        for plan, frames in write_frames(bag, account.plans):
            seen = _looked_at(frames, plan, account)
            writer.add_episode(seen, _note(bag, plan))
        yield account


def _export(options: argparse.Namespace, console: Console) -> None:
    spec = find_spec(options.robot) if options.robot else recorded_spec(options.bags)
    settings = ExportSettings(
        fps=options.fps or policy_fps(spec),
        action=options.action,
        fill=options.fill,
        trim=options.trim,
        min_frames=options.min_frames,
        failures=not options.no_failures,
        still=options.keep_still,
    )
    reading = ReadSettings(instruction=options.instruction)
    bags = [bag for path in options.bags for bag in open_bags(path, spec, reading)]
    told = {"robot": spec.robot, "spec_digest": spec.digest, "action": settings.action}
    accounts: list[BagAccount] = []
    report = options.out.with_name(options.out.name + "_report.html")
    with (
        DatasetWriter(
            options.out,
            robot=spec.robot,
            fps=settings.fps,
            names=spec.action_names,
            pictures=options.pictures,
            told=told,
        ) as writer,
        Progress(console=console, transient=True) as progress,
    ):
        for account in progress.track(
            export_bags(bags, spec, writer, settings), total=len(bags), description="export"
        ):
            accounts.append(account)
        _write_text(report, page(options.out.name, spec, settings, accounts))
        _print(accounts, console)
        console.print(f"report: {escape(str(report))}", highlight=False)
        writer.finish()
        frames = sum(plan.frames for account in accounts for plan in account.written)
        console.print(
            f"{writer.episodes} episodes, {frames} frames at {settings.fps} Hz in "
            f"{escape(str(options.out))}",
            highlight=False,
        )


def recorded_spec(paths: Sequence[Path]) -> RobotSpec:
    """The spec of the robot that bags say they are of.

    Raises BagError where they say nothing or not the same, SpecError where the spec that is found
    has changed since.
    """
    told = [files.custom for path in paths for files in find_bags(path)]
    robots = {custom.get("robot", "") for custom in told}
    if len(robots) != 1 or "" in robots:
        raise BagError(
            f"{', '.join(map(str, paths))}: recorded of {', '.join(sorted(robots)) or 'nothing'} "
            "as their metadata says; give --robot"
        )
    spec = find_spec(robots.pop())
    changed = {custom.get("spec_digest", spec.digest) for custom in told} - {spec.digest}
    if changed:
        raise SpecError(
            f"{spec.path}: is not the spec that the bags were recorded with (digest "
            f"{changed.pop()[:12]}, now {spec.digest[:12]}); give --robot {spec.robot} to use it "
            "all the same"
        )
    return spec


def _looked_at(frames: Iterator[Frame], plan: Plan, account: BagAccount) -> Iterator[Frame]:
    """The frames, with thumbnails of the first, the middle and the last put aside."""
    shown = {0, plan.frames // 2, plan.frames - 1}
    for place, frame in enumerate(frames):
        if place in shown:
            pictures = [thumbnail(rgb) for rgb in frame.images.values()]
            account.thumbnails.setdefault(plan.episode, []).append(pictures)
        yield frame


def _note(bag: Bag, plan: Plan) -> dict[str, object]:
    return {
        "bag": bag.path.name,
        "bag_digest": bag.digest,
        "bag_episode": plan.episode,
        "outcome": plan.outcome,
        "begin_ns": plan.grid_ns,
        "drivers": plan.drivers,
        "repeated": plan.repeated,
        "trimmed": plan.trimmed,
    }


def _print(accounts: Sequence[BagAccount], console: Console) -> None:
    left_out: Counter[str] = Counter()
    first: dict[str, str] = {}
    for account in accounts:
        if account.bag.missing:
            left_out["TOPIC_MISSING"] += 1
            first.setdefault("TOPIC_MISSING", f"{account.bag.path}: {account.bag.missing[0]}")
        for plan in account.plans:
            if plan.left_out:
                left_out[plan.left_out] += 1
                where = f"{account.bag.path}, episode {plan.episode}"
                first.setdefault(plan.left_out, f"{where}: {plan.detail}")
    for reason, count in left_out.most_common():
        console.print(
            f"[yellow]left out[/yellow] {count} {reason}: {escape(first[reason])}", highlight=False
        )


def _write_text(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    main()
