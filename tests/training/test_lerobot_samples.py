"""A data set as training samples: those of the live node, and the simulator's own episodes."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from bag_rig import live, write_spec
from lerobot_rig import away, export, frame, record

from a1_core.errors import DatasetError
from a1_core.observation import Observation
from a1_core.policy import ExitSetting
from a1_core.spec import load_spec
from a1_data.lerobot.columns import Naming
from a1_data.lerobot.dataset import Dataset
from a1_data.lerobot.episode_filters import Dropped, Wanted
from a1_data.lerobot.writer import DatasetWriter
from a1_model.config import tiny
from a1_model.network import A1Network
from a1_model.policy import AdaptivePolicy
from a1_model.tokenizer import InstructionTokenizer
from a1_training.demonstrations import write_demonstrations
from a1_training.lerobot_samples import LoadSettings, lerobot_samples, store_samples
from a1_training.samples import Augmentation, BatchSampler, fit_normaliser
from a1_world.episodes import demonstrations
from a1_world.sample import rows_from_actions
from a1_world.shards import open_shards

FULL = ExitSetting(mode="full")
TEXT = "do it"


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return load_spec(write_spec(tmp_path_factory.mktemp("spec") / "quick.yaml"))


@pytest.fixture(scope="module")
def recorded(spec, tmp_path_factory):
    """A run, its data set with pictures that lose nothing, and its frames' stamps."""
    folder = tmp_path_factory.mktemp("recorded")
    (run,) = record(folder / "bags", spec)
    (plan,) = export(folder / "set", folder / "bags", spec, pictures="image")
    seen = {o.stamp_ns: o for o in live(spec, run.messages_of_the_robot)}
    return Dataset(folder / "set"), [seen[stamp_ns] for stamp_ns in plan.stamps_T], plan


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory, root):
    """Two episodes of the simulator, disturbed, with small pictures."""
    spec = load_spec(root / "config/robots/franka.yaml")
    path = tmp_path_factory.mktemp("demonstrated") / "set"
    episodes = list(demonstrations(2, 7, 0.5, image_size=48))
    write_demonstrations(episodes, spec, path, {}, failures=True)
    return Dataset(path), episodes


def load(dataset, spec, **settings):
    dropped = Dropped()
    return list(lerobot_samples(dataset, spec, LoadSettings(**settings), dropped)), dropped


def test_what_is_trained_on_is_what_the_live_node_sees_and_normalises(spec, recorded, tmp_path):
    """Bag to data set to shards to batch, against assembler and policy on the same messages."""
    dataset, observations, plan = recorded
    count, dropped = store_samples(dataset, spec, tmp_path / "shards", LoadSettings(still=True))
    assert (count, dropped.counts) == (plan.frames, Counter())
    shards = open_shards(tmp_path / "shards")
    normaliser = fit_normaliser(spec.action_names, shards)
    torch.manual_seed(0)
    tokenizer = InstructionTokenizer.from_words(TEXT.split())
    network = A1Network(tiny(vocab_size=len(tokenizer), head="mlp")).eval()
    policy = AdaptivePolicy(network, tokenizer, normaliser, digest="", spec_digest=spec.digest)
    pictures_UVHWC = shards.images_UVHWC(shards.image_N)
    for place, observation in enumerate(observations):
        assert shards.state_ND[place].tobytes() == observation.state_D.tobytes()
        assert shards.instructions[place] == observation.instruction
        for view, rgb in enumerate(observation.images.values()):
            np.testing.assert_array_equal(pictures_UVHWC[place, view], rgb)
    for place in (0, 7):
        stored = Observation(
            stamp_ns=observations[place].stamp_ns,
            images=dict(zip(spec.camera_names, pictures_UVHWC[place], strict=True)),
            state_D=shards.state_ND[place],
            instruction=shards.instructions[place],
        )
        ours = policy.act(stored, setting=FULL)
        theirs = policy.act(observations[place], setting=FULL)
        np.testing.assert_array_equal(ours.actions_HD, theirs.actions_HD)
    augmentation = Augmentation(brightness=0.0, state_mask_probability=0.0)
    sampler = BatchSampler({"set": shards}, tokenizer, normaliser, augmentation, seed=0)
    batch = sampler.draw({"set": 1.0}, 4)
    wanted = {normaliser.encode_state(o.state_D).astype(np.float32).tobytes() for o in observations}
    assert {row.numpy().tobytes() for row in batch.state_BD} <= wanted


def test_chunks_are_what_was_commanded_from_the_frame_on(spec, recorded):
    dataset, _, plan = recorded
    samples, _ = load(dataset, spec)
    for sample in samples:
        rows_HD = rows_from_actions(sample.actions_HD, sample.state_D)
        there = min(sample.tick + 5, plan.frames - 1)
        np.testing.assert_allclose(rows_HD[0], plan.action_TD[sample.tick], atol=1e-6)
        np.testing.assert_allclose(rows_HD[5], plan.action_TD[there], atol=1e-6)
    assert [sample.end for sample in samples] == [False] * (plan.frames - 1) + [True]


def test_the_simulators_episodes_are_in_their_data_set(demonstrated):
    dataset, episodes = demonstrated
    assert [e.outcome for e in dataset.episodes] == [e.outcome for e in episodes]
    assert {e.instruction for e in episodes} == set(dataset.tasks.values())
    for written, made in zip(dataset.episodes, episodes, strict=True):
        rows = dataset.rows(written)
        np.testing.assert_array_equal(rows.state_TD, [m.state_D for m in made.moments])
        np.testing.assert_array_equal(rows.action_TD, [m.action_D for m in made.moments])
        assert np.abs(np.diff(rows.action_TD[:, :7], axis=0)).max() < 0.4
        front = list(dataset.pictures(written, "observation.images.front"))
        assert max(away(a, m.images["front"]) for a, m in zip(front, made.moments)) < 4.0
    assert any(e.outcome == "success" for e in episodes)


def test_demonstrations_train_a_policy_to_follow_them(demonstrated, root):
    """The action leads the state: what is commanded now is where the robot is a moment later."""
    dataset, _ = demonstrated
    rows = dataset.rows(max(dataset.episodes, key=lambda episode: episode.length))
    now = np.abs(rows.action_TD[:-2, :7] - rows.state_TD[:-2, :7]).mean()
    soon = np.abs(rows.action_TD[:-2, :7] - rows.state_TD[1:-1, :7]).mean()
    late = np.abs(rows.action_TD[:-2, :7] - rows.state_TD[2:, :7]).mean()
    assert min(now, soon) < late


def test_failed_demonstrations_are_left_out_and_counted(root, tmp_path, demonstrated):
    _, (first, second) = demonstrated
    spec = load_spec(root / "config/robots/franka.yaml")
    failed = type(first)(**{**vars(first), "outcome": "failure"})
    kept = type(second)(**{**vars(second), "outcome": "success"})
    told = write_demonstrations([failed, kept], spec, tmp_path / "set", {}, failures=False)
    assert told == (1, 1)
    assert [e.tasks for e in Dataset(tmp_path / "set").episodes] == [(second.instruction,)]
    both = write_demonstrations([failed, kept], spec, tmp_path / "both", {}, failures=True)
    assert both == (2, 1)
    samples, _ = load(Dataset(tmp_path / "both"), spec, wanted=Wanted(failures=False))
    assert {sample.episode for sample in samples} == {1}


def test_samples_without_motion_are_left_out_and_counted(spec, tmp_path):
    frames = [frame(0)] * 30 + [frame(number) for number in range(10)]
    with DatasetWriter(tmp_path / "set", robot="franka", fps=10, names=spec.action_names) as writer:
        writer.add_episode(frames)
        writer.add_episode(frames)
        writer.finish()
    dataset = Dataset(tmp_path / "set")
    samples, dropped = load(dataset, spec)
    # Frame 30 is the first to change, and a chunk has 16 rows.
    assert [sample.tick for sample in samples if sample.episode == 0] == list(range(15, 40))
    assert dropped.counts == {"STILL_SAMPLE": 30}
    every, nothing = load(dataset, spec, still=True, every=3)
    assert [s.tick for s in every if s.episode == 1] == [*range(0, 40, 3)]
    assert not nothing.counts


def test_what_a_person_corrected_is_no_example(spec, tmp_path):
    frames = [frame(number) for number in range(20)]
    drivers = {
        "corrected": [(0, "policy"), (6, "takeover"), (11, "policy")],
        "alone": [(0, "policy")],
        "by hand": [(0, "policy"), (2, "teleop")],
    }
    with DatasetWriter(tmp_path / "set", robot="franka", fps=10, names=spec.action_names) as writer:
        for stretches in drivers.values():
            writer.add_episode(frames, {"drivers": stretches})
        writer.finish()
    samples, dropped = load(Dataset(tmp_path / "set"), spec)
    ticks = [[s.tick for s in samples if s.episode == index] for index in range(len(drivers))]
    assert ticks == [[*range(6, 11), 19], [*range(20)], [*range(20)]]
    assert dropped.counts == {"CORRECTED": 14}
    assert [s.tick for s in samples if s.end] == [19, 19, 19]


def test_a_faster_data_set_is_read_at_the_policys_rate(spec, tmp_path):
    for fps, ticks in ((30, 4), (10, 10), (15, None)):
        path = tmp_path / str(fps)
        with DatasetWriter(path, robot="franka", fps=fps, names=spec.action_names) as writer:
            writer.add_episode(frame(number) for number in range(10))
            writer.finish()
        if ticks is None:
            with pytest.raises(DatasetError, match=r"info\.json: fps is 15, franka's policy wants"):
                load(Dataset(path), spec)
            continue
        samples, _ = load(Dataset(path), spec)
        assert len(samples) == ticks
        rows_HD = rows_from_actions(samples[0].actions_HD, samples[0].state_D)
        np.testing.assert_allclose(rows_HD[1], frame(fps // 10).action_D, rtol=1e-5)


def test_another_robot_is_refused(spec, recorded, root):
    dataset, _, _ = recorded
    ur5e = load_spec(root / "config/robots/ur5e.yaml")
    with pytest.raises(DatasetError, match="no column shoulder_pan_joint"):
        load(dataset, ur5e)


def test_a_camera_may_be_called_otherwise(spec, recorded, tmp_path):
    dataset, _, _ = recorded
    content = yaml.safe_load(spec.path.read_text())
    content["cameras"][0]["name"] = "top"
    content["model"]["cameras"]["top"] = content["model"]["cameras"].pop("front")
    (tmp_path / "top.yaml").write_text(yaml.safe_dump(content))
    naming = Naming(cameras={"top": "observation.images.front"})
    (renamed, *_), _ = load(dataset, load_spec(tmp_path / "top.yaml"), naming=naming)
    (own, *_), _ = load(dataset, spec)
    assert list(renamed.images) == ["top", "wrist"]
    np.testing.assert_array_equal(renamed.images["top"], own.images["front"])


def test_an_episode_of_two_steps_ends_twice_and_no_chunk_runs_into_the_next(spec, tmp_path):
    """A step's chunk holds its last action instead of beginning what the next text asks for."""
    tasks = ["fetch it"] * 7 + ["put it down"] * 5
    with DatasetWriter(tmp_path / "set", robot="franka", fps=10, names=spec.action_names) as writer:
        for outcome in ("success", "failure"):
            frames = [frame(number, task=task) for number, task in enumerate(tasks)]
            writer.add_episode(frames, {"outcome": outcome})
        writer.finish()
    samples, _ = load(Dataset(tmp_path / "set"), spec)
    assert [(s.episode, s.tick) for s in samples if s.end] == [(0, 6), (0, 11), (1, 6)]
    assert [s.instruction for s in samples[:12]] == tasks
    for sample, stop in ((samples[4], 6), (samples[8], 11)):
        rows_HD = rows_from_actions(sample.actions_HD, sample.state_D)
        for row in (1, 2, 3, 9):
            due = frame(min(sample.tick + row, stop)).action_D
            np.testing.assert_allclose(rows_HD[row], due, atol=1e-6)
    # Thinned out, the end of a step is still there.
    thin, _ = load(Dataset(tmp_path / "set"), spec, every=4)
    assert [s.tick for s in thin if s.episode == 0] == [0, 4, 6, 8, 11]


def test_pictures_are_stored_as_the_network_would_make_them(spec, recorded):
    dataset, _, _ = recorded
    (sample, *_), _ = load(dataset, spec, image_size=24)
    whole = next(dataset.pictures(dataset.episodes[0], "observation.images.front"))
    # 48 x 64: the middle 48 columns, two pixels to one.
    wanted = whole[:, 8:56].reshape(24, 2, 24, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(sample.images["front"], wanted, atol=0.51)


def test_shards_are_made_once(spec, recorded, tmp_path):
    dataset, _, _ = recorded
    first = store_samples(dataset, spec, tmp_path / "shards", LoadSettings())
    stamp = (tmp_path / "shards/manifest.json").stat().st_mtime_ns
    again = store_samples(dataset, spec, tmp_path / "shards", LoadSettings())
    assert first[0] == again[0]
    assert (tmp_path / "shards/manifest.json").stat().st_mtime_ns == stamp
