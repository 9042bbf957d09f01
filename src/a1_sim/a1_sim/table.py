"""The table of settings from its episodes: rows, answers, text. Pure but `write`.

Every sentence that says what came out is made here from the figures, none by hand.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a1_core.errors import A1Error
from a1_core.settings_table import BEST, Question, SettingsTable, TableRow
from a1_core.whole_file import write_whole
from a1_sim.ledger import Cell
from a1_sim.records import EpisodeRecord
from a1_sim.statistics import paired_difference, wilson
from a1_sim.summary import row_of
from a1_sim.table_plot import plot_table

Records = Mapping[str, Mapping[int, EpisodeRecord]]
"""Episodes of rows by name, then by the seed of the layout."""

COLUMNS = {
    "name": "row",
    "head": "head",
    "start": "start",
    "signal": "signal",
    "num_steps": "steps",
    "c": "c",
    "success_rate": "success",
    "interval95": "95 %",
    "mean_exit_layer": "mean exit",
    "tflops": "MFLOPs",
    "backbone_saved": "saved",
    "latency_ms_p50": "ms p50",
    "latency_ms_p95": "ms p95",
}
FILES = ("table.json", "table.md", "table.png")
MARK = "<!-- written by make eval SUITE=table ARGS=--publish -->\n"
PICTURE = "![Success against compute](pictures/table.png)"
NOT_RUN = "Not run yet for the checkpoint at hand."


def table_row(
    row: TableRow,
    prepared: Mapping[str, Any],
    records: Mapping[int, EpisodeRecord],
    *,
    fixed_exit: int = 0,
) -> dict[str, Any]:
    """Figures of one row over all kinds of tasks, and what they belong to.

    Args:
        prepared: of the row, see a1_training's prepare_table.
        fixed_exit: block of a row of mode fixed.
    """
    episodes = [records[seed] for seed in sorted(records)]
    kinds = list(dict.fromkeys(record.kind for record in episodes))
    cell = Cell(task="+".join(kinds), setting=row.mode, clock="lockstep", fixed_exit=fixed_exit)
    return {
        "name": row.name,
        "head": row.head,
        "start": row.start,
        "signal": row.signal,
        "num_steps": row.num_steps,
        "c": row.c,
        **row_of(cell, episodes),
        **_compute(prepared["flops"], episodes),
        "kinds": {kind: _kind([e for e in episodes if e.kind == kind]) for kind in kinds},
        "shipped": False,
        "checkpoint_digest": prepared["checkpoint_digest"],
        "outcomes": {str(episode.seed): episode.success for episode in episodes},
    }


def _compute(flops: Mapping[str, Any], episodes: Sequence[EpisodeRecord]) -> dict[str, float]:
    """Means over all inferences; FLOPs count 2 a multiply-add (scope: a1_model.flops)."""
    ticks = [(flops[episode.kind], tick) for episode in episodes for tick in episode.exits]
    if not ticks:
        return dict.fromkeys(("mean_exit_layer", "tflops", "backbone_saved"), float("nan"))
    whole = [
        cost["backbone"][str(tick.exit_layer)] / max(cost["backbone"].values())
        for cost, tick in ticks
    ]
    return {
        "mean_exit_layer": float(np.mean([tick.exit_layer for _, tick in ticks])),
        "tflops": float(np.mean([cost["full"] * tick.flops_fraction for cost, tick in ticks]))
        / 1e12,
        "backbone_saved": 1.0 - float(np.mean(whole)),
    }


def _kind(episodes: Sequence[EpisodeRecord]) -> dict[str, Any]:
    successes = sum(episode.success for episode in episodes)
    return {
        "episodes": len(episodes),
        "successes": successes,
        "interval95": list(wilson(successes, len(episodes))),
    }


def best_row(table: SettingsTable, records: Records, rows: Sequence[Mapping[str, Any]]) -> str:
    """Of the adaptive rows that lose at most `table.loses` points against their reference the one
    that computes least; when all lose more, the one that loses least. Empty without such rows.
    """
    judged = []
    for row in rows:
        setting = table.row(row["name"])
        reference = table.references.get(setting.head, "")
        if setting.mode != "adaptive" or reference not in records:
            continue
        lost = -100.0 * _difference(records[setting.name], records[reference])[0]
        within = lost <= table.loses + 1e-9
        judged.append((not within, row["tflops"] if within else lost, setting.name))
    return min(judged)[2] if judged else ""


def answers(
    table: SettingsTable, records: Records, rows: Sequence[Mapping[str, Any]], best: str
) -> list[dict[str, Any]]:
    """What can be answered with the rows there are; the last is whether one is as wanted."""
    by_name = {row["name"]: row for row in rows}
    found = []
    for question in table.questions:
        first, second = (best if n == BEST else n for n in (question.first, question.second))
        if first in by_name and second in by_name:
            found.append(_answer(question, by_name[first], by_name[second], records))
    if best:
        found.append(_wanted(table, records, rows))
    return found


def _answer(
    question: Question, first: Mapping[str, Any], second: Mapping[str, Any], records: Records
) -> dict[str, Any]:
    a, b = records[first["name"]], records[second["name"]]
    difference, (low, high) = _difference(a, b)
    if question.points is not None:
        held = 100.0 * difference >= -question.points - 1e-9
        sure = 100.0 * low >= -question.points
        says = "yes" if sure else "yes on these layouts, not certain" if held else "no"
    else:
        held = low > 0.0
        worse = "no, it is worse" if high < 0.0 else "no, no difference can be told"
        says = "yes" if held else worse
    return {
        "asks": question.asks,
        "first": first["name"],
        "second": second["name"],
        "episodes": len(set(a) & set(b)),
        "difference": difference,
        "interval95": [low, high],
        "tflops_ratio": first["tflops"] / second["tflops"],
        "yes": held,
        "says": says,
    }


def _wanted(
    table: SettingsTable, records: Records, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Adaptive rows that save and lose as wanted."""
    good = []
    for row in rows:
        setting = table.row(row["name"])
        reference = table.references.get(setting.head, "")
        if setting.mode != "adaptive" or reference not in records:
            continue
        won = 100.0 * _difference(records[setting.name], records[reference])[0]
        if row["backbone_saved"] >= table.saves and won >= -table.loses - 1e-9:
            good.append(f"{setting.name} saves {row['backbone_saved']:.0%}, {won:+.1f} points")
    return {
        "asks": f"Does a setting save at least {table.saves:.0%} of the backbone's compute and "
        f"lose at most {table.loses:g} points against no exit?",
        "yes": bool(good),
        "says": f"yes: {'; '.join(good)}" if good else "no",
    }


def _difference(
    first: Mapping[int, EpisodeRecord], second: Mapping[int, EpisodeRecord]
) -> tuple[float, tuple[float, float]]:
    seeds = sorted(set(first) & set(second))
    return paired_difference(
        [first[seed].success for seed in seeds], [second[seed].success for seed in seeds]
    )


def sentence(answer: Mapping[str, Any]) -> str:
    """One answer as a line of text."""
    if "first" not in answer:
        return f"{answer['asks']} {answer['says'].capitalize()}."
    low, high = (100 * value for value in answer["interval95"])
    return (
        f"{answer['asks']} {answer['says'].capitalize()}: {answer['first']} less "
        f"{answer['second']} {100 * answer['difference']:+.1f} points (95 %: {low:+.1f} to "
        f"{high:+.1f}, {answer['episodes']} pairs) at {answer['tflops_ratio']:.2f} of its compute."
    )


def beside(row: Mapping[str, Any], committed: Mapping[str, Any]) -> str:
    """How a row came out beside the one that came with the checkpoint."""
    low, high = committed["interval95"]
    own_low, own_high = row["interval95"]
    agree = "agree" if own_low <= high and low <= own_high else "do NOT agree"
    return (
        f"{row['name']}: {row['successes']} of {row['episodes']} here, {committed['successes']} of "
        f"{committed['episodes']} in docs/table.md; the intervals {agree}"
    )


def cells(row: Mapping[str, Any]) -> list[str]:
    """The row as text, column by column."""
    return [_text(key, row) for key in COLUMNS]


def _text(key: str, row: Mapping[str, Any]) -> str:
    value = row[key]
    if key == "name":
        return f"{value} *" if row["shipped"] else str(value)
    if value is None:
        exit_at = row["fixed_exit"]
        return f"at {exit_at + 1}" if key == "c" and exit_at is not None else "-"
    if key == "interval95":
        return f"{value[0]:.2f} to {value[1]:.2f}"
    if key == "success_rate":
        return f"{row['successes']}/{row['episodes']}"
    if key == "tflops":
        return f"{1e6 * value:.0f}"
    if key == "backbone_saved":
        return f"{value:.0%}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def markdown(result: Mapping[str, Any]) -> str:
    """Table, success by kind, and answers; says so when nothing was run."""
    rows = result["rows"]
    if not rows:
        return f"{NOT_RUN}\n"
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["kinds"]))
    head = [*COLUMNS.values(), *kinds]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        found = [row["kinds"].get(kind) for kind in kinds]
        by_kind = ["-" if k is None else f"{k['successes']}/{k['episodes']}" for k in found]
        lines.append("| " + " | ".join([*cells(row), *by_kind]) + " |")
    if any(row["shipped"] for row in rows):
        lines += ["", "\\* the best adaptive row"]
    lines += ["", *(f"- {sentence(one)}" for one in result["answers"])]
    return "\n".join(lines) + "\n"


def page(before: str, result: Mapping[str, Any]) -> str:
    """docs/table.md with what came out below its mark; A1Error when it has none."""
    head, found, _ = before.partition(MARK)
    if not found:
        raise A1Error(f"docs/table.md has no line {MARK.strip()}; put it where the table belongs")
    shown = f"{PICTURE}\n\n" if result["rows"] else ""
    return f"{head}{found}{shown}{markdown(result)}"


def write(out: Path, result: Mapping[str, Any]) -> None:
    """table.json, table.md and table.png."""
    for name, text in (
        ("table.json", json.dumps(result, indent=1) + "\n"),
        ("table.md", markdown(result)),
    ):
        write_whole(out / name, text)
    plot_table(out / "table.png", result["rows"])
