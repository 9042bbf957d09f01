"""Sample streams and their files."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from a1_core.errors import A1Error
from a1_core.observation import Observation
from a1_core.prefix import SOFT_ROWS
from a1_core.spec import load_spec
from a1_core.times import NS_PER_S
from a1_world.drive import Driver
from a1_world.expert import Expert
from a1_world.generate import dagger_samples, demonstration_samples, scene_samples
from a1_world.late import LateChunks
from a1_world.layout import FIRST_EVAL_SEED
from a1_world.sample import labelled_samples, rows_from_actions
from a1_world.shards import MANIFEST, open_shards, write_shards
from a1_world.tasks import COLOURS, KINDS, make_task, parse
from a1_world.world import World

FRANKA = load_spec(Path(__file__).parents[2] / "config/robots/franka.yaml")


def same(first, second):
    assert (first.instruction, first.end, first.seed) == (
        second.instruction,
        second.end,
        second.seed,
    )
    assert first.points == second.points
    np.testing.assert_array_equal(first.state_D, second.state_D)
    for camera, image in first.images.items():
        np.testing.assert_array_equal(second.images[camera], image)
    if first.actions_HD is not None:
        np.testing.assert_array_equal(first.actions_HD, second.actions_HD)


def test_a_scene_is_asked_about_each_of_its_free_cubes():
    samples = list(scene_samples(11, seed=5))
    # In one of the eleven a cube stands on another.
    assert len(samples) == 32
    assert samples[0].target_points.keys() == samples[0].points.keys()
    assert samples[0].images is samples[2].images
    assert samples[2].images is not samples[3].images
    assert len({parse(s.instruction).colour for s in samples[:3]}) == 3
    assert all(s.seed < FIRST_EVAL_SEED for s in samples)
    assert np.abs(samples[0].actions_HD - samples[1].actions_HD).max() > 0.01
    seen = [s.points["front"] for s in samples if s.points["front"] is not None]
    assert len(seen) > 20
    assert all(0.0 <= value < 1.0 for point in seen for value in point)
    again = list(scene_samples(2, seed=5))
    for first, second in zip(samples, again, strict=False):
        same(first, second)


def test_every_kind_is_asked_about_where_it_makes_sense():
    kinds = []
    for sample in scene_samples(40, seed=6, image_size=32):
        task = parse(sample.instruction)
        kinds.append(task.kind)
        shown = [point for point in sample.target_points.values() if point is not None]
        assert not (task.kind == "touch" and shown)
        assert all(0.0 <= value < 1.0 for point in shown for value in point)
    counts = [kinds.count(kind) for kind in KINDS]
    assert min(counts) >= 10
    assert sum(counts) == len(kinds) >= 100


def test_the_target_is_where_the_cube_goes():
    """Hue at the target's pixel: of the cube below, of the square; for the bowl, hardly any."""
    with World() as world:
        for seed in range(3):
            world.reset(seed, kind="push", colour_index=0)
            colours = world.layout.colours
            tasks = [
                make_task("touch", colours[0]),
                make_task("bowl", colours[0]),
                make_task("stack", colours[0], colours[2]),
                make_task("push", colours[0]),
            ]
            own = world.task
            samples = list(labelled_samples(world, Expert(world), tasks, episode=0, tick=0))
            assert world.task == own
            assert samples[0].target_points == {"front": None, "wrist": None}
            seen = []
            for sample in samples[1:]:
                x, y = sample.target_points["front"]
                seen.append(sample.images["front"][int(y * 128), int(x * 128)].astype(float))
                assert sample.points == samples[0].points
            assert np.ptp(seen[0]) < 25.0
            below = np.array(COLOURS[colours[2]])
            assert seen[1] @ below / np.linalg.norm(seen[1]) / np.linalg.norm(below) > 0.96
            assert seen[2][0] < 0.4 * seen[2][1:].min()


def test_while_a_cube_is_carried_every_place_for_it_is_asked_about():
    samples = list(demonstration_samples(1, seed=2, noise=0.0, image_size=32, kinds=("stack",)))
    ours = parse(samples[0].instruction)
    ticks = [
        [parse(s.instruction) for s in samples if s.tick == tick]
        for tick in range(samples[-1].tick + 1)
    ]
    carried = [tasks for tasks in ticks if {task.colour for task in tasks} == {ours.colour}]
    assert len(carried) >= 3
    for tasks in (tasks for tasks in carried if len(tasks) > 1):
        assert tasks[0] == ours
        assert sorted(task.kind for task in tasks) == ["bowl", "stack", "stack"]
        assert len(set(tasks)) == 3
    assert max(len(tasks) for tasks in carried) == 3


def test_a_second_task_follows_and_the_first_is_asked_on_for_a_while():
    kinds = ("stack", "push")
    samples = list(
        demonstration_samples(4, seed=3, noise=0.0, image_size=32, kinds=kinds, chained=1.0)
    )
    for episode in range(4):
        ticks = {s.tick: [] for s in samples if s.episode == episode}
        for sample in (s for s in samples if s.episode == episode):
            ticks[sample.tick].append(sample)
        own = [asked[0].instruction for asked in ticks.values()]
        first, second = dict.fromkeys(own)
        assert parse(first).kind == kinds[episode % 2] != parse(second).kind
        change = own.index(second)
        assert own == [first] * change + [second] * (len(own) - change)
        after = [[s for s in ticks[change + k] if s.instruction == first] for k in range(3)]
        assert [len(asked) for asked in after] == [1, 1, 1]
        assert after[0][0].end
        assert not ticks[change][0].end or parse(second).kind == "touch"
        assert ticks[len(own) - 1][0].end


def test_demonstrations_repeat_and_end():
    samples = list(demonstration_samples(4, seed=9, noise=0.0))
    for first, second in zip(samples, demonstration_samples(4, seed=9, noise=0.0), strict=True):
        same(first, second)
    for episode, kind in enumerate(KINDS):
        everything = [s for s in samples if s.episode == episode]
        ours = [s for s in everything if s.instruction == everything[0].instruction]
        assert parse(ours[0].instruction).kind == kind
        assert len(everything) > len(ours)
        assert not ours[0].end
        assert ours[-1].end
        assert [s.tick for s in ours] == list(range(len(ours)))


def test_labels_are_offsets_that_lead_back_to_the_experts_rows():
    sample = next(iter(demonstration_samples(1, seed=4, noise=0.0)))
    rows_HD = rows_from_actions(sample.actions_HD, sample.state_D)
    np.testing.assert_allclose(rows_HD[0, :7], sample.state_D[:7], atol=1e-6)
    assert sample.actions_HD.dtype == np.float32
    with World(render=False) as world:
        task = parse(sample.instruction)
        world.reset(sample.seed, task)
        np.testing.assert_allclose(world.state_D, sample.state_D, atol=1e-6)
        np.testing.assert_allclose(Expert(world).rows()[:, :7], rows_HD[:, :7], atol=1e-5)
        Driver(world).play(rows_HD, 1.5)
        if not world.success():
            np.testing.assert_allclose(world.joint_positions, rows_HD[15, :7], atol=0.05)


class Still:
    """A policy that stays where it is with an open hand, and counts what it was asked."""

    def __init__(self):
        self.resets, self.instructions = 0, []

    def reset(self):
        self.resets += 1

    def act(self, observation, *, setting, deadline_s=None, prefix=None):
        self.instructions.append(observation.instruction)
        actions_HD = np.zeros((16, 8), np.float32)
        actions_HD[:, 7] = 1.0
        return SimpleNamespace(actions_HD=actions_HD)


def test_dagger_lets_the_policy_drive_and_the_expert_label():
    policy = Still()
    touch = {"spec": FRANKA, "settings": (None,), "kinds": ("touch",)}
    samples = list(dagger_samples(policy, 1, seed=3, beta=0.0, **touch))
    assert policy.resets == 1
    ours = [s for s in samples if s.instruction == samples[0].instruction]
    assert policy.instructions == [s.instruction for s in ours]
    assert len(ours) == 27
    assert len(samples) == 81
    assert np.ptp([s.state_D[:7] for s in samples], axis=0).max() < 0.01
    assert np.abs(ours[-1].actions_HD[15, :7]).max() > 0.05
    assert not ours[-1].end
    driven = list(dagger_samples(Still(), 1, seed=3, beta=1.0, **touch))
    assert driven[-1].end
    push = touch | {"kinds": ("push",), "image_size": 32}
    pushed = list(dagger_samples(Still(), 1, seed=3, beta=1.0, **push))
    assert parse(pushed[0].instruction).kind == "push"
    assert [s for s in pushed if s.instruction == pushed[0].instruction][-1].end


class Turning(Still):
    """Wants joint 0 ever further and keeps what chunks it was to go on from."""

    def __init__(self):
        super().__init__()
        self.prefixes = []

    def act(self, observation, *, setting, deadline_s=None, prefix=None):
        output = super().act(observation, setting=setting)
        self.prefixes.append((observation, prefix))
        output.actions_HD[:, 0] = 0.02 * np.arange(16)
        return output


def test_late_chunks_go_on_from_the_plan_that_is_played_until_they_come():
    policy = Turning()
    late = {"spec": FRANKA, "settings": (None,), "kinds": ("touch",), "image_size": 32}
    samples = dagger_samples(policy, 1, seed=3, beta=0.0, latency_s=(0.25, 0.25), **late)
    assert len(list(samples)) > 20
    (first, none), (second, prefix), *_ = policy.prefixes
    assert none is None
    assert second.stamp_ns - first.stamp_ns == 300_000_000
    assert prefix.committed_rows == 3
    # Of the plan before, three rows old: from where that will be, counted from where the arm is.
    plan_H = first.state_D[0] + 0.02 * np.arange(3, 11) - second.state_D[0]
    np.testing.assert_allclose(prefix.rows_HD[:8, 0], plan_H, atol=1e-6)
    on_time = Turning()
    assert len(list(dagger_samples(on_time, 1, seed=3, beta=0.0, **late))) > 20
    assert {prefix for _, prefix in on_time.prefixes} == {None}


def test_what_comes_next_is_not_held_to_the_plan_of_what_is_done():
    with World(render=False) as world:
        world.reset(0, kind="touch", colour_index=0)
        driver = LateChunks(Driver(world), FRANKA, 0.2)
        stays_HD = np.tile(np.append(world.joint_positions, 1.0), (16, 1))
        done = Observation(stamp_ns=0, images={}, state_D=world.state_D, instruction="touch it")
        driver.play(stays_HD, done, 0.3)
        seen = replace(done, stamp_ns=300_000_000)
        assert (driver.prefix(seen).weight_HD[:, 0] > 0.0).sum() == 2 + SOFT_ROWS
        assert (driver.prefix(replace(seen, instruction="push it")).weight_HD > 0.0).sum() == 2 * 8


def test_a_chunk_closes_the_gripper_in_its_last_row_too():
    with World(render=False) as world:
        world.reset(0, kind="touch", colour_index=0)
        driver = Driver(world)
        rows_HD = np.tile(np.append(world.joint_positions, 1.0), (16, 1))
        rows_HD[15, 7] = 0.0
        driver.play(rows_HD, 1.4, stop_when_over=False)
        assert world.state_D[7] > 0.9
        driver.play(rows_HD, 0.6, begin_s=1.4, stop_when_over=False)
        assert world.state_D[7] < 0.5


def test_a_late_chunk_is_not_followed_before_it_comes():
    with World(render=False) as world:
        world.reset(0, kind="touch", colour_index=0)
        driver = LateChunks(Driver(world), FRANKA, 0.2)
        stays_HD = np.tile(np.append(world.joint_positions, 1.0), (16, 1))
        turns_HD = stays_HD.copy()
        turns_HD[:, 0] += 0.02 * np.arange(16)

        def seen():
            return Observation(
                stamp_ns=round(world.time_s * NS_PER_S),
                images={},
                state_D=world.state_D,
                instruction="",
            )

        driver.play(stays_HD, seen(), 0.3)
        driver.play(turns_HD, seen(), 0.0)
        assert abs(world.joint_positions[0] - stays_HD[0, 0]) < 1e-3
        began_s = world.time_s
        driver.play(turns_HD, seen(), 1.0)
        assert world.time_s - began_s == pytest.approx(1.0)
        assert world.joint_positions[0] - stays_HD[0, 0] > 0.1


def test_shards_keep_every_sample_and_each_image_once(tmp_path):
    samples = [*scene_samples(2, seed=1, image_size=32)]
    samples += list(demonstration_samples(1, seed=1, noise=0.0, image_size=32))[:3]
    made_by = {"generator": "test", "seed": 1}
    assert write_shards(samples, tmp_path / "a", manifest=made_by, shard_size=4) == 9
    shards = open_shards([tmp_path / "a", tmp_path / "a"])
    assert len(shards) == 18
    # Three looks; files end within the second and the third, which are therefore kept twice.
    assert shards.num_images == 2 * 5
    images = shards.images_UVHWC(shards.image_N)
    for index in range(18):
        sample = samples[index % 9]
        np.testing.assert_array_equal(images[index, 0], sample.images["front"])
        np.testing.assert_array_equal(images[index, 1], sample.images["wrist"])
        np.testing.assert_array_equal(shards.state_ND[index], sample.state_D)
        np.testing.assert_array_equal(shards.actions_NHD[index], sample.actions_HD)
        assert shards.instructions[index] == sample.instruction
        assert shards.action_valid_N[index]
        assert shards.end_N[index] == sample.end
        for stored, wanted in (
            (shards.points_NV2[index], sample.points),
            (shards.target_points_NV2[index], sample.target_points),
        ):
            for camera, point in zip(("front", "wrist"), stored, strict=True):
                if wanted[camera] is None:
                    assert np.isnan(point).all()
                else:
                    np.testing.assert_allclose(point, wanted[camera], rtol=1e-6)


def test_the_samples_of_an_image_are_found(tmp_path):
    samples = list(scene_samples(3, seed=1, image_size=32))
    write_shards(samples, tmp_path / "a", manifest={"seed": 1})
    shards = open_shards(tmp_path / "a")
    assert shards.num_images == 3
    np.testing.assert_array_equal(shards.samples_about(np.array([2, 0])), [6, 7, 8, 0, 1, 2])
    np.testing.assert_array_equal(shards.samples_per_image(np.array([2, 0])), [3, 3])


def test_a_completed_directory_is_left_alone_and_another_manifest_is_refused(tmp_path):
    def never():
        raise AssertionError("samples were asked for")
        yield

    one = scene_samples(2, seed=1, image_size=32)
    assert write_shards(one, tmp_path / "a", manifest={"seed": 1}) == 6
    assert write_shards(never(), tmp_path / "a", manifest={"seed": 1}) == 6
    with pytest.raises(A1Error, match=r"made_by is .*wanted .*delete the directory"):
        write_shards(never(), tmp_path / "a", manifest={"seed": 2})
    with pytest.raises(A1Error, match="holds no manifest"):
        open_shards(tmp_path / "b")


def test_shards_of_an_older_version_are_refused(tmp_path):
    write_shards(scene_samples(1, seed=1, image_size=32), tmp_path / "a", manifest={"seed": 1})
    manifest = json.loads((tmp_path / "a" / MANIFEST).read_text())
    (tmp_path / "a" / MANIFEST).write_text(json.dumps(manifest | {"version": 2}))
    with pytest.raises(A1Error, match=r"version is 2, this code reads 3; delete .* anew"):
        open_shards(tmp_path / "a")


def test_an_interrupted_writing_leaves_nothing_that_opens(tmp_path):
    def broken():
        yield from scene_samples(2, seed=1, image_size=32)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_shards(broken(), tmp_path / "a", manifest={"seed": 1}, shard_size=1)
    with pytest.raises(A1Error, match="holds no manifest"):
        open_shards(tmp_path / "a")
    fresh = scene_samples(2, seed=1, image_size=32)
    assert write_shards(fresh, tmp_path / "a", manifest={"seed": 1}, shard_size=1) == 6
