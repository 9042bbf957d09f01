"""The evaluation's table: one row a cell, and differences between settings. Pure but `write`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a1_core.whole_file import write_whole
from a1_sim.ledger import Cell, Ledger
from a1_sim.plots import plot_summary
from a1_sim.records import EpisodeRecord
from a1_sim.statistics import paired_difference, percentile, wilson
from a1_world.sample import PERIOD_S

COLUMNS = {
    "task": "task",
    "setting": "setting",
    "clock": "clock",
    "episodes": "n",
    "success_rate": "success",
    "interval95": "95%",
    "steps_done": "steps",
    "mean_depth_fraction": "depth",
    "flops_fraction": "FLOPs",
    "latency_ms_p50": "ms p50",
    "latency_ms_p95": "ms p95",
    "mean_seconds": "s/episode",
}
# Of tasks of several steps: how often the policy called one done, before it was or without that it
# ever was; how many it never called so; seconds after the world.
MOVING_COLUMNS = (
    "task", "setting", "clock", "called done", "too early", "never called", "s late p50", "p95",
)  # fmt: skip
COMPARED = (("adaptive", "full"), ("fixed", "full"), ("adaptive", "fixed"))


def row_of(cell: Cell, records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Figures of one cell; `latency` is of the inference alone, `chunk_latency` from capture on."""
    successes = sum(record.success for record in records)
    exits = [sample for record in records for sample in record.exits]
    inference = [sample.inference_ms for sample in exits]
    chunk = [sample.chunk_ms for sample in exits]
    return {
        "task": cell.task,
        "setting": cell.setting,
        "clock": cell.clock,
        "episodes": len(records),
        "successes": successes,
        "success_rate": successes / len(records) if records else float("nan"),
        "interval95": list(wilson(successes, len(records))),
        "steps": max(1, *(len(record.steps) for record in records)),
        "steps_done": _mean([record.steps_done for record in records]),
        "moving_on": moving_on(records),
        "mean_depth_fraction": _mean([sample.depth_fraction for sample in exits]),
        "flops_fraction": _mean([sample.flops_fraction for sample in exits]),
        "latency_ms_p50": percentile(inference, 50),
        "latency_ms_p95": percentile(inference, 95),
        "chunk_latency_ms_p50": percentile(chunk, 50),
        "chunk_latency_ms_p95": percentile(chunk, 95),
        "mean_seconds": _mean([record.elapsed_s for record in records]),
        "clock_rate": _mean([record.clock_rate for record in records]),
        "wall_seconds": _mean([record.wall_s for record in records]),
        "chunks": len(exits),
        "refused_chunks": sum(record.refused for record in records),
        "fixed_exit": cell.fixed_exit if cell.setting == "fixed" else None,
        "ended": _counts([record.reason for record in records]),
    }


def moving_on(records: Sequence[EpisodeRecord]) -> dict[str, Any] | None:
    """How well the policy itself knew when to go on; None where it was not asked.

    `early`: before the world said so, or without that it ever did; a row before it is no mistake,
    the policy says what is done by the next row. `never`: done, and not called so. `late_s_*`:
    seconds from the world to the policy where it was not early.
    """
    steps = [step for record in records if len(record.steps) > 1 for step in record.steps]
    if not steps:
        return None
    fired = [step for step in steps if step.fired_s is not None]
    allowed_s = -PERIOD_S - 1e-9
    late_s = [step.late_s for step in fired if step.late_s is not None and step.late_s >= allowed_s]
    return {
        "fired": len(fired),
        "early": len(fired) - len(late_s),
        "never": sum(step.done_s is not None and step.fired_s is None for step in steps),
        "late_s_p50": percentile(late_s, 50),
        "late_s_p95": percentile(late_s, 95),
    }


def comparisons(ledger: Ledger) -> list[dict[str, Any]]:
    """Differences of success between settings on the layouts that both have run, per task."""
    found = []
    cells = ledger.cells()
    for task, clock in dict.fromkeys((cell.task, cell.clock) for cell in cells):
        by_setting = {c.setting: c for c in cells if (c.task, c.clock) == (task, clock)}
        for first, second in COMPARED:
            if first not in by_setting or second not in by_setting:
                continue
            a, b = ledger.records(by_setting[first]), ledger.records(by_setting[second])
            seeds = sorted(set(a) & set(b))
            difference, interval = paired_difference(
                [a[seed].success for seed in seeds], [b[seed].success for seed in seeds]
            )
            found.append(
                {
                    "task": task,
                    "clock": clock,
                    "first": first,
                    "second": second,
                    "episodes": len(seeds),
                    "difference": difference,
                    "interval95": list(interval),
                }
            )
    return found


def equal_cost_exit(cost: float, prices: Mapping[int, float]) -> int:
    """The exit (a block index) whose price is nearest to `cost`.

    `prices`: share of full depth's FLOPs of an inference that goes to that exit and nowhere else;
    `cost`: a mean of such shares.
    """
    return min(prices, key=lambda block: abs(prices[block] - cost))


def write(out: Path, ledger: Ledger, about: dict[str, Any]) -> dict[str, Any]:
    """Write summary.json, summary.md and summary.png; returns the summary.

    `layouts` of a row holds success by the layout's seed: evaluations are compared in pairs.
    """
    rows = []
    for cell in ledger.cells():
        records = list(ledger.records(cell).values())
        layouts = {str(record.seed): record.success for record in records}
        rows.append({**row_of(cell, records), "layouts": layouts})
    summary = {**about, "rows": rows, "comparisons": comparisons(ledger)}
    write_whole(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    write_whole(out / "summary.md", markdown(summary))
    plot_summary(out / "summary.png", rows)
    return summary


def cells_of_table(row: dict[str, Any]) -> list[str]:
    """The row as text, column by column."""
    return [
        f"{row[key]:.2f} of {row['steps']}" if key == "steps_done" else _text(key, row[key])
        for key in COLUMNS
    ]


def moving_table(summary: dict[str, Any]) -> list[list[str]]:
    """The rows of MOVING_COLUMNS as text; none where nobody did several things in a row."""
    return [
        [
            *(row[key] for key in ("task", "setting", "clock")),
            *(str(row["moving_on"][key]) for key in ("fired", "early", "never")),
            *(f"{row['moving_on'][key]:+.1f}" for key in ("late_s_p50", "late_s_p95")),
        ]
        for row in summary["rows"]
        if row["moving_on"] is not None
    ]


def sentence(comparison: dict[str, Any]) -> str:
    """One comparison as a line of text."""
    low, high = (100 * value for value in comparison["interval95"])
    return (
        f"{comparison['task']}, {comparison['clock']}: {comparison['first']} less "
        f"{comparison['second']} {100 * comparison['difference']:+.0f} points "
        f"(95%: {low:+.0f} to {high:+.0f}, {comparison['episodes']} pairs)"
    )


def markdown(summary: dict[str, Any]) -> str:
    """The table and the differences as Markdown."""
    lines = _table(COLUMNS.values(), [cells_of_table(row) for row in summary["rows"]])
    moving = moving_table(summary)
    if moving:
        lines += ["", *_table(MOVING_COLUMNS, moving)]
    lines += ["", *(f"- {sentence(one)}" for one in summary["comparisons"])]
    return "\n".join(lines) + "\n"


def _table(heads: Iterable[str], rows: Sequence[Sequence[str]]) -> list[str]:
    heads = list(heads)
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, *rows)]
    return [lines[0], "|" + "---|" * len(heads), *lines[1:]]


def _text(key: str, value: Any) -> str:
    if key == "interval95":
        return f"{value[0]:.2f} to {value[1]:.2f}"
    if isinstance(value, float):
        tenths = key.startswith("latency") or key == "mean_seconds"
        return f"{value:.1f}" if tenths else f"{value:.2f}"
    return str(value)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: values.count(value) for value in dict.fromkeys(values)}
