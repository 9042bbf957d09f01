"""Console script `report BAG [BAG]`: one page that tells of a run, or of two side by side."""

from __future__ import annotations

import argparse
import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from a1_core.errors import A1Error
from a1_core.whole_file import write_whole
from a1_ros.command_line import ends_in_one_line
from a1_views import run_figures
from a1_views.pictures import Pictures, look_through
from a1_views.run import Run, deepest, load_run
from a1_views.run_numbers import rows
from a1_views.run_timeline import Scale, scale_of, timeline
from a1_views.tick import STAGES, Tick, quantiles_ms

WIDTHS_IN = {1: 11.0, 2: 7.2}
KEY_FRAMES, DEEPEST = 8, 8
LONGEST_FILM_S = 300.0
MOST_ROWS = 60


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument("bags", nargs="+", type=Path, help="one bag, or two to compare")
    parser.add_argument("--out", type=Path, default=Path("report.html"))
    parser.add_argument(
        "--no-film", action="store_true", help="stills only: a smaller page, sooner"
    )
    options = parser.parse_args(argv)
    if len(options.bags) > 2:
        parser.error(f"{len(options.bags)} bags; give one, or two to see them side by side")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Read the bags and write the page; exits with 1 and one line on a mistake."""
    options = parse(argv)
    console = Console()
    with ends_in_one_line("report", console):
        with console.status("reading"):
            write_report(options.out, options.bags, film=not options.no_film)
        console.print(f"written: {options.out}", highlight=False)


def write_report(out: Path, bags: Sequence[Path], *, film: bool = True) -> None:
    """Write the page of one bag or two; it needs no file beside it.

    Runs longer than LONGEST_FILM_S have stills only. Raises BagError for a bag that cannot be
    read or tells nothing, and A1Error when the page cannot be written.
    """
    if out.is_dir():
        raise A1Error(f"{out}: is a folder; give --out a file, such as {out / 'report.html'}")
    runs = told_apart([load_run(path) for path in bags])
    seen = [_look(run, film=film and run.duration_s <= LONGEST_FILM_S) for run in runs]
    try:
        write_whole(out, page(runs, seen))
    except OSError as error:
        raise A1Error(f"{out}: cannot be written: {error.strerror}; give another --out") from None


def told_apart(runs: Sequence[Run]) -> list[Run]:
    """Runs of which no two have one name, as long as their folders have not."""
    if len({run.name for run in runs}) == len(runs):
        return list(runs)
    folders = [run.files.path.resolve().parent.name for run in runs]
    return [
        replace(run, name=f"{folder}/{run.name}") for run, folder in zip(runs, folders, strict=True)
    ]


def _look(run: Run, *, film: bool) -> Pictures:
    return look_through(run, [*_key_moments(run), *_deep_moments(run)], film=film)


def _key_moments(run: Run) -> list[int]:
    step_ns = (run.end_ns - run.begin_ns) / KEY_FRAMES
    return [round(run.begin_ns + (k + 0.5) * step_ns) for k in range(KEY_FRAMES)]


def _deep_moments(run: Run) -> list[int]:
    return [tick.stamp_ns for tick in deepest(run, DEEPEST)]


def page(runs: Sequence[Run], seen: Sequence[Pictures]) -> str:
    """The whole page."""
    width_in = WIDTHS_IN[len(runs)]
    scale = scale_of(runs)
    shown = list(zip(range(len(runs)), runs, seen, strict=True))

    def columns(content: Callable[[int, Run, Pictures], str]) -> str:
        parts = [f"<div>{content(number, run, pictures)}</div>" for number, run, pictures in shown]
        return f'<div class="runs">{"".join(parts)}</div>'

    title = " and ".join(run.name for run in runs)
    kind = "two" if len(runs) == 2 else "one"
    parts = [
        f"<h1>{escape(title)}</h1>",
        columns(lambda _, run, __: _result(run, named=len(runs) > 1)),
        "<h2>In numbers</h2>",
        _table(("", *(run.name for run in runs)), rows(runs)),
        "<h2>Timeline</h2>",
        _note(
            "Red: where the controller stopped or was at fault (dashed) and observations that were "
            "refused (marks on the axis). Staleness is the age of a chunk's observation when the "
            "controller judged it; overlap is what was left of the older chunk when the next took "
            "over, and below zero the arm had nothing to follow. A click goes to that moment of "
            "the film."
        ),
        columns(lambda number, run, _: _timeline(number, run, width_in, scale)),
        "<h2>What the cameras saw</h2>",
        columns(_cameras),
        "<h2>Deepest ticks</h2>",
        _note(
            "Where the policy went through most of its layers. If they have something in common "
            "(a grasp, something hidden), that is where depth is spent."
        ),
        columns(lambda _, run, pictures: _deepest(run, pictures)),
        "<h2>Exits taken</h2>",
        f'<div style="max-width: 56rem">{run_figures.exits_taken(runs, 8.0)}</div>',
        "<h2>Discrepancies and thresholds</h2>",
        columns(lambda _, run, __: _discrepancies(run, width_in)),
        "<h2>Chunks, closer</h2>",
        _note("The first refused chunk with two seconds before it, or else how the run began."),
        columns(lambda _, run, __: run_figures.chunks_closer(run, width_in)),
        "<h2>Latency by stage</h2>",
        _note(
            "Age: from the cameras' stamp until inference began. Publish: from its end until the "
            "chunk was sent. Judge: from then until the controller's verdict."
        ),
        columns(lambda _, run, __: _latency(run)),
        "<h2>Verdicts, stops, faults and refusals</h2>",
        columns(lambda _, run, __: _troubles(run)),
        "<h2>Bag</h2>",
        columns(lambda _, run, __: _bag(run)),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_asset('report.css')}</style></head>"
        f'<body class="{kind}">\n{body}\n<script>{_asset("report.js")}</script></body></html>\n'
    )


def _asset(name: str) -> str:
    return (files("a1_views") / "assets" / name).read_text(encoding="utf-8")


def _result(run: Run, *, named: bool) -> str:
    outcome = run.outcome or "no outcome recorded"
    said = f"“{run.instruction}”" if run.instruction else "no instruction recorded"
    return (
        (f"<h3>{escape(run.name)}</h3>" if named else "")
        + f'<p class="result {escape(run.outcome)}">{escape(run.robot)}: {escape(said)}, '
        f"<b>{escape(outcome)}</b>, {run.duration_s:.1f} s</p>"
    )


def _timeline(number: int, run: Run, width_in: float, scale: Scale) -> str:
    drawn, (left, right) = timeline(run, width_in, scale)
    return (
        f'<div class="time" data-film="film{number}" data-left="{left:.4f}" '
        f'data-right="{right:.4f}" data-seconds="{scale.longest_s:.3f}">{drawn}'
        '<div class="cursor" hidden></div></div>'
    )


def _cameras(number: int, run: Run, pictures: Pictures) -> str:
    if not pictures.cameras:
        return _note("The bag holds no images.")
    film = ""
    if pictures.film:
        data = base64.b64encode(pictures.film).decode()
        film = (
            f'<video id="film{number}" controls muted preload="metadata" '
            f'poster="{_still(pictures, _key_moments(run)[0])}" '
            f'src="data:video/mp4;base64,{data}"></video>'
        )
    names = ", ".join(pictures.cameras)
    stills = _stills(
        pictures, [(moment, f"{run.seconds(moment):.1f} s") for moment in _key_moments(run)]
    )
    return _note(f"From left to right: {escape(names)}") + film + stills


def _deepest(run: Run, pictures: Pictures) -> str:
    captions = [(tick.stamp_ns, _caption(run, tick)) for tick in deepest(run, DEEPEST)]
    if not captions:
        return _note("The bag holds no a1/exit_state.")
    if not pictures.cameras:
        return "<br>".join(escape(caption) for _, caption in captions)
    return _stills(pictures, captions)


def _caption(run: Run, tick: Tick) -> str:
    reason = tick.reason.lower().replace("_", " ")
    where = f"layer {tick.exit_layer} of {tick.num_layers}, {reason}"
    return f"{run.seconds(tick.stamp_ns):.1f} s: {where}, {tick.total_ms:.0f} ms"


def _stills(pictures: Pictures, wanted: Sequence[tuple[int, str]]) -> str:
    shown = [
        f'<figure><img alt="{escape(caption)}" src="{_still(pictures, moment)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for moment, caption in wanted
        if moment in pictures.stills
    ]
    return f'<div class="stills">{"".join(shown)}</div>'


def _still(pictures: Pictures, moment_ns: int) -> str:
    data = base64.b64encode(pictures.stills.get(moment_ns, b"")).decode()
    return f"data:image/jpeg;base64,{data}"


def _discrepancies(run: Run, width_in: float) -> str:
    drawn = run_figures.discrepancies(run, width_in)
    return (drawn or _note("No exit was compared with a threshold.")) + _thresholds(run)


def _thresholds(run: Run) -> str:
    info = run.thresholds
    if info is None:
        return _note("The bag does not say which thresholds were in force.")
    mode = ("adaptive", "fixed", "full")[info.mode] if info.mode < 3 else str(info.mode)
    file = str(info.thresholds_digest)[:12] or "none"
    text = f"Mode {mode}, checkpoint {str(info.checkpoint_digest)[:12]}, thresholds file {file}"
    if not info.certified:
        return _note(f"{text}, without a certificate.")
    return _note(
        f"{text}, certified: loss of an episode at most {info.risk:g} with confidence "
        f"{1 - info.failure:g}, of {info.certificate_episodes} episodes."
    )


def _latency(run: Run) -> str:
    found = quantiles_ms(run.ticks)
    lines = [
        (stage, *(f"{value:.1f}" for value in found[stage]))
        for stage in (*STAGES, "whole")
        if stage in found
    ]
    return _table(("stage", "p50 [ms]", "p95 [ms]", "p99 [ms]"), lines, numbers=True)


def _troubles(run: Run) -> str:
    verdicts: dict[str, list[str]] = {}
    for chunk in run.chunks:
        verdicts.setdefault(chunk.verdict or "NONE", []).append(chunk.detail)
    counts = [
        (name, str(len(details)), next((text for text in details if text), ""))
        for name, details in sorted(verdicts.items(), key=lambda item: -len(item[1]))
    ]
    parts = [_table(("verdict", "chunks", "for instance"), counts)]
    events = sorted(_events(run))
    lines = [(f"{at_s:.1f} s", what, why) for at_s, what, why in events[:MOST_ROWS]]
    parts.append(_table(("at", "what", "why"), lines) if lines else _note("Nothing went wrong."))
    if len(events) > MOST_ROWS:
        parts.append(_note(f"{len(events) - MOST_ROWS} more are left out."))
    return "".join(parts)


def _events(run: Run) -> Iterator[tuple[float, str, str]]:
    """Stops, faults and what led out of them; refused observations, the first of each row."""
    calm = ("TRACKING", "HOLD", "SHADOW")
    for before, span in zip((None, *run.modes), run.modes, strict=False):
        if span.name not in calm or (before is not None and before.name not in calm):
            yield run.seconds(span.begin_ns), span.name, span.reason
    last = ""
    for refused in run.refusals:
        if refused.code != last:
            yield run.seconds(refused.stamp_ns), refused.code, refused.message
        last = refused.code


def _bag(run: Run) -> str:
    custom = run.files.custom
    told = [
        (name, custom[name])
        for name in ("driver", "operator", "note", "software", "dropped", "lost")
        if custom.get(name)
    ]
    parts = [_table(("", ""), [("path", str(run.files.path)), *told])]
    if run.findings:
        items = "".join(f"<li>{escape(finding)}</li>" for finding in run.findings)
        parts.append(f"<ul>{items}</ul>")
    return "".join(parts)


def _note(text: str) -> str:
    return f'<p class="read">{text}</p>'


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    kind = ' class="number"' if numbers else ""

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{kind}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

    return "<table>" + row(head, "th") + "".join(row(line, "td") for line in lines) + "</table>"


if __name__ == "__main__":
    main()
