"""Which ticks are named, and why."""

import csv
import json

import pytest
from open_loop_rig import EXITS, INSTRUCTION, MS, START, KnownPolicy, trace, write_run

from a1_core.deviation import DeviationMeter
from a1_core.policy import ExitSetting
from a1_data.reader import ReadSettings, open_bags
from a1_policy_node.mine import main
from a1_policy_node.mining import (
    MinedTick,
    computed_ticks,
    mark_deepest,
    merged,
    moments,
    recorded_ticks,
)
from a1_policy_node.open_loop import run_open_loop

TAKEN_OVER_MS = 2_050
# ms of the observation: exit; deepest at 1500, at 3000 as deep but nearer to leaving before.
DRIVEN = {at_ms: trace(0) for at_ms in range(0, 4_000, 300)} | {
    1_500: trace(3, excess=5.0),
    3_000: trace(3, excess=1.2),
}


@pytest.fixture(scope="module")
def driven(folder, spec):
    """A policy drove; at 2.05 s a person took over."""
    return write_run(
        folder / "driven", spec, exits=DRIVEN, taken_over_ns=START + TAKEN_OVER_MS * MS
    )


def bag_of(path, spec):
    (bag,) = open_bags(path, spec, ReadSettings())
    return bag


def test_what_was_recorded_is_read(driven, spec):
    ticks = recorded_ticks(bag_of(driven, spec))
    assert [tick.stamp_ns for tick in ticks] == [START + at * MS for at in sorted(DRIVEN)]
    assert ticks[5].time_s == pytest.approx(1.5)
    assert (ticks[5].exit_layer, ticks[5].depth) == (4, 1.0)
    assert (ticks[5].excess, ticks[10].excess) == (5.0, 1.2)
    assert {tick.instruction for tick in ticks} == {INSTRUCTION}
    # The chunk in hand when the person took over, and no other.
    assert [tick.time_s for tick in ticks if tick.reasons] == [pytest.approx(1.8)]


def test_the_deepest_are_those_farthest_from_leaving(driven, spec):
    ticks = recorded_ticks(bag_of(driven, spec))
    mark_deepest(ticks, 1 / len(ticks))
    assert [tick.time_s for tick in ticks if "deep" in tick.reasons] == [pytest.approx(1.5)]
    ticks = recorded_ticks(bag_of(driven, spec))
    mark_deepest(ticks, 1.0)
    assert [t.time_s for t in ticks if "deep" in t.reasons] == pytest.approx([1.5, 3.0])


def test_where_all_are_equally_deep_depth_says_nothing():
    ticks = [
        MinedTick(bag="b", episode=0, instruction="", stamp_ns=n, exit_layer=4, depth=1.0)
        for n in range(5)
    ]
    mark_deepest(ticks, 0.2)
    assert not any(tick.reasons for tick in ticks)


def test_neighbours_of_a_better_tick_are_one_moment_with_it():
    def tick(at_ms: int, episode: int = 0) -> MinedTick:
        stamp_ns = at_ms * MS
        return MinedTick(
            bag="b", episode=episode, instruction="", stamp_ns=stamp_ns, exit_layer=1, depth=1.0
        )

    found = [tick(3000), tick(3900), tick(4000), tick(3100, episode=1), tick(2500)]
    assert [each.stamp_ns // MS for each in moments(found)] == [3000, 4000, 3100]


def test_the_audit_disagrees_where_full_depth_says_otherwise(driven, spec):
    bag, meter = bag_of(driven, spec), DeviationMeter(spec, 0.5, "rad")
    policy, full = KnownPolicy(spec, taken=1), ExitSetting(mode="full")
    run = run_open_loop(bag, spec, policy, full, period_s=0.3, batch=8)
    # Half of the motion of the rows up to 0.4 s is left out.
    apart = (1 - 2 / EXITS) * 0.2 * 0.4
    loose = computed_ticks(bag, run, meter, (1.01 * apart, 0.1))
    assert [tick.deviation for tick in loose] == pytest.approx([1 / 1.01] * len(loose), abs=1e-4)
    assert not any(tick.reasons for tick in loose)
    strict = computed_ticks(bag, run, meter, (0.99 * apart, 0.1))
    assert all(tick.reasons == ["audit"] for tick in strict)
    both = merged(recorded_ticks(bag), loose)
    assert len(both) == len(loose)
    assert [t.time_s for t in both if "corrected" in t.reasons] == [pytest.approx(1.8)]


def test_the_command_lists_the_best_first(driven, spec, tmp_path, capsys):
    out = tmp_path / "out"
    main([str(driven), "--robot", str(spec.path), "--out", str(out), "--deepest", "0.08"])
    told = json.loads((out / "mine.json").read_text())
    assert told["ticks_looked_at"] == len(DRIVEN)
    assert told["reasons"] == {"corrected": 1, "deep": 1}
    assert [tick["reasons"] for tick in told["ticks"]] == [["corrected"], ["deep"]]
    with (out / "mine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["reasons"] for row in rows] == ["corrected", "deep"]
    assert [float(row["time_s"]) for row in rows] == pytest.approx([1.8, 1.5])
    assert (out / "mine.png").read_bytes().startswith(b"\x89PNG")
    assert "1 corrected, 1 deep" in capsys.readouterr().out


def test_a_bag_that_no_policy_drove_needs_a_checkpoint(run_bag, spec, checkpoint, tmp_path, capsys):
    arguments = [str(run_bag), "--robot", str(spec.path), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 1
    assert "--checkpoint" in capsys.readouterr().out
    main([*arguments, "--checkpoint", str(checkpoint), "--period", "0.5"])
    told = json.loads((tmp_path / "out/mine.json").read_text())
    # At full depth there is nothing to disagree with, and all ticks are equally deep.
    assert (told["ticks"], told["reasons"]) == ([], {})
    assert told["ticks_looked_at"] >= 7
    assert (tmp_path / "out/mine.csv").read_bytes() == b""
