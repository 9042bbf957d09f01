"""What evaluation and demonstration make of episodes: plans, ledger, table, pictures. No ROS."""

import dataclasses
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import av
import cv2
import numpy as np
import pytest
from a1_msgs.msg import EpisodeState

from a1_core.errors import A1Error
from a1_sim import summary
from a1_sim.demo import summarise
from a1_sim.film import pictures, write_film
from a1_sim.ledger import Cell, Ledger, digest
from a1_sim.plans import (
    TASKS,
    demonstration_plans,
    evaluation_plans,
    learnt_kinds,
    learnt_tasks,
    table_plans,
)
from a1_sim.plots import plot_exits
from a1_sim.records import EpisodeRecord, ExitSample, StepRecord
from a1_sim.sensors import GRAINS, with_grain
from a1_sim.spectator import Footage
from a1_sim.system import launch_command
from a1_world.layout import FIRST_EVAL_SEED, make_layout
from a1_world.tasks import parse, parse_steps, vocabulary
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


@pytest.fixture
def certified() -> ModuleType:
    """bench/_certified.py, which measures the shipped thresholds."""
    path = Path(__file__).parents[2] / "bench/_certified.py"
    spec = importlib.util.spec_from_file_location("bench_certified", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_certified_thresholds_are_compared_on_layouts_that_all_differ(
    certified: ModuleType, tmp_path: Path
) -> None:
    plans = table_plans(learnt_kinds(vocabulary()), 50)
    assert len({plan.seed for plan in plans}) == len(plans) == certified.LEAST_PAIRS
    ledger = Ledger(tmp_path / "episodes.jsonl", "one")
    for place, plan in enumerate(plans):
        for setting in ("full", "adaptive"):
            lost = (setting, place) == ("adaptive", 7)
            played = record(plan.seed, success=not lost, layers=(8,) if setting == "full" else (4,))
            ledger.add(Cell(task=plan.task, setting=setting, clock="lockstep"), played)
            if (setting, place) == ("full", len(plans) - 1):
                assert len(certified.pairs_of(ledger, plans)) == len(plans) - 1
                with pytest.raises(A1Error, match="199 layouts were played"):
                    certified.closed_loop(certified.pairs_of(ledger, plans))
    found = certified.closed_loop(certified.pairs_of(ledger, plans))
    assert found["pairs"] == 200
    assert found["compute_saved"] == 0.5
    assert found["success_loss"] == pytest.approx(1 / 200)
    assert found["success_loss"] < found["success_loss_high"] < 0.03


def test_without_a_certificate_figures_are_none_and_say_why(
    certified: ModuleType, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Path(certified.ROOT) / "config/thresholds/franka_tiny.yaml"
    file = dataclasses.replace(certified.read_thresholds(bare), certificate=None)
    monkeypatch.setattr(certified, "read_thresholds", lambda _: file)
    rows = certified.certified_rows(play=True)
    assert [row["value"] for row in rows] == [None] * len(certified.NAMES)
    told = capsys.readouterr()
    assert told.out == "" and "carries no certificate" in told.err


def test_exchanged_plans_differ_from_the_plain_ones_in_the_word_only() -> None:
    plain, exchanged = (list(evaluation_plans(t, 5)) for t in ("touch", "touch_exchanged"))
    for a, b in zip(plain, exchanged, strict=True):
        assert a.seed == b.seed >= FIRST_EVAL_SEED
        assert a.kind == b.kind == "touch"
        assert a.colour != b.colour
        assert {a.colour, b.colour} <= set(make_layout(a.seed).colours)
    assert {plan.timeout_s for plan in evaluation_plans("bowl", 2)} == {25.0}


@pytest.mark.parametrize("task", ["bowl_then_touch", "touch_then_bowl", "push_then_stack"])
def test_long_plans_ask_for_different_cubes_that_are_there(task: str) -> None:
    for plan in evaluation_plans(task, 6):
        steps = [parse(sentence) for sentence in plan.steps]
        assert tuple(step.kind for step in steps) == TASKS[task]
        colours = make_layout(plan.seed).colours
        assert steps[0].colour == colours[make_layout(plan.seed).named]
        assert len({step.colour for step in steps}) == 2
        for step in steps:
            assert step.target in (None, *(set(colours) - {other.colour for other in steps}))
        assert plan.timeout_s == sum(
            next(evaluation_plans(kind, 1)).timeout_s for kind in TASKS[task]
        )
        assert (plan.kind, plan.colour) == ("", "")


def test_what_a_policy_has_learnt_is_told_by_its_words() -> None:
    some = {"touch", "the", "red", "green", "blue", "cube", "put", "in", "bowl", "<pad>"}
    assert learnt_tasks(some) == (
        "touch", "touch_exchanged", "bowl", "bowl_then_touch", "touch_then_bowl",
    )  # fmt: skip
    assert learnt_tasks(vocabulary()) == tuple(TASKS)
    assert learnt_kinds(some) == ("touch", "bowl")
    assert learnt_kinds(vocabulary()) == ("touch", "bowl", "stack", "push")
    with pytest.raises(A1Error, match="learnt some of touch"):
        learnt_tasks({"fold", "the", "shirt"})


def test_a_demonstration_shows_what_was_learnt_and_several_colours() -> None:
    plans = demonstration_plans(5, tuple(TASKS))
    assert [plan.task for plan in plans] == ["touch", "bowl", "bowl_then_touch", "stack", "push"]
    assert len({plan.colour for plan in plans}) >= 4
    few = demonstration_plans(5, ("bowl", "touch"))
    assert [plan.task for plan in few] == ["touch", "bowl", "touch", "bowl", "touch"]


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


LONG = ("put the red cube in the bowl", "touch the blue cube")


def long_record(seed: int, *times_s: tuple[float | None, float | None]) -> EpisodeRecord:
    """An episode of two steps; of each when it was done, and when the policy said so."""
    steps = tuple(
        StepRecord(instruction=text, done_s=done, fired_s=fired)
        for text, (done, fired) in zip(LONG, times_s, strict=True)
    )
    one = record(seed, success=all(step.done_s is not None for step in steps))
    return dataclasses.replace(one, task="bowl_then_touch", steps=steps)


def test_a_long_episode_is_kept_with_its_steps(tmp_path: Path) -> None:
    cell = dataclasses.replace(FULL, task="bowl_then_touch")
    one = long_record(1, (5.0, 5.4), (None, None))
    Ledger(tmp_path / "episodes.jsonl", "b").add(cell, one)
    assert Ledger(tmp_path / "episodes.jsonl", "b").records(cell) == {1: one}
    assert one.steps_done == 1
    assert one.steps[0].late_s == pytest.approx(0.4)
    assert one.steps[1].late_s is None


def test_rows_tell_how_far_long_tasks_came_and_when_the_policy_moved_on(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "episodes.jsonl", "b")
    cell = dataclasses.replace(FULL, task="bowl_then_touch")
    ledger.add(FULL, record(1))
    ledger.add(cell, long_record(1, (5.0, 5.2), (7.0, 7.4)))
    ledger.add(cell, long_record(2, (5.0, 4.95), (7.0, None)))
    ledger.add(cell, long_record(3, (5.0, 4.5), (None, 7.0)))
    plain, long = summary.write(tmp_path, ledger, {})["rows"]
    assert (plain["steps"], plain["steps_done"], plain["moving_on"]) == (1, 1.0, None)
    assert (long["steps"], long["steps_done"]) == (2, pytest.approx(5 / 3))
    moved = long["moving_on"]
    assert (moved["fired"], moved["early"], moved["never"]) == (5, 2, 1)
    assert moved["late_s_p50"] == pytest.approx(0.2)
    text = (tmp_path / "summary.md").read_text()
    assert "| 1.67 of 2 |" in text and "| 1.00 of 1 |" in text
    assert "| bowl_then_touch | full | lockstep | 5 | 2 | 1 | +0.2 | +0.4 |" in text


def test_all_tasks_fit_into_table_and_picture(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "episodes.jsonl", "b")
    for task in TASKS:
        for setting in ("full", "adaptive"):
            ledger.add(Cell(task=task, setting=setting, clock="lockstep"), record(1))
    assert len(summary.write(tmp_path, ledger, {})["rows"]) == 2 * len(TASKS)
    height, width = cv2.imread(str(tmp_path / "summary.png")).shape[:2]
    assert width < 2200 and height > 600


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
                seed=seed, instruction=task.instruction, steps=[task.instruction]
            )
            for camera in ("front", "wrist"):
                footage.pictures.setdefault(camera, {})[stamp] = world.render(camera)
        del footage.pictures["wrist"][300]
    frames = write_film(tmp_path / "run.mp4", [footage])
    with av.open(str(tmp_path / "run.mp4")) as film:
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(shown) == frames >= 3
    assert shown[0].shape == (480, 720, 3)
    assert shown[0].std() > 20


def test_the_film_of_a_long_task_shows_its_scene_and_the_step_in_hand() -> None:
    layout = make_layout(FIRST_EVAL_SEED)
    red, blue = layout.colours[:2]
    sentence = f"push the {red} cube to the square, then touch the {blue} cube"
    texts = [step.instruction for step in parse_steps(sentence)]
    footage = Footage()
    with World(image_size=32) as world:
        world.reset(FIRST_EVAL_SEED, parse_steps(sentence))
        for stamp, done in ((100, 0), (200, 1)):
            footage.qpos[stamp] = world.data.qpos.copy()
            footage.episodes[stamp] = EpisodeState(
                seed=FIRST_EVAL_SEED, instruction=sentence, steps=texts, steps_done=done
            )
        before, after = pictures(footage, world)
        assert world.square_shown
    assert (before[370:400] != after[370:400]).any()
    np.testing.assert_array_equal(before[:360], after[:360])


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
