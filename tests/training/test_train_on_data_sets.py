"""`train` on LeRobot data sets: what can be used is, what cannot is named and counted."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from bag_rig import write_spec
from lerobot_rig import frame

from a1_core.spec import load_spec
from a1_data.lerobot.writer import DatasetWriter
from a1_model.checkpoint import load_checkpoint
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

    def run(path):
        code = main(
            [
                *("--recipe", "from-scratch", "--robot", str(spec.path), "--data", f"own={path}"),
                *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")),
                *("--steps", "1", "--images-per-step", "2", "--precision", "float32"),
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


def test_another_rate_is_refused_with_both_rates(write, train):
    code, said, out = train(write(fps=15))
    assert code == 1 and not out.exists()
    assert "meta/info.json: fps is 15, franka's policy wants a row every 0.1 s" in said
