"""The scripted expert is recorded by the real recorder, and what comes out trains a policy."""

from pathlib import Path

import numpy as np
import pytest

from a1_core.spec import load_spec
from a1_data.reader import ReadSettings, open_bags
from a1_recorder import export
from a1_sim import record_expert
from a1_sim.loop import RECIPE
from a1_sim.plans import EXPERT_SEED
from a1_training import train
from a1_world.layout import make_layout
from a1_world.shards import open_shards


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, robot: Path) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "bags"
    simulator = robot.parents[1] / "sim_knocked_camera.yaml"
    arguments = ["--out", str(folder), "--tasks", "touch", "--robot", str(robot)]
    record_expert.main([*arguments, "--simulator", str(simulator), "--episodes", "1"])
    before = sorted(folder.glob("franka_*"))
    # The first one stays when more are asked for.
    record_expert.main([*arguments, "--simulator", str(simulator), "--episodes", "2"])
    assert len(before) == 1 and before[0] in folder.glob("franka_*")
    return folder


def test_bags_hold_one_episode_each_with_what_was_asked_and_how_it_went(recorded, robot) -> None:
    bags = open_bags(recorded, load_spec(robot), ReadSettings())
    layouts = [make_layout(EXPERT_SEED + n) for n in range(2)]
    wanted = [f"touch the {layout.colours[layout.named]} cube" for layout in layouts]
    assert [bag.files.custom["instruction"] for bag in bags] == wanted
    assert {bag.files.custom["outcome"] for bag in bags} == {"success"}
    assert all(bag.files.custom["driver"].startswith("expert ") for bag in bags)
    for bag in bags:
        frames = list(bag.frames())
        assert len(frames) > 8
        # The layout stood when recording began: the arm starts where episodes do.
        start_J = frames[0].observation.state_D[:7]
        assert min(np.abs(start_J - layout.start_q).max() for layout in layouts) < 0.02


def test_what_was_recorded_becomes_a_data_set_that_the_shipped_policy_learns_from(
    recorded, robot, stage, tmp_path
) -> None:
    dataset, work, out = (tmp_path / name for name in ("dataset", "work", "checkpoint"))
    export.main(["--to", "lerobot", str(recorded), "--out", str(dataset), "--trim"])
    status = train.main(
        [
            *("--recipe", RECIPE, "--robot", str(robot), "--start", str(stage.checkpoint)),
            *("--data", f"recorded={dataset}", "--work", str(work), "--out", str(out)),
            *("--steps", "1", "--images-per-step", "2"),
        ]
    )
    assert status == 0
    samples = open_shards(work / "samples/recorded")
    assert samples.action_valid_N.all() and samples.end_N.sum() == 2
    assert np.abs(samples.actions_NHD[:, 10, :7]).max() > 0.05
    kept = (stage.checkpoint / "normaliser.json").read_text()
    assert (out / "normaliser.json").read_text() == kept
