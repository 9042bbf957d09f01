"""`evaluate --suite table` with the shipped checkpoint: real nodes, one episode a row."""

import json
import os
from pathlib import Path

import pytest
import yaml

from a1_core.thresholds_file import read_thresholds
from a1_sim import table_suite
from a1_sim.evaluate import main

ROOT = Path(__file__).parents[2]
DOMAIN = os.environ.get("ROS_DOMAIN_ID", "42")
CONFIG = json.loads((ROOT / "checkpoints/tiny/config.json").read_text())
LAYERS = CONFIG["model"]["backbone"]["layers"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three rows of the shipped table, one kind of task."""
    content = yaml.safe_load((ROOT / "config/table.yaml").read_text())
    rows = ("fm-full-2", "probe-2-c0.1", "fixed-2")
    content["rows"] = [row for row in content["rows"] if row["name"] in rows]
    content["references"] = {"fm": "fm-full-2"}
    content["questions"] = [q for q in content["questions"] if q["first"] == "best"]
    content["kinds"] = ["touch"]
    path = tmp_path_factory.mktemp("table") / "table.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def play(table, *more):
    main(
        [
            *("--suite", "table", "--table", str(table), "--out", str(table.parent / "out")),
            *("--episodes", "1", "--calibration-episodes", "2", "--domain", DOMAIN, *more),
        ]
    )
    return json.loads((table.parent / "out/table.json").read_text())


@pytest.fixture(scope="module")
def result(small):
    """As a run that stopped after its second row, and was started again."""
    with pytest.MonkeyPatch.context() as patch:
        # It takes its depth from rows that are not there yet, where no table came along either.
        patch.setattr(table_suite, "COMMITTED", "docs/no_table.json")
        with pytest.raises(SystemExit):
            play(small, "--rows", "fixed-2")
    first = play(small, "--rows", "fm-full-2", "probe-2-c0.1")
    kept = (small.parent / "out/table/episodes/probe-2-c0.1.jsonl").read_bytes()
    both = play(small)
    assert (small.parent / "out/table/episodes/probe-2-c0.1.jsonl").read_bytes() == kept
    return first, both


def test_rows_are_played_on_the_same_layouts_and_say_what_they_cost(result):
    first, both = result
    assert [row["name"] for row in first["rows"]] == ["fm-full-2", "probe-2-c0.1"]
    full, adaptive, fixed = both["rows"]
    assert full["outcomes"].keys() == adaptive["outcomes"].keys() == fixed["outcomes"].keys()
    assert full["mean_exit_layer"] == LAYERS and full["backbone_saved"] == 0
    assert adaptive["mean_exit_layer"] < LAYERS and adaptive["backbone_saved"] > 0
    assert adaptive["tflops"] < full["tflops"]
    assert abs(fixed["tflops"] - adaptive["tflops"]) < 0.15 * full["tflops"]
    assert [row["shipped"] for row in both["rows"]] == [False, True, False]
    assert [(one["first"], one["second"]) for one in both["answers"][:1]] == [
        ("probe-2-c0.1", "fixed-2")
    ]


def test_each_row_is_bound_to_what_it_was_played_with(small, result):
    _, both = result
    shipped = (ROOT / "checkpoints/tiny/digest").read_text().strip()
    full, adaptive, _ = both["rows"]
    assert both["checkpoint_digest"] == shipped
    assert adaptive["checkpoint_digest"] != full["checkpoint_digest"]
    file = read_thresholds(small.parent / "out/table/thresholds/probe-2-c0.1.yaml")
    assert file.thresholds.bindings["checkpoint"] == adaptive["checkpoint_digest"]
    assert (file.distribution, file.parameter, file.fit) == ("exponential", 0.1, "mass")
