"""The committed table of settings: its page says what its figures say, of the shipped weights."""

import json
from pathlib import Path

import pytest

from a1_core import settings_table
from a1_core.errors import A1Error
from a1_core.settings_table import read_settings_table
from a1_model import config
from a1_model.variant import vary_checkpoint
from a1_sim import table

ROOT = Path(__file__).parents[2]
COMMITTED = json.loads((ROOT / "docs/table.json").read_text())
ROWS = {row["name"]: row for row in COMMITTED["rows"]}


def test_the_page_is_written_by_the_figures():
    page = (ROOT / "docs/table.md").read_text()
    assert page == table.page(page, COMMITTED)


def test_rows_are_of_the_shipped_weights(tmp_path):
    wanted = read_settings_table(ROOT / "config/table.yaml")
    assert list(ROWS) in ([], [row.name for row in wanted.rows])
    for row in wanted.choose(list(ROWS)):
        digest = vary_checkpoint(ROOT / "checkpoints/tiny", tmp_path / row.name, row.changes())
        assert ROWS[row.name]["checkpoint_digest"] == digest, f"play {row.name} again"


def test_another_result_makes_another_page():
    page = (ROOT / "docs/table.md").read_text()
    empty = table.page(page, {"rows": [], "answers": []})
    assert empty.endswith(f"{table.MARK}{table.NOT_RUN}\n")
    with pytest.raises(A1Error, match="has no line"):
        table.page("# The table\n", COMMITTED)


def test_rows_are_paired_and_one_is_the_best():
    played = {tuple(sorted(row["outcomes"])) for row in ROWS.values()}
    assert len(played) <= 1
    assert sum(row["shipped"] for row in ROWS.values()) == bool(ROWS)


def test_the_table_offers_what_the_network_can_do():
    assert (settings_table.HEADS, settings_table.STARTS, settings_table.SIGNALS) == (
        config.HEADS,
        config.STARTS,
        config.SIGNALS,
    )
