"""What an export made of its bags, as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from a1_core.spec import RobotSpec
from a1_core.times import NS_PER_MS
from a1_data.lerobot.drivers import names_of
from a1_data.lerobot.from_bags import ExportSettings, Plan
from a1_data.reader import Bag
from a1_data.report import BagReport

THUMBNAIL_PX = 96
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em;
  color: #222; background: #fff; }
table { border-collapse: collapse; margin: .5em 0 1.5em; width: 100%; }
th, td { text-align: left; padding: .3em .7em; border-bottom: 1px solid #ddd; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
img { height: 96px; margin: 0 2px 2px 0; border-radius: 3px; }
.bad { color: #b00020; } .bar { display: block; width: 100%; height: 10px; }
h2 { overflow-wrap: anywhere; font-size: 1.15em; margin-top: 2em; }
"""


@dataclass
class BagAccount:
    """What became of one bag; `thumbnails` are rows of pictures (base64 JPEG) by episode."""

    bag: Bag
    plans: Sequence[Plan]
    report: BagReport | None = None
    thumbnails: dict[int, list[list[str]]] = field(default_factory=dict)

    @property
    def written(self) -> list[Plan]:
        """The episodes that are in the data set."""
        return [plan for plan in self.plans if not plan.left_out]


def thumbnail(rgb: NDArray[np.uint8]) -> str:
    """A small picture as base64 JPEG."""
    height, width = rgb.shape[:2]
    size = (max(1, round(width * THUMBNAIL_PX / height)), THUMBNAIL_PX)
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return base64.b64encode(data).decode("ascii")


def page(
    name: str, spec: RobotSpec, settings: ExportSettings, accounts: Sequence[BagAccount]
) -> str:
    """The whole page."""
    plans = [plan for account in accounts for plan in account.plans]
    written = [plan for plan in plans if not plan.left_out]
    frames = sum(plan.frames for plan in written)
    still = sum(int(plan.still_T.sum()) for plan in written)
    facts = [
        ("robot", spec.robot),
        ("rate", f"{settings.fps} Hz"),
        ("actions", settings.action),
        ("bags", str(len(accounts))),
        ("episodes written", f"{len(written)} of {len(plans)}"),
        ("frames", f"{frames}, {frames / settings.fps:.1f} s"),
        ("frames without motion", f"{still} (trimmed {sum(p.trimmed for p in written)})"),
        ("frames repeated", str(sum(plan.repeated for plan in written))),
        ("largest step of a tick from its place", f"{_ms(max_away(written))} ms"),
    ]
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts)
    body = "".join(_bag(account, settings) for account in accounts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(name)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(name)}</h1><table>{rows}</table>{body}</body></html>\n"
    )


def max_away(plans: Sequence[Plan]) -> int:
    """Largest distance (ns) of a frame's tick from its place on the grid."""
    return max((plan.away_ns for plan in plans), default=0)


def _bag(account: BagAccount, settings: ExportSettings) -> str:
    parts = [f"<h2>{escape(str(account.bag.path))}</h2>"]
    if account.report is not None:
        parts.append(_streams(account.report))
    parts.append(_table(_EPISODE_HEADS, (_episode(account, p, settings) for p in account.plans)))
    parts += [f'<p class="bad">{escape(str(finding))}</p>' for finding in account.bag.findings]
    return "".join(parts)


def _streams(report: BagReport) -> str:
    rows = (
        (
            escape(stream.name),
            f"{stream.rate_hz:.1f} Hz",
            str(stream.received),
            _counts(stream.dropped),
            f"{stream.gaps}" + (f", longest {_ms(stream.longest_gap_ns)} ms" * bool(stream.gaps)),
        )
        for stream in report.streams
    )
    unused = {what: count for what, count in report.ticks.items() if what != "USED"}
    told = f"<p>ticks used {report.used}, not used {_counts(unused)}</p>"
    return _table(("stream", "rate", "messages", "dropped", "gaps"), rows) + told


_EPISODE_HEADS = (
    *("episode", "instruction", "outcome", "frames", "driven by", "without motion", "pictures"),
)


def _episode(account: BagAccount, plan: Plan, settings: ExportSettings) -> tuple[str, ...]:
    if plan.left_out:
        fate = f'<span class="bad">left out: {plan.left_out}</span><br>{escape(plan.detail)}'
    else:
        fate = f"{plan.frames}, {plan.frames / settings.fps:.1f} s"
        fate += f"<br>{plan.repeated} repeated" * bool(plan.repeated)
        fate += f"<br>{plan.trimmed} trimmed" * bool(plan.trimmed)
    rows = zip(*account.thumbnails.get(plan.episode, []), strict=True)
    pictures = "<br>".join(
        "".join(f'<img alt="" src="data:image/jpeg;base64,{data}">' for data in row) for row in rows
    )
    still = f"{int(plan.still_T.sum())} of {len(plan.still_T)}{_bar(plan.still_T)}"
    return (
        str(plan.episode),
        escape(plan.instruction) or "-",
        plan.outcome or "-",
        fate,
        _driven(plan, settings),
        still,
        pictures,
    )


def _driven(plan: Plan, settings: ExportSettings) -> str:
    """Who drove for how long, in the order of their first frames."""
    frames = Counter(names_of(plan.drivers, plan.frames))
    told = (f"{name or 'unknown'} {count / settings.fps:.1f} s" for name, count in frames.items())
    return "<br>".join(told) if plan.drivers else "-"


def _bar(still_T: NDArray[np.bool_]) -> str:
    """The episode from left to right; dark where nothing moves."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still_T.astype(int), [0]])))
    spans = "".join(
        f'<rect x="{begin}" width="{end - begin}" height="1" fill="#444"/>'
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    )
    return (
        f'<svg class="bar" viewBox="0 0 {max(1, len(still_T))} 1" preserveAspectRatio="none">'
        f'<rect width="100%" height="1" fill="#cfe3d4"/>{spans}</svg>'
    )


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{escape(title)}</th>" for title in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _counts(counts: Mapping[str, int]) -> str:
    return escape(", ".join(f"{count} {what}" for what, count in counts.items())) or "none"


def _ms(value_ns: int) -> str:
    return f"{value_ns / NS_PER_MS:.0f}"
