"""`bag_info --robot ROBOT PATH...`: what bags hold for a robot, and what is wrong with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_data.reader import Bag, ReadSettings, open_bags
from a1_data.report import BagReport, StreamReport
from a1_data.share import find_spec

INTERRUPTED = 130
NS_PER_MS = 1e6
SAME_CLOCK_MS = 60_000.0
"""A mean delay beyond a minute says that stamps and receipt are on different clocks."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="bag_info", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="bags, or folders that hold bags")
    parser.add_argument("--robot", required=True, help="name of a robot spec, or its path")
    parser.add_argument(
        "--instruction", default="", help="for episodes that the bag has no instruction for"
    )
    parser.add_argument(
        "--period", type=float, default=0.0, help="use a tick every so many seconds; 0: every one"
    )
    parser.add_argument(
        "--no-events", action="store_true", help="read a bag as one episode, whatever it says"
    )
    parser.add_argument(
        "--as-live",
        action="store_true",
        help="do not wait for joint states, as a policy node on a robot",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read and print; exits with 1 on a mistake or when a bag gives no observation at all."""
    options = parse(argv)
    console = Console()
    try:
        sys.exit(0 if _info(options, console) else 1)
    except A1Error as error:
        console.print(f"[red]bag_info:[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("bag_info: interrupted")
        sys.exit(INTERRUPTED)


def _info(options: argparse.Namespace, console: Console) -> bool:
    spec = find_spec(options.robot)
    settings = ReadSettings(
        instruction=options.instruction,
        period_s=options.period,
        complete_states=not options.as_live,
        events=not options.no_events,
    )
    good = True
    for path in options.paths:
        for bag in open_bags(path, spec, settings):
            _read(bag, console)
            _print(bag, spec, console)
            good &= bag.report.used > 0
    return good


def _read(bag: Bag, console: Console) -> None:
    """One pass, with a count on the terminal while it runs."""
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed} observations"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(str(bag.path)), total=None)
        for _ in bag.frames():
            progress.advance(task)


def _print(bag: Bag, spec: RobotSpec, console: Console) -> None:
    storages = sorted({file.storage + (" zstd" * file.packed) for file in bag.files.files})
    console.print(f"\n[bold]{escape(str(bag.path))}[/bold]", highlight=False)
    console.print(
        f"{', '.join(storages)}, {len(bag.files.files)} files, {bag.files.size / 1e6:.1f} MB, "
        f"sha256 {bag.digest[:12]}; {bag.report.used} observations for {escape(spec.robot)}",
        highlight=False,
    )
    console.print(_streams(bag.report))
    console.print(_episodes(bag.report))
    for reason in _reasons(bag.report):
        console.print(reason, highlight=False)
    for finding in bag.findings:
        console.print(
            f"[yellow]{finding.code}[/yellow] {escape(finding.where)}: {escape(finding.what)}; "
            f"[italic]{escape(finding.mend)}[/italic]",
            highlight=False,
        )


def _streams(report: BagReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("stream", "topic"):
        table.add_column(heading, overflow="fold")
    for heading in ("messages", "dropped", "rate", "gaps", "delay"):
        table.add_column(heading, justify="right")
    for stream in report.streams:
        table.add_row(
            stream.name.partition(" ")[0] if stream.topic in stream.name else stream.name,
            stream.topic,
            str(stream.received),
            str(sum(stream.dropped.values())),
            f"{stream.rate_hz:.1f} Hz" if stream.rate_hz else "-",
            _gaps(stream),
            _delay(stream),
            style="" if stream.accepted else "red",
        )
    return table


def _gaps(stream: StreamReport) -> str:
    if not stream.gaps:
        return "-"
    return f"{stream.gaps}, longest {stream.longest_gap_ns / NS_PER_MS:.0f} ms"


def _delay(stream: StreamReport) -> str:
    if not stream.accepted:
        return "-"
    if abs(stream.delay_ms) > SAME_CLOCK_MS:
        return "other clock"
    return f"{stream.delay_ms:.1f} ms"


def _episodes(report: BagReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("episode", justify="right")
    table.add_column("instruction", overflow="fold")
    table.add_column("from")
    table.add_column("outcome")
    for heading in ("length", "used", "not used"):
        table.add_column(heading, justify="right")
    for account in report.episodes:
        episode = account.episode
        texts = list(dict.fromkeys(text for _, text in episode.instructions if text))
        table.add_row(
            str(episode.index if episode.number is None else episode.number),
            escape(" / ".join(texts)) or "-",
            episode.instruction_source,
            episode.outcome or "-",
            f"{account.duration_s:.1f} s",
            str(account.ticks.used),
            _counts(account.ticks.not_used),
        )
    if report.outside.counts:
        table.add_row("none", "-", "-", "-", "-", "0", _counts(report.outside.not_used))
    return table


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "-"


def _reasons(report: BagReport) -> Iterator[str]:
    """Every reason once, with the first case of it."""
    told: dict[str, str] = {}
    for account in [*(episode.ticks for episode in report.episodes), report.outside]:
        for what, detail in account.details.items():
            told.setdefault(f"ticks {what}", detail)
    for stream in report.streams:
        for what, detail in stream.details.items():
            told.setdefault(f"{stream.name} {what}", detail)
    for what, detail in told.items():
        yield f"[yellow]{escape(what)}[/yellow]: {escape(detail)}"


if __name__ == "__main__":
    main()
