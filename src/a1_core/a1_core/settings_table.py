"""The table of settings as data: its rows, and the questions that pairs of rows answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a1_core.calibration import DISTRIBUTIONS
from a1_core.errors import A1Error
from a1_core.strict_yaml import Fields, read_mapping

MODES = ("full", "adaptive", "fixed")
HEADS = ("fm", "mlp")
STARTS = ("cold", "shared", "direct", "renoise")
SIGNALS = ("fm", "mlp", "probe")
BEST = "best"
"""In a question: the adaptive row that saves most among those that lose little enough."""
MOST_ROWS = 14
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One setting of the policy.

    Attributes:
        start, num_steps: of the flow-matching head; None for the MLP head, which has neither.
        signal: what exits are compared by.
        c, distribution: of the shares that leave at each exit (see `exit_distribution`); `c` is
            None unless the mode is adaptive.
    """

    name: str
    head: str
    start: str | None
    signal: str
    num_steps: int | None
    mode: str
    c: float | None
    distribution: str

    @property
    def variant(self) -> str:
        """How the head is run, as a name; rows that run it alike share it."""
        parts = (self.head, self.start, self.signal, self.num_steps)
        return "-".join(str(part) for part in parts if part is not None)

    def changes(self) -> dict[str, Any]:
        """Those fields of the checkpoint's configuration that say how the head is run."""
        own = {} if self.start is None else {"start": self.start, "num_steps": self.num_steps}
        return {
            **own,
            "head": self.head,
            "signal": None if self.signal == self.head else self.signal,
        }


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the difference of success between two rows answers.

    Attributes:
        asks: in words.
        first, second: names of rows, or BEST.
        points: how many points `first` may lose for the answer yes; None: whether it is better.
    """

    asks: str
    first: str
    second: str
    points: float | None


@dataclass(frozen=True, kw_only=True)
class SettingsTable:
    """All of it.

    Attributes:
        kinds: of tasks; every row plays the same layouts of each.
        references: the row that an adaptive row is held against, by head.
        saves: share of the backbone's compute that a setting is wanted to save.
        loses: points of success that it may lose for that.
    """

    kinds: tuple[str, ...]
    rows: tuple[TableRow, ...]
    questions: tuple[Question, ...]
    references: dict[str, str]
    saves: float
    loses: float

    def row(self, name: str) -> TableRow:
        """The row of that name; A1Error names the rows there are."""
        for row in self.rows:
            if row.name == name:
                return row
        known = ", ".join(row.name for row in self.rows)
        raise A1Error(f"row '{name}' is not in the table; choose of {known}")

    def choose(self, names: Sequence[str] | None) -> tuple[TableRow, ...]:
        """The rows of those names, all by default, in the order in which they have to be run:
        fixed depths take theirs from what the others cost.
        """
        wanted = self.rows if names is None else [self.row(name) for name in names]
        return tuple(sorted(dict.fromkeys(wanted), key=lambda row: row.mode == "fixed"))


def read_settings_table(path: Path) -> SettingsTable:
    """The table in a YAML file; A1Error names file, field and mend."""
    fields = Fields(read_mapping(path, A1Error), str(path), A1Error)
    wanted = fields.section("wanted")
    table = SettingsTable(
        kinds=fields.texts("kinds"),
        rows=tuple(_row(row) for row in fields.sections("rows")),
        questions=tuple(_question(question) for question in fields.sections("questions")),
        references={str(key): str(row) for key, row in fields.mapping("references").items()},
        saves=wanted.number("saves", low=0.0),
        loses=wanted.number("loses"),
    )
    wanted.done()
    fields.done()
    _check(path, table)
    return table


def _row(fields: Fields) -> TableRow:
    name = fields.text("name")
    if not _NAME.fullmatch(name):
        raise fields.fail("name", name, "write small letters, digits, '.' and '-'")
    head, mode = fields.text("head", HEADS), fields.text("mode", MODES)
    flow, adaptive = head == "fm", mode == "adaptive"
    row = TableRow(
        name=name,
        head=head,
        start=fields.text("start", STARTS) if flow else None,
        signal=fields.text("signal", SIGNALS if flow else ("mlp",)),
        num_steps=fields.whole("num_steps", least=1) if flow else None,
        mode=mode,
        c=fields.number("c") if adaptive else None,
        distribution=fields.text("distribution", DISTRIBUTIONS) if adaptive else "",
    )
    fields.done()
    return row


def _question(fields: Fields) -> Question:
    question = Question(
        asks=fields.text("asks"),
        first=fields.text("first"),
        second=fields.text("second"),
        points=fields.number("points") if fields.has("points") else None,
    )
    fields.done()
    return question


def _check(path: Path, table: SettingsTable) -> None:
    names = [row.name for row in table.rows]
    if len(set(names)) != len(names) or len(names) > MOST_ROWS:
        raise A1Error(f"{path}.rows: {len(names)} rows; give at most {MOST_ROWS} different names")
    modes = {row.name: row.mode for row in table.rows}
    for head in {row.head for row in table.rows if row.mode == "adaptive"}:
        if modes.get(table.references.get(head, "")) != "full":
            raise A1Error(f"{path}.references: {head} names no row of mode full; name one")
    for question in table.questions:
        for name in (question.first, question.second):
            if name not in (*names, BEST):
                raise A1Error(f"{path}.questions: '{name}' is no row, nor '{BEST}'; name one")
