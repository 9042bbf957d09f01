"""What evaluation and demonstration make of episodes: plans, ledger, table, pictures. No ROS."""

import dataclasses
import json
from pathlib import Path

import av
import numpy as np
import pytest
from a1_msgs.msg import EpisodeState

from a1_core.errors import A1Error
from a1_sim import summary
from a1_sim.demo import summarise
from a1_sim.film import write_film
from a1_sim.ledger import Cell, Ledger, digest
from a1_sim.plans import demonstration_plans, evaluation_plans
from a1_sim.plots import plot_exits
from a1_sim.records import EpisodeRecord, ExitSample
from a1_sim.sensors import GRAINS, with_grain
from a1_sim.spectator import Footage
from a1_sim.system import launch_command
from a1_world.layout import FIRST_EVAL_SEED, make_layout
from a1_world.world import World

FULL = Cell(task="touch", setting="full", clock="lockstep")
ADAPTIVE = dataclasses.replace(FULL, setting="adaptive")


def sample(layer: int = 8, time_s: float = 0.0, phase: str = "approach") -> ExitSample:
    return ExitSample(
        time_s=time_s,
        phase=phase,
        exit_layer=layer,
        num_layers=8,
        depth_fraction=layer / 8,
        flops_fraction=0.2 + 0.1 * layer,
        inference_ms=10.0 + layer,
        chunk_ms=30.0 + layer,
    )


def record(seed: int, success: bool = True, layers: tuple[int, ...] = (8,)) -> EpisodeRecord:
    return EpisodeRecord(
        task="touch",
        kind="touch",
        seed=seed,
        colour="red",
        instruction="touch the red cube",
        success=success,
        failed=not success,
        reason="success" if success else "failed",
        elapsed_s=2.0,
        wall_s=0.5,
        clock_rate=1.0,
        refused=0,
        refusal="",
        exits=tuple(sample(layer, 0.3 * i) for i, layer in enumerate(layers)),
    )


def test_exchanged_plans_differ_from_the_plain_ones_in_the_word_only() -> None:
    plain, exchanged = (list(evaluation_plans(t, 5)) for t in ("touch", "touch_exchanged"))
    for a, b in zip(plain, exchanged, strict=True):
        assert a.seed == b.seed >= FIRST_EVAL_SEED
        assert a.kind == b.kind == "touch"
        assert a.colour != b.colour
        assert {a.colour, b.colour} <= set(make_layout(a.seed).colours)
    assert {plan.timeout_s for plan in evaluation_plans("bowl", 2)} == {25.0}


def test_a_demonstration_shows_both_tasks_and_several_colours() -> None:
    plans = demonstration_plans(5)
    assert {plan.kind for plan in plans} == {"touch", "bowl"}
    assert len({plan.colour for plan in plans}) >= 4


def test_a_ledger_is_taken_up_again_and_bound_to_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    Ledger(path, "one").add(FULL, record(1, layers=(4, 8)))
    again = Ledger(path, "one")
    assert again.has(FULL, 1) and not again.has(FULL, 2) and not again.has(ADAPTIVE, 1)
    assert again.records(FULL) == {1: record(1, layers=(4, 8))}
    with pytest.raises(A1Error, match="another checkpoint"):
        Ledger(path, "two")
    assert Ledger(path, "two", fresh=True).cells() == []
    path.write_text("{}\n")
    with pytest.raises(A1Error, match="line 1"):
        Ledger(path, "one")


def test_the_digest_sees_contents_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    before = digest([tmp_path])
    (tmp_path / "a").write_text("y")
    assert digest([tmp_path]) != before
    (tmp_path / "a").write_text("x")
    assert digest([tmp_path]) == before


def test_rows_count_and_compare_the_same_layouts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "episodes.jsonl", "b")
    for seed in range(10):
        ledger.add(FULL, record(seed, success=seed != 0))
    for seed in range(8):
        ledger.add(ADAPTIVE, record(seed, success=seed > 1, layers=(2, 4)))
    written = summary.write(tmp_path, ledger, {"checkpoint": "tiny"})
    full, adaptive = written["rows"]
    assert (full["successes"], full["episodes"], full["success_rate"]) == (9, 10, 0.9)
    assert full["interval95"][0] < 0.9 < full["interval95"][1]
    assert adaptive["mean_depth_fraction"] == pytest.approx(3 / 8)
    assert adaptive["latency_ms_p50"] == pytest.approx(13.0)
    assert full["ended"] == {"failed": 1, "success": 9}
    (difference,) = written["comparisons"]
    assert (difference["first"], difference["second"]) == ("adaptive", "full")
    assert difference["episodes"] == 8
    assert difference["difference"] == pytest.approx(-1 / 8)
    assert json.loads((tmp_path / "summary.json").read_text()) == written
    assert "| touch | full | lockstep | 10 | 0.90 |" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "summary.png").stat().st_size > 5000


def test_fixed_depth_is_chosen_for_equal_cost() -> None:
    prices = {1: 0.35, 3: 0.55, 5: 0.8, 7: 1.0}
    chosen = [summary.equal_cost_exit(cost, prices) for cost in (0.1, 0.5, 0.7, 1.2)]
    assert chosen == [1, 3, 5, 7]


def test_summary_of_a_demonstration_has_the_figures_promised() -> None:
    figures = summarise([record(1, layers=(2, 4)), record(2, success=False)])
    assert (figures["episodes"], figures["successes"]) == (2, 1)
    assert figures["chunk_latency_ms_p50"] == pytest.approx(34.0)
    assert figures["chunk_latency_ms_p95"] > figures["chunk_latency_ms_p50"]
    assert figures["runs"][0]["instruction"] == "touch the red cube"
    assert figures["runs"][0]["exit_layers"] == [2, 4]


def test_exits_are_drawn(tmp_path: Path) -> None:
    plot_exits(tmp_path / "exits.png", [record(1, layers=(2, 4, 8)), record(2, layers=())])
    assert (tmp_path / "exits.png").stat().st_size > 5000


def test_the_film_shows_what_was_seen(tmp_path: Path) -> None:
    seed = FIRST_EVAL_SEED
    footage = Footage(exits=[(100, 3, 8)])
    with World(image_size=32) as world:
        task = world.reset(seed, kind="touch")
        for stamp in (100, 200, 300):
            footage.qpos[stamp] = world.data.qpos.copy()
            footage.episodes[stamp] = EpisodeState(
                seed=seed, kind="touch", colour=task.colour, instruction=task.instruction
            )
            for camera in ("front", "wrist"):
                footage.pictures.setdefault(camera, {})[stamp] = world.render(camera)
        del footage.pictures["wrist"][300]
    frames = write_film(tmp_path / "run.mp4", [footage])
    with av.open(str(tmp_path / "run.mp4")) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(pictures) == frames >= 3
    assert pictures[0].shape == (480, 720, 3)
    assert pictures[0].std() > 20


def test_grain_changes_almost_nothing_and_never_repeats() -> None:
    picture = np.full((64, 64, 3), 100, np.uint8)
    a, b = with_grain(picture, 1), with_grain(picture, 2)
    assert (a != b).any()
    assert np.array_equal(a, with_grain(picture, 1))
    assert 0 < np.count_nonzero(a != picture) <= GRAINS
    assert np.abs(a.astype(int) - picture).max() == 1


def test_ros2_launch_is_used_where_it_exists(monkeypatch) -> None:
    arguments = {"domain": "7", "mode": "full"}
    monkeypatch.setattr("shutil.which", lambda name: "/opt/ros/jazzy/bin/ros2")
    assert launch_command("sim.launch.xml", arguments)[:4] == [
        "ros2",
        "launch",
        "a1_bringup",
        "sim.launch.xml",
    ]
    monkeypatch.setattr("shutil.which", lambda name: None)
    command = launch_command("sim.launch.xml", arguments)
    assert command[1:3] == ["-m", "a1_ros.launch_reader.main"]
    assert command[-2:] == ["domain:=7", "mode:=full"]
