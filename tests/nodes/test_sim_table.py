"""What the table of settings makes of its episodes. No ROS."""

import dataclasses
import json
from pathlib import Path

import pytest
from test_sim_evaluation import record

from a1_core.settings_table import read_settings_table
from a1_sim import table
from a1_sim.plans import table_plans
from a1_world.layout import FIRST_EVAL_SEED

ROOT = Path(__file__).parents[2]
WANTED = read_settings_table(ROOT / "config/table.yaml")
BACKBONE = {str(layer): 10 * layer - 9 for layer in range(2, 9)}
PREPARED = {
    "checkpoint_digest": "d" * 64,
    "flops": {kind: {"full": 2_000_000, "backbone": BACKBONE} for kind in WANTED.kinds},
}


def played(successes: int, layer: int, count: int = 40) -> dict:
    """So many episodes, of all kinds in turn, the first ones good."""
    return {
        seed: dataclasses.replace(
            record(seed, success=seed < successes, layers=(layer,)), kind=WANTED.kinds[seed % 4]
        )
        for seed in range(count)
    }


def rows_of(records: dict) -> list:
    return [table.table_row(WANTED.row(name), PREPARED, found) for name, found in records.items()]


def result_of(records: dict) -> dict:
    rows = rows_of(records)
    best = table.best_row(WANTED, records, rows)
    for row in rows:
        row["shipped"] = row["name"] == best
    return {"rows": rows, "answers": table.answers(WANTED, records, rows, best)}


RECORDS = {
    "fm-full-10": played(40, 8),
    "fm-full-2": played(39, 8),
    "probe-2-c0.7": played(40, 5),
    "probe-2-c0.4": played(39, 4),
    "probe-2-c0.1": played(30, 3),
    "fixed-2": played(20, 4),
}


def test_every_row_plays_the_same_layouts_each_kind_its_own():
    few, many = table_plans(WANTED.kinds, 2), table_plans(WANTED.kinds, 50)
    assert len({plan.seed for plan in many}) == len(many) == 200
    assert min(plan.seed for plan in many) >= FIRST_EVAL_SEED
    assert [plan for plan in few if plan not in many] == []
    assert [plan.kind for plan in few] == [kind for kind in WANTED.kinds for _ in range(2)]


def test_a_row_counts_compute_by_what_was_run():
    (row,) = rows_of({"probe-2-c0.4": played(40, 4)})
    assert row["tflops"] == pytest.approx(2e-6 * 0.6)  # the tick's share of full depth
    assert row["backbone_saved"] == pytest.approx(1 - 31 / 71)
    assert row["mean_exit_layer"] == 4
    assert (row["head"], row["start"], row["signal"], row["num_steps"]) == (
        "fm",
        "shared",
        "probe",
        2,
    )
    assert {k: (v["successes"], v["episodes"]) for k, v in row["kinds"].items()} == dict.fromkeys(
        WANTED.kinds, (10, 10)
    )


def test_the_best_row_computes_least_of_those_that_lose_little():
    rows = rows_of(RECORDS)
    assert table.best_row(WANTED, RECORDS, rows) == "probe-2-c0.7"  # 1 of 40 is more than 2 points
    bad = RECORDS | {"probe-2-c0.7": played(0, 5)}
    assert table.best_row(WANTED, bad, rows_of(bad)) == "probe-2-c0.4"
    assert table.best_row(WANTED, {"fm-full-10": played(9, 8)}, []) == ""


def test_answers_follow_the_figures():
    says = {one["asks"]: one for one in result_of(RECORDS)["answers"]}
    steps = next(
        one for asks, one in says.items() if "at full depth?" in asks and "2 steps" in asks
    )
    assert steps["difference"] == pytest.approx(-1 / 40) and steps["says"] == "no"
    fixed = says["Does adaptive depth beat a fixed depth of equal mean cost?"]
    assert (fixed["first"], fixed["second"]) == ("probe-2-c0.7", "fixed-2")
    assert fixed["says"] == "yes" and fixed["interval95"][0] > 0
    equal = RECORDS | {"fixed-2": played(40, 4)}
    again = {one["asks"]: one for one in result_of(equal)["answers"]}[fixed["asks"]]
    assert again["says"] == "no, no difference can be told" and not again["yes"]
    bad = {"fm-full-10": played(30, 8), "probe-2-c0.7": played(30, 5), "fixed-2": played(40, 4)}
    worse = {one["asks"]: one for one in result_of(bad)["answers"]}[fixed["asks"]]
    assert worse["says"] == "no, it is worse"


def test_what_is_wanted_is_looked_for_among_all_adaptive_rows():
    *_, wanted = result_of(RECORDS)["answers"]
    assert not wanted["yes"] and wanted["says"] == "no"
    good = RECORDS | {"probe-2-c0.1": played(40, 3)}
    *_, wanted = result_of(good)["answers"]
    assert wanted["yes"]
    assert table.sentence(wanted).endswith("Yes: probe-2-c0.1 saves 70%, +0.0 points.")


def test_the_table_is_shown_as_text_markdown_and_picture(tmp_path):
    result = result_of(RECORDS)
    table.write(tmp_path, result)
    assert json.loads((tmp_path / "table.json").read_text()) == result
    text = (tmp_path / "table.md").read_text()
    assert "| probe-2-c0.7 * | fm | shared | probe | 2 | 0.7 | 40/40 |" in text
    assert "- Does adaptive depth beat a fixed depth of equal mean cost? Yes: " in text
    assert (tmp_path / "table.png").stat().st_size > 20_000
    assert [row["name"] for row in result["rows"] if row["shipped"]] == ["probe-2-c0.7"]


def test_a_row_played_again_is_held_against_the_committed_one():
    row, low = rows_of({"fm-full-2": played(39, 8)})[0], rows_of({"fm-full-2": played(20, 8)})[0]
    assert table.beside(row, row).endswith("39 of 40 in docs/table.md; the intervals agree")
    assert table.beside(low, row).endswith("the intervals do NOT agree")
