"""Data sets on disk: ours against one that LeRobot itself wrote, and what is wrong with others."""

import json
import shutil
from pathlib import Path

import lerobot_golden as golden
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_rig import CODEC_MEAN, away, frame

from a1_core.errors import DatasetError
from a1_core.spec import load_spec
from a1_data.lerobot.columns import Columns, Naming
from a1_data.lerobot.dataset import Dataset
from a1_data.lerobot.episode_filters import (
    Dropped,
    Wanted,
    sound_episodes,
    still_ends,
    still_frames,
)
from a1_data.lerobot.writer import DatasetWriter, Frame

GOLDEN = Path(golden.__file__).parent / "lerobot"
FRANKA = Path(__file__).parents[2] / "config/robots/franka.yaml"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
DATA = "data/chunk-000/file-000.parquet"
VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"
CAMERAS = {"front": "observation.images.front", "wrist": "observation.images.wrist"}


def golden_frames(episode: int):
    for number in range(golden.LENGTHS[episode]):
        state, action = golden.numbers(episode, number)
        images = {camera: golden.picture(camera, episode, number) for camera in CAMERAS}
        yield Frame(images=images, state_D=state, action_D=action, task=golden.TASKS[episode])


@pytest.fixture
def ours(tmp_path) -> Path:
    """The content of the golden data set, written by us."""
    with DatasetWriter(
        tmp_path / "ours", robot="franka", fps=golden.FPS, names=golden.NAMES
    ) as writer:
        for episode in range(len(golden.LENGTHS)):
            writer.add_episode(golden_frames(episode), {"outcome": "success"})
        return writer.finish()


@pytest.fixture
def spec():
    return load_spec(FRANKA)


def write(path: Path, lengths=(4, 3), **options) -> Path:
    names = [f"fr3_joint{n}" for n in range(1, 8)] + ["gripper"]
    with DatasetWriter(path, robot="franka", fps=10, names=names, **options) as writer:
        for length in lengths:
            writer.add_episode(frame(number) for number in range(length))
        return writer.finish()


def sound(path: Path, spec, **wanted):
    dataset, dropped = Dataset(path), Dropped()
    found = list(sound_episodes(dataset, Columns(dataset, spec), Wanted(**wanted), dropped))
    return [episode.index for episode, _ in found], dropped


def change(path: Path, column: str, values) -> None:
    """Another column in a parquet file."""
    table = pq.read_table(path)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values, table[column].type)), path)


def test_what_lerobot_wrote_is_read(spec):
    dataset = Dataset(GOLDEN)
    assert dataset.info.robot_type == "franka"
    assert [episode.length for episode in dataset.episodes] == list(golden.LENGTHS)
    for episode in dataset.episodes:
        rows = Columns(dataset, spec).robot_rows(dataset.rows(episode))
        assert rows.tasks == (golden.TASKS[episode.index],) * episode.length
        for number, images in enumerate(dataset.images(episode, CAMERAS)):
            state, action = golden.numbers(episode.index, number)
            np.testing.assert_array_equal(rows.state_TD[number], state)
            np.testing.assert_array_equal(rows.action_TD[number], action)
            for camera, rgb in images.items():
                assert away(rgb, golden.picture(camera, episode.index, number)) < CODEC_MEAN
                assert away(rgb, golden.picture(camera, episode.index, number + 4)) > CODEC_MEAN


@pytest.mark.parametrize("file", [EPISODES, DATA])
def test_tables_have_the_columns_and_types_that_lerobot_gives_them(ours, file):
    def columns(path):
        kinds = {field.name: str(field.type) for field in pq.read_schema(path / file)}
        return {name: kind for name, kind in kinds.items() if "next.done" not in name}

    assert columns(ours) == columns(GOLDEN)
    assert pq.read_metadata(ours / file).num_row_groups == len(golden.LENGTHS)


def test_tasks_are_an_index_as_pandas_has_them(ours):
    theirs = pq.read_table(GOLDEN / "meta/tasks.parquet")
    table = pq.read_table(ours / "meta/tasks.parquet")
    assert table["task_index"].to_pylist() == theirs["task_index"].to_pylist()
    assert table["task"].to_pylist() == theirs["__index_level_0__"].to_pylist()
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_info_says_what_lerobot_says(ours):
    mine, theirs = (json.loads((p / "meta/info.json").read_text()) for p in (ours, GOLDEN))
    for info in (mine, theirs):
        info["features"].pop("next.done", None)
        for feature in info["features"].values():
            # The codec is another one, and LeRobot has changed what else it notes.
            described = feature.pop("info", {})
            assert described.get("video.fps", golden.FPS) == golden.FPS
    assert mine == theirs


def test_statistics_are_those_of_lerobot(ours):
    mine, theirs = (json.loads((p / "meta/stats.json").read_text()) for p in (ours, GOLDEN))
    theirs.pop("next.done")
    assert mine.keys() == theirs.keys()
    for key, values in theirs.items():
        assert mine[key].keys() == values.keys()
        for name, value in values.items():
            assert np.shape(mine[key][name]) == np.shape(value), (key, name)
        # lerobot 0.4.4 squares pictures as bytes, so their std overflows; later ones do not.
        names = ("min", "max", "mean", "count") + ("std",) * ("images" not in key)
        for name in names:
            np.testing.assert_allclose(mine[key][name], values[name], atol=2e-3)


def test_quantiles_are_of_all_frames_together(ours):
    states = np.array(
        [golden.numbers(e, f)[0] for e, n in enumerate(golden.LENGTHS) for f in range(n)]
    )
    stats = json.loads((ours / "meta/stats.json").read_text())
    for name, quantile in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):
        wanted = np.quantile(states.astype(float), quantile, axis=0)
        np.testing.assert_allclose(stats["observation.state"][name], wanted)
    pictures = np.array(
        [golden.picture("front", e, f) for e, n in enumerate(golden.LENGTHS) for f in range(n)]
    )
    for channel in range(3):
        wanted = np.quantile(pictures[..., channel], 0.9, method="inverted_cdf") / 255
        assert stats["observation.images.front"]["q90"][channel] == [[pytest.approx(wanted)]]


def test_pictures_in_tables_are_kept_bit_for_bit(tmp_path):
    dataset = Dataset(write(tmp_path / "set", pictures="image"))
    assert not (tmp_path / "set/videos").exists()
    images = list(dataset.images(dataset.episodes[1], CAMERAS))
    assert len(images) == 3
    for number, seen in enumerate(images):
        for camera, rgb in frame(number).images.items():
            np.testing.assert_array_equal(seen[camera], rgb)


def test_sides_of_a_picture_may_be_odd(tmp_path):
    with DatasetWriter(tmp_path / "set", robot="franka", fps=10, names=["a"] * 8) as writer:
        writer.add_episode(frame(number, size=(33, 47)) for number in range(3))
        writer.finish()
    dataset = Dataset(tmp_path / "set")
    (rgb, *_) = dataset.pictures(dataset.episodes[0], "observation.images.front")
    assert away(rgb, frame(0, size=(33, 47)).images["front"]) < CODEC_MEAN


def test_files_follow_each_other_when_they_are_full(tmp_path):
    rng = np.random.default_rng(0)

    def noisy(number: int) -> Frame:
        images = {"front": rng.integers(0, 256, (256, 256, 3), np.uint8)}
        return Frame(
            images=images, state_D=np.ones(1, np.float32), action_D=np.ones(1, np.float32), task="t"
        )

    for pictures, pattern in (("video", "videos/*/*/*.mp4"), ("image", "data/*/*.parquet")):
        path = tmp_path / pictures
        with DatasetWriter(
            path, robot="r", fps=10, names=["a"], pictures=pictures, data_mb=1, video_mb=1
        ) as writer:
            for _ in range(3):
                writer.add_episode(noisy(number) for number in range(16))
            writer.finish()
        dataset = Dataset(path)
        assert len(list(path.glob(pattern))) > 1
        for episode in dataset.episodes:
            assert len(dataset.rows(episode).tasks) == 16
            assert len(list(dataset.pictures(episode, "observation.images.front"))) == 16


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    frames = [frame(number) for number in range(4)]
    frames[2].action_D[1] = np.nan
    with (
        pytest.raises(DatasetError, match=r"episode 0, frame 2: action_D is .*nan.* finite"),
        DatasetWriter(tmp_path / "set", robot="r", fps=10, names=["a"] * 8) as writer,
    ):
        writer.add_episode(frames)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_is_never_written_over(ours):
    with pytest.raises(DatasetError, match=r"ours: is there already; choose another folder"):
        DatasetWriter(ours, robot="franka", fps=10, names=golden.NAMES)


def test_every_break_is_counted_by_its_name(tmp_path, spec):
    path = write(tmp_path / "set", lengths=(4, 3, 5, 4))
    assert sound(path, spec) == ([0, 1, 2, 3], Dropped())
    table = pq.read_table(path / DATA)
    states = table["observation.state"].to_pylist()
    states[4] = [float("nan")] * 8
    change(path / DATA, "observation.state", states)
    times = table["timestamp"].to_pylist()
    times[7:12] = [time * 2 for time in times[7:12]]
    change(path / DATA, "timestamp", times)
    kept, dropped = sound(path, spec, min_frames=5)
    assert kept == []
    assert dropped.counts == {"NON_FINITE": 1, "OTHER_RATE": 1, "TOO_SHORT": 2}
    assert "episode 1: state is nan at frame 0, column 0" in dropped.details["NON_FINITE"]
    with pytest.raises(DatasetError, match=r"NON_FINITE: .*set: episode 1: state is nan"):
        sound(path, spec, strict=True)


def test_a_missing_and_a_short_video_are_told_apart(tmp_path, spec):
    path = write(tmp_path / "set")
    other = write(tmp_path / "other", lengths=(4,))
    shutil.copy(other / VIDEO, path / VIDEO)
    kept, dropped = sound(path, spec)
    assert kept == [0]
    assert dropped.counts == {"VIDEO_SHORT": 1}
    assert VIDEO in dropped.details["VIDEO_SHORT"]
    (path / VIDEO).unlink()
    kept, dropped = sound(path, spec)
    assert kept == []
    assert dropped.counts == {"VIDEO_MISSING": 2}
    with pytest.raises(DatasetError, match=r"file-000\.mp4: cannot be read"):
        list(Dataset(path).pictures(Dataset(path).episodes[0], CAMERAS["front"]))


def test_a_video_without_a_frame_is_told_when_it_is_read(tmp_path):
    path = write(tmp_path / "set")
    shutil.copy(write(tmp_path / "other", lengths=(5,)) / VIDEO, path / VIDEO)
    dataset = Dataset(path)
    assert len(list(dataset.pictures(dataset.episodes[0], CAMERAS["front"]))) == 4
    with pytest.raises(DatasetError, match=r"no frame at 0\.500 s, frame 1 of 3 of its episode"):
        list(dataset.pictures(dataset.episodes[1], CAMERAS["front"]))


@pytest.mark.parametrize(
    ("change_info", "message"),
    [
        ({"codebase_version": "v2.1"}, r"codebase_version is v2\.1, this reads v3\.0; convert it"),
        ({"fps": 0}, r"fps is 0; give a whole number"),
        ({"fps": float("nan")}, r"fps is nan; give a whole number"),
        ({"fps": float("inf")}, r"fps is inf; give a whole number"),
        ({"total_frames": "many"}, r"info\.json: total_frames is 'many'; write"),
        ({"total_episodes": 3}, r"total_episodes is 3, but meta/episodes holds 2"),
        ({"features": {}}, r"features has no vector 'observation\.state'"),
        ({"data_path": None}, r"is not there; copy the data set whole"),
    ],
)
def test_bad_metadata_is_named(tmp_path, change_info, message):
    path = write(tmp_path / "set")
    info = json.loads((path / "meta/info.json").read_text())
    (path / "meta/info.json").write_text(json.dumps(info | change_info))
    with pytest.raises(DatasetError, match=message):
        Dataset(path).rows(Dataset(path).episodes[0])


def test_a_damaged_table_of_episodes_is_named(tmp_path):
    path = write(tmp_path / "set")
    (table,) = (path / "meta/episodes").rglob("*.parquet")
    table.write_bytes(table.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"episodes/.*\.parquet: cannot be read"):
        Dataset(path)


def test_an_episode_without_frames_or_times_is_left_out(tmp_path, spec):
    path = write(tmp_path / "set")
    (table,) = (path / "meta/episodes").rglob("*.parquet")
    episodes = pq.read_table(table)
    ends = episodes["dataset_to_index"].to_pylist()
    empty = pa.array([0, *ends[1:]], pa.int64())
    at = episodes.schema.get_field_index("dataset_to_index")
    pq.write_table(episodes.set_column(at, "dataset_to_index", empty), table)
    data = pq.read_table(path / DATA)
    times = data["timestamp"].to_numpy().copy()
    numbers = data["episode_index"].to_numpy()
    times[np.flatnonzero(numbers == 1)[-1]] = np.nan
    at = data.schema.get_field_index("timestamp")
    data = data.set_column(at, "timestamp", pa.array(times))
    pq.write_table(data.filter(pa.array(numbers != 0)), path / DATA)
    kept, dropped = sound(path, spec)
    assert kept == [] and dropped.counts == {"TOO_SHORT": 1, "OTHER_RATE": 1}


def test_a_folder_that_is_no_data_set_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"info\.json: is not there; give the folder"):
        Dataset(tmp_path)


def test_other_joints_and_cameras_are_refused_by_name(tmp_path, spec):
    names = [f"joint_{n}.pos" for n in range(7)] + ["grip"]
    with DatasetWriter(tmp_path / "set", robot="so100", fps=10, names=names) as writer:
        writer.add_episode(frame(number) for number in range(3))
        writer.finish()
    dataset = Dataset(tmp_path / "set")
    with pytest.raises(DatasetError, match=r"no column fr3_joint1, .* of franka, but joint_0\.pos"):
        Columns(dataset, spec)
    with pytest.raises(DatasetError, match=r"2 names \(a, b\) for the 8 columns of franka"):
        Columns(dataset, spec, Naming(columns=("a", "b")))
    with pytest.raises(DatasetError, match=r"no pictures 'top' for camera front .* \(--camera"):
        Columns(dataset, spec, Naming(columns=tuple(names), cameras={"front": "top"}))
    with pytest.raises(DatasetError, match=r"franka has no rear, but front, wrist"):
        Columns(dataset, spec, Naming(columns=tuple(names), cameras={"rear": CAMERAS["front"]}))


def test_names_order_and_units_of_another_data_set_are_mapped(tmp_path, spec):
    names = ["grip", *(f"joint_{n}.pos" for n in range(7))]
    with DatasetWriter(tmp_path / "set", robot="other", fps=10, names=names) as writer:
        values = np.array([30.0, 10, 20, 30, 40, 50, 60, 70], np.float32)
        made = frame(0)
        writer.add_episode(
            [Frame(images=made.images, state_D=values, action_D=values, task="t")] * 2
        )
        writer.finish()
    dataset = Dataset(tmp_path / "set")
    naming = Naming(
        columns=(*names[1:], "grip"),
        cameras={"wrist": CAMERAS["front"], "front": CAMERAS["wrist"]},
        degrees=True,
        gripper=(80.0, 0.0),
    )
    columns = Columns(dataset, spec, naming)
    rows = columns.robot_rows(dataset.rows(dataset.episodes[0]))
    wanted = [*np.deg2rad([10, 20, 30, 40, 50, 60, 70]), 50 / 80]
    np.testing.assert_allclose(rows.state_TD[0], wanted, rtol=1e-6)
    assert columns.cameras == {"front": CAMERAS["wrist"], "wrist": CAMERAS["front"]}


def test_states_and_actions_may_have_orders_of_their_own(tmp_path, spec):
    path = write(tmp_path / "set")
    info = json.loads((path / "meta/info.json").read_text())
    info["features"]["action"]["names"].reverse()
    (path / "meta/info.json").write_text(json.dumps(info))
    dataset = Dataset(path)
    rows = Columns(dataset, spec).robot_rows(dataset.rows(dataset.episodes[0]))
    np.testing.assert_array_equal(rows.state_TD[1], frame(1).state_D)
    np.testing.assert_array_equal(rows.action_TD[1], frame(1).action_D[::-1])


def test_still_frames_are_those_in_which_neither_state_nor_action_changes():
    state = np.zeros((10, 2), np.float32)
    state[4:7, 0] = [0.1, 0.2, 0.3]
    state[7:] = state[6]
    action = state.copy()
    still = still_frames(state, action)
    assert np.flatnonzero(~still).tolist() == [3, 4, 5, 6]
    assert still_ends(still) == (2, 8)
    action[8, 1] = 1.0
    assert np.flatnonzero(~still_frames(state, action)).tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert still_ends(np.ones(5, bool)) == (0, 5)
