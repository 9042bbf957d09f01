"""The table of settings as data: read strictly, and the shipped one shows all that it must."""

from pathlib import Path

import pytest
import yaml

from a1_core.errors import A1Error
from a1_core.settings_table import BEST, SettingsTable, read_settings_table

SHIPPED = Path(__file__).parents[2] / "config/table.yaml"


def changed(tmp_path: Path, change) -> SettingsTable:
    content = yaml.safe_load(SHIPPED.read_text())
    change(content)
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(content))
    return read_settings_table(path)


def test_every_choice_of_the_papers_tables_is_in_the_shipped_one():
    table = read_settings_table(SHIPPED)
    rows = table.rows
    flow = [row for row in rows if row.head == "fm"]
    adaptive = [row for row in flow if row.mode == "adaptive"]
    assert len(rows) <= 14
    assert {row.c for row in adaptive} >= {1.0, 0.7, 0.4, 0.1}
    assert {row.start for row in adaptive} == {"cold", "shared", "direct", "renoise"}
    assert {row.signal for row in adaptive} >= {"fm", "probe"}
    assert {row.num_steps for row in flow if row.mode == "full"} == {2, 10}
    assert {row.mode for row in rows if row.head == "mlp"} >= {"full", "adaptive"}
    assert [row.mode for row in rows].count("fixed") == 1
    assert {BEST, *(row.name for row in rows)} >= {
        name for question in table.questions for name in (question.first, question.second)
    }


def test_rows_that_answer_a_question_differ_in_what_it_asks():
    """Two rows that differ in two things answer nothing."""
    table = read_settings_table(SHIPPED)
    for question in table.questions:
        if question.asks.startswith(("Start", "Signal", "Do 2 steps")):
            a, b = table.row(question.first), table.row(question.second)
            fields = ("head", "start", "signal", "num_steps", "mode", "c", "distribution")
            assert sum(getattr(a, f) != getattr(b, f) for f in fields) == 1, question.asks


def test_fixed_rows_are_played_last():
    table = read_settings_table(SHIPPED)
    chosen = table.choose(["fixed-2", "fm-full-2"])
    assert [row.name for row in chosen] == ["fm-full-2", "fixed-2"]
    assert [row.mode for row in table.choose(None)][-1] == "fixed"
    with pytest.raises(A1Error, match=r"row 'nonsense' is not in the table; choose of fm-full-10"):
        table.choose(["nonsense"])


def test_rows_that_run_the_head_alike_share_a_variant():
    table = read_settings_table(SHIPPED)
    assert table.row("fm-full-2").variant == table.row("fixed-2").variant == "fm-shared-fm-2"
    assert table.row("mlp-full").variant == "mlp-mlp"
    assert table.row("probe-2-c0.4").changes() == {
        "head": "fm",
        "start": "shared",
        "num_steps": 2,
        "signal": "probe",
    }
    assert table.row("mlp-full").changes() == {"head": "mlp", "signal": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["rows"][0].update(start="warm"), r"rows\[0\]\.start: is 'warm'; write one of"),
        (lambda c: c["rows"][0].update(c=0.5), r"rows\[0\]: key 'c' is unknown"),
        (lambda c: c["rows"][2].pop("c"), r"rows\[2\]: key 'c' is missing"),
        (lambda c: c["rows"][1].update(name="fm-full-10"), "different names"),
        (lambda c: c["rows"][1].update(name="a b"), r"name: is 'a b'; write small letters"),
        (
            lambda c: c["references"].update(fm="fixed-2"),
            "references: fm names no row of mode full",
        ),
        (lambda c: c["questions"][0].update(first="x"), "'x' is no row, nor 'best'"),
        (lambda c: c["rows"].extend(dict(c["rows"][0], name=f"n{i}") for i in range(5)), "19 rows"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    with pytest.raises(A1Error, match=message):
        changed(tmp_path, change)
