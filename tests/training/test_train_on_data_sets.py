"""`train` on LeRobot data sets: what can be used is, what cannot is named and counted."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

import published
from bag_rig import write_spec
from lerobot_rig import frame

from a1_core.chunk import is_gripper
from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_core.spec import load_spec
from a1_data.lerobot.writer import DatasetWriter, Frame
from a1_model.checkpoint import load_checkpoint
from a1_training import convert_checkpoint
from a1_training.train import main
from a1_world.shards import open_shards


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return load_spec(write_spec(tmp_path_factory.mktemp("spec") / "quick.yaml"))


@pytest.fixture
def write(tmp_path, spec):
    """A data set of three episodes of six moving frames."""

    def make(fps=10, names=spec.action_names):
        path = tmp_path / "set"
        with DatasetWriter(path, robot="franka", fps=fps, names=names) as writer:
            for episode in range(3):
                writer.add_episode(frame(6 * episode + number) for number in range(6))
            writer.finish()
        return path

    return make


@pytest.fixture
def train(tmp_path, spec, capsys):
    """Exit code, what was said, and where the checkpoint would lie."""

    def run(path, *more):
        code = main(
            [
                *("--recipe", "from-scratch", "--robot", str(spec.path), "--data", f"own={path}"),
                *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")),
                *("--steps", "1", "--images-per-step", "2", "--precision", "float32", *more),
            ]
        )
        return code, capsys.readouterr().out, tmp_path / "out"

    return run


def spoil(path, column, row):
    """Put NaN into a column of a row."""
    (file,) = (path / "data").rglob("*.parquet")
    table = pq.read_table(file)
    values = table[column].to_pylist()
    values[row] = [float("nan")] * len(values[row])
    kind = table.schema.field(column)
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, kind, pa.array(values, kind.type)), file)


def test_a_data_set_is_trained_on(write, train, spec, tmp_path):
    code, said, out = train(write())
    assert code == 0, said
    samples = open_shards(tmp_path / "work/samples/own")
    assert len(samples) == 18 and np.unique(samples.episode_N).tolist() == [0, 1, 2]
    loaded = load_checkpoint(out, spec)
    assert loaded.metadata["sources"]["own"]["samples"] == 18
    code, said, _ = train(tmp_path / "set")
    assert code == 0 and "left out" not in said  # made once


@pytest.mark.parametrize("column", ["action", "observation.state"])
def test_an_episode_with_nan_is_left_out_and_counted(write, train, tmp_path, column):
    path = write()
    spoil(path, column, 8)
    code, said, _ = train(path)
    assert code == 0, said
    assert "own: left out 1 (NON_FINITE), the first:" in said
    assert "episode 1:" in said and "is nan at frame 2, column 0" in said
    assert np.unique(open_shards(tmp_path / "work/samples/own").episode_N).tolist() == [0, 2]


def test_a_missing_video_is_named(write, train):
    path = write()
    video = next(iter(sorted((path / "videos").rglob("*.mp4"))))
    video.unlink()
    code, said, out = train(path)
    assert code == 1 and not out.exists()
    assert f"{video} is not there" in said
    assert "--data own: no sample of" in said and "VIDEO_MISSING 3" in said


def test_other_joints_are_refused_by_name(write, train, spec):
    names = ("elbow", *spec.action_names[1:])
    code, said, out = train(write(names=names))
    assert code == 1 and not out.exists()
    assert "meta/info.json" in said and f"no column {spec.action_names[0]}" in said


def test_other_names_and_units_can_be_said(write, train, spec, tmp_path):
    """Degrees become rad, joints find their places, and a wrong word is told."""
    names = [f"joint_{n}.pos" for n in range(spec.dim)]
    path = write(names=names)
    said_so = ["--columns", ",".join(names), "--degrees"]
    code, said, _ = train(path, *said_so)
    assert code == 0, said
    state_ND = open_shards(tmp_path / "work/samples/own").state_ND
    wanted_D = frame(0).state_D
    np.testing.assert_allclose(state_ND[0], [*np.deg2rad(wanted_D[:-1]), wanted_D[-1]], rtol=1e-6)
    code, said, _ = train(path, "--columns", ",".join(names))
    assert code == 1 and "delete the directory or choose another" in said
    code, said, _ = train(path, "--gripper", "nan:1")
    assert code == 1 and "--gripper is 'nan:1'; give CLOSED:OPEN" in said


def test_another_rate_is_refused_with_both_rates(write, train):
    code, said, out = train(write(fps=15))
    assert code == 1 and not out.exists()
    assert "meta/info.json: fps is 15, franka's policy wants a row every 0.1 s" in said


def two_arms(spec, number):
    """A frame of a robot with two arms, whose grippers never quite open or close."""
    pictures = list(frame(number).images.values())
    wave_D = np.sin(number / 5 + np.arange(spec.dim))
    state_D = np.where(grippers_of(spec), 0.5, wave_D).astype(np.float32)
    return Frame(
        images={name: pictures[k % 2] for k, name in enumerate(spec.camera_names)},
        state_D=state_D,
        action_D=state_D + np.float32(0.01),
        task="do it",
    )


def grippers_of(spec):
    return np.array([is_gripper(name) for name in spec.action_names])


def test_any_robot_is_trained_three_cameras_two_arms_other_chunks(train, root, tmp_path):
    """From its data set to a policy that acts; both grippers keep 0..1 as their bounds."""
    text = (root / "config/robots/aloha.yaml").read_text()
    assert "horizon: 16" in text
    path = tmp_path / "aloha.yaml"
    path.write_text(text.replace("horizon: 16", "horizon: 10"))
    aloha = load_spec(path)
    with DatasetWriter(
        tmp_path / "set", robot=aloha.robot, fps=10, names=aloha.action_names
    ) as writer:
        writer.add_episode(two_arms(aloha, number) for number in range(8))
        writer.finish()
    code, said, out = train(tmp_path / "set", "--robot", str(path))
    assert code == 0, said
    loaded = load_checkpoint(out, aloha)
    assert (loaded.config.horizon, loaded.config.dim) == (10, aloha.dim)
    grippers_D = grippers_of(aloha)
    assert grippers_D.sum() == 2
    for low, high in (
        (loaded.normaliser.state_low_D, loaded.normaliser.state_high_D),
        (loaded.normaliser.action_low_D, loaded.normaliser.action_high_D),
    ):
        assert (low[grippers_D] == 0.0).all() and (high[grippers_D] == 1.0).all()
        assert (high - low != 1.0)[~grippers_D].all()
    seen = two_arms(aloha, 3)
    observation = Observation(
        stamp_ns=1, images=seen.images, state_D=seen.state_D, instruction=seen.task
    )
    chunk = loaded.policy.act(observation, setting=ExitSetting(mode="full")).actions_HD
    assert chunk.shape == (10, aloha.dim) and np.isfinite(chunk).all()


@pytest.fixture
def molmo(tmp_path, spec):
    """A checkpoint converted for the robot, from random weights in Molmo's layout."""
    published.write_molmo(tmp_path / "molmo", published.molmo_tensors("model."))
    paths = [str(tmp_path / "molmo"), str(tmp_path / "start")]
    assert convert_checkpoint.main([*paths, "--from", "molmo", "--robot", str(spec.path)]) == 0
    return tmp_path / "start"


def test_a_network_that_pads_pictures_is_trained_on_whole_ones(train, spec, tmp_path, molmo):
    """As the live node shows them to it: neither cropped nor scaled."""
    with DatasetWriter(tmp_path / "set", robot="franka", fps=10, names=spec.action_names) as writer:
        writer.add_episode(frame(number, task="put it down") for number in range(4))
        writer.finish()
    code, said, out = train(tmp_path / "set", "--start", str(molmo))
    assert code == 0, said
    assert open_shards(tmp_path / "work/samples/own").image_size == (32, 48)
    assert load_checkpoint(out, spec).metadata["started_from"]


def test_a_start_for_another_robot_is_refused_by_field(write, train, tmp_path, molmo, root):
    (tmp_path / "short.yaml").write_text(
        (root / "config/robots/franka.yaml").read_text().replace("horizon: 16", "horizon: 8")
    )
    code, said, out = train(write(), "--start", str(molmo), "--robot", str(tmp_path / "short.yaml"))
    assert code == 1 and not out.exists()
    assert f"--start {molmo}: horizon: it has 16, the robot spec" in said and "short.yaml 8" in said


def test_a_kept_normaliser_is_of_the_same_action_space(write, train, tmp_path, spec):
    """Offsets read as positions would be nonsense of the right shape."""
    code, said, out = train(write())
    assert code == 0, said
    content = spec.path.read_text()
    assert "action_space: joint_delta" in content
    path = tmp_path / "absolute.yaml"
    path.write_text(content.replace("action_space: joint_delta", "action_space: joint_position"))
    code, said, _ = train(
        tmp_path / "set",
        *("--recipe", "fine-tune", "--start", str(out), "--robot", str(path)),
        *("--work", str(tmp_path / "other"), "--out", str(tmp_path / "tuned")),
    )
    assert code == 1 and not (tmp_path / "tuned").exists()
    assert "action_space: its numbers are joint_delta" in said and "joint_position" in said


def test_sources_of_one_run_have_one_size_of_pictures(write, train, folders):
    path = write()
    code, said, _ = train(path, "--data", f"own={path}", f"sim={folders['scenes']}")
    assert code == 1
    assert "'own': (128, 128)" in said and "'sim': (32, 32)" in said
