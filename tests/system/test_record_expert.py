"""The scripted expert is recorded by the real recorder; what comes out is replayed and trains."""

import gc
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter

from a1_core.spec import load_spec
from a1_data.reader import ReadSettings, open_bags
from a1_recorder import export
from a1_recorder.replay import Replayer, recording_of
from a1_ros.compose import Composition
from a1_sim import record_expert
from a1_sim.loop import RECIPE
from a1_sim.plans import EXPERT_SEED, recording_plans
from a1_sim.stage import OPERATOR, SIMULATOR
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


@pytest.mark.parametrize("action", ["chunks", "commanded"])
def test_what_was_recorded_moves_the_arm_again(recorded, robot, action) -> None:
    bag = open_bags(recorded, load_spec(robot), ReadSettings())[0]
    states = np.array([frame.observation.state_D for frame in bag.frames()])
    recording, _ = recording_of(bag.files, action=action, robot=str(robot))
    (plan,) = recording_plans(["touch"], 1, EXPERT_SEED)
    parameters = {
        SIMULATOR: {"robot": str(robot), "image_size": 64, "speed": 0.5},
        "controller": {"robot": str(robot), "use_sim_time": True, "hardware": False},
    }
    rclpy.init()
    try:
        with Composition([*parameters, OPERATOR], parameters=parameters) as composition:
            composition.bring_up()
            operator = composition.nodes[OPERATOR]
            operator.watch_controller()
            operator.wait_ready(policy=False)
            operator.reset(plan)
            operator.arm()
            replayer = Replayer(
                recording.chunks,
                use_global_arguments=False,
                parameter_overrides=[Parameter("use_sim_time", value=True)],
            )
            composition.executor.add_node(replayer)
            operator.wait_for(lambda: replayer.done, "the replay", 60.0)
            ended = np.array(operator.controller.measured)
            composition.executor.remove_node(replayer)
            replayer.destroy_node()
    finally:
        rclpy.try_shutdown()
        # Nodes hang in reference cycles, and the DDS participant with them.
        gc.collect()
    assert set(replayer.verdicts) == {"ACCEPTED"}, replayer.refused
    went, wanted = ended[:7] - states[0, :7], states[-1, :7] - states[0, :7]
    assert np.abs(wanted).max() > 0.2
    assert np.linalg.norm(went - wanted) < 0.25 * np.linalg.norm(wanted)


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
