"""The simulated table: reset, cameras, judgement."""

import os

import numpy as np
import pytest

from a1_core.errors import A1Error
from a1_world import model_cache
from a1_world.kinematics import ArmKinematics, down
from a1_world.layout import FIRST_EVAL_SEED
from a1_world.tasks import COLOURS, make_task
from a1_world.world import World


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


def test_reset_is_deterministic_and_the_clock_goes_on(world):
    first = world.reset(11)
    qpos, images = world.data.qpos.copy(), {c: world.render(c) for c in ("front", "wrist")}
    world.set_command(world.joint_positions + 0.1, 0.0)
    world.step(0.5)
    before_s = world.time_s
    assert not np.array_equal(world.data.qpos, qpos)
    assert world.reset(11) == first
    assert world.time_s == before_s
    np.testing.assert_array_equal(world.data.qpos, qpos)
    for camera, image in images.items():
        np.testing.assert_array_equal(world.render(camera), image)


def test_another_cube_can_be_named_without_moving_anything(world):
    world.reset(12)
    qpos = world.data.qpos.copy()
    for index, colour in enumerate(world.layout.colours):
        assert world.reset(12, kind="bowl", colour=colour) == make_task("bowl", colour)
        assert world.reset(12, kind="bowl", colour_index=index).colour == colour
        assert world.reset(12, make_task("touch", colour)).kind == "touch"
        assert world.named == index
        np.testing.assert_array_equal(world.data.qpos, qpos)


def test_a_colour_not_on_the_table_is_refused(world):
    world.reset(13)
    absent = next(c for c in COLOURS if c not in world.layout.colours)
    with pytest.raises(A1Error, match=f"seed 13 has no {absent} cube; name one of"):
        world.reset(13, kind="touch", colour=absent)
    with pytest.raises(A1Error, match="colour_index 3 is out of range"):
        world.reset(13, colour_index=3)
    with pytest.raises(A1Error, match="colour or colour_index, not both"):
        world.reset(13, colour="red", colour_index=1)


@pytest.mark.parametrize("camera", ["front", "wrist", "overview"])
def test_images_show_something(world, camera):
    world.reset(FIRST_EVAL_SEED)
    image = world.render(camera)
    width, height = world.cameras.sizes[camera]
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    assert image.std() > 15.0


def test_cubes_appear_in_their_colour_where_they_are_projected(world):
    for seed in range(12):
        world.reset(seed)
        image = world.render("front").astype(float)
        for index, colour in enumerate(world.layout.colours):
            centre, _ = world.cube_pose(index)
            x, y = world.project("front", centre, cube=index)
            seen = image[int(y * 128), int(x * 128)]
            wanted = np.array(COLOURS[colour])
            cosine = seen @ wanted / np.linalg.norm(seen) / np.linalg.norm(wanted)
            assert cosine > 0.96, (seed, colour, seen)


def test_projection_knows_what_is_hidden_or_out_of_view(world):
    world.reset(3)
    tip, _ = world.tip_pose
    assert world.project("front", tip) is not None
    assert world.project("front", np.array([5.0, 0.0, 0.0])) is None
    assert world.project("front", np.array([0.5, 0.0, -0.2])) is None
    assert world.project("front", np.array([0.5, 1.5, 0.0])) is None
    with pytest.raises(A1Error, match="camera 'side' is unknown; use one of front, wrist"):
        world.render("side")


def test_touching_another_cube_first_is_a_failure(world):
    world.reset(4, kind="touch", colour_index=0)
    assert not world.success()
    assert not world.failed()
    world.pose_arm(world.layout.start_q, 0.0)
    tip, _ = world.tip_pose
    world.pose_cube(1, tip + [0.0, 0.0, -0.031], np.array([1.0, 0.0, 0.0, 0.0]))
    world.refresh()
    world.step(0.02)
    assert world.failed()
    assert not world.success()


def test_bowl_needs_the_named_cube_and_only_it(world):
    for index, (success, failed) in enumerate([(True, False), (False, True)]):
        world.reset(5, kind="bowl", colour_index=0)
        spot = np.array([*world.bowl_xy, 0.04])
        world.pose_cube(index, spot, np.array([1.0, 0.0, 0.0, 0.0]))
        world.refresh()
        world.step(0.4)
        assert (world.success(), world.failed()) == (success, failed)


def put(world, index, xyz):
    world.pose_cube(index, np.asarray(xyz, float), np.array([1.0, 0.0, 0.0, 0.0]))
    world.refresh()


def test_a_stack_has_to_stay_and_be_the_one_asked_for(world):
    colours = world.layout.colours
    for seed in (7, 8):
        world.reset(seed, kind="stack", colour_index=0)
        target = world.target
        assert world.layout.target_of(0) == target
        third = 3 - target
        colours = world.layout.colours
        assert world.task == make_task("stack", colours[0], colours[target])
        put(world, 0, world.cube_pose(target)[0] + [0.005, 0.0, 0.0485])
        world.step(0.1)
        assert not world.success()
        world.step(0.4)
        assert world.success()
        assert not world.failed()
        world.reset(seed, kind="stack", colour_index=0)
        put(world, third, world.cube_pose(target)[0] + [0.005, 0.0, 0.0485])
        world.step(0.4)
        assert world.failed()
        assert not world.success()
        world.reset(seed, kind="stack", colour_index=0)
        put(world, target, [0.2, 2.0, -0.3])
        assert world.failed()


def test_a_pushed_cube_has_to_stay_on_the_square_and_be_the_named_one(world):
    world.reset(9, kind="push", colour_index=1)
    put(world, 1, [*world.square_xy + [0.03, 0.02], 0.024])
    world.step(0.1)
    assert not world.success()
    world.step(0.3)
    assert world.success()
    world.reset(9, kind="push", colour_index=1)
    put(world, 1, [*world.square_xy + [0.03, 0.04], 0.024])
    world.step(0.4)
    assert not (world.success() or world.failed())
    put(world, 0, [*world.square_xy, 0.024])
    assert world.failed()


def test_a_cube_is_stacked_once_it_is_let_go(world):
    world.reset(10, kind="stack", colour_index=0)
    centre, _ = world.cube_pose(world.target)
    place = centre + [0.0, 0.0, 0.0485]
    yaw = world.layout.cube_yaw[world.target]
    joints, error = ArmKinematics().solve(world.layout.start_q, place, down(yaw))
    assert error < 1e-3
    world.pose_arm(joints, 0.6)
    quat = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
    world.pose_cube(0, place, quat)
    world.refresh()
    world.set_command(joints, 0.0)
    world.step(0.6)
    assert world.stacked(0, world.target)
    assert all(world.fingers_on(0))
    assert not world.success()
    world.set_command(joints, 1.0)
    world.step(0.8)
    assert world.success()


def test_the_square_is_there_only_where_something_is_to_be_pushed(world):
    world.reset(11, kind="touch")
    bare = {camera: world.render(camera) for camera in ("front", "overview")}
    assert not world.square_shown
    assert not world.on_square(0)
    world.reset(11, kind="push", colour_index=2)
    assert world.square_shown
    np.testing.assert_allclose(world.square_xy, world.layout.square_xy[2])
    changed = (world.render("front") != bare["front"]).any(axis=-1)
    assert 60 < changed.sum() < 900
    x, y = world.project("front", np.array([*world.square_xy, 0.0]))
    assert changed[int(y * 128), int(x * 128)]
    for kind in ("bowl", "stack", "touch"):
        world.reset(11, kind=kind)
        for camera, image in bare.items():
            np.testing.assert_array_equal(world.render(camera), image)


def test_steps_count_in_their_order_only(world):
    colours = world.reset(12) and world.layout.colours
    steps = [make_task("bowl", colours[0]), make_task("push", colours[1])]
    assert world.reset(12, steps) == steps[0]
    assert world.square_shown
    put(world, 1, [*world.square_xy, 0.024])
    world.step(0.4)
    assert (world.step_index, world.success(), world.failed()) == (0, False, False)
    put(world, 0, [*world.bowl_xy, 0.032])
    world.step(0.1)
    # The first cube stays in the bowl and the second is judged from here on.
    assert (world.step_index, world.task) == (1, steps[1])
    assert not world.success()
    world.step(0.4)
    assert world.success()
    assert world.steps == tuple(steps)


def test_a_cube_of_an_earlier_step_is_no_wrong_touch(world):
    colours = world.reset(4) and world.layout.colours
    for first, failed in ((colours[1], False), (colours[2], True)):
        world.reset(4, [make_task("bowl", first), make_task("touch", colours[0])])
        put(world, colours.index(first), [*world.bowl_xy, 0.032])
        world.step(0.1)
        assert world.step_index == 1
        world.pose_arm(world.layout.start_q, 0.0)
        tip, _ = world.tip_pose
        put(world, 1, tip + [0.0, 0.0, -0.031])
        world.step(0.02)
        assert world.hand_on(1)
        assert world.failed() == failed
        assert not world.success()


def test_what_cannot_be_asked_for_in_a_layout_is_refused(world):
    colours = world.reset(13) and world.layout.colours
    absent = next(c for c in COLOURS if c not in colours)
    with pytest.raises(A1Error, match=f"seed 13 has no {absent} cube"):
        world.reset(13, make_task("stack", colours[0], absent))
    with pytest.raises(A1Error, match=f"seed 13 has no {absent} cube"):
        world.reset(13, [make_task("touch", colours[0]), make_task("touch", absent)])
    with pytest.raises(A1Error, match="task is an empty list; give at least one"):
        world.reset(13, [])


def test_the_arm_follows_commands_with_little_lag(world):
    world.reset(6)
    start, speed = world.joint_positions, 0.5
    for count in range(1, 26):
        world.set_command(start + speed * count * 0.02, 1.0)
        world.step(0.02)
    lag_s = (start + speed * 0.5 - world.joint_positions) / speed
    assert lag_s.max() < 0.06
    world.step(0.5)
    np.testing.assert_allclose(world.joint_positions, start + speed * 0.5, atol=2e-3)


def test_gripper_opens_and_closes_in_a_third_of_a_second_or_two(world):
    world.reset(6)
    assert world.state_D[7] == pytest.approx(1.0, abs=0.02)
    world.set_command(world.joint_positions, 0.0)
    world.step(0.2)
    assert 0.2 < world.state_D[7] < 0.8
    world.step(0.5)
    assert world.state_D[7] < 0.03


def test_the_compiled_scene_is_stored_once_and_reused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = model_cache.load_scene_model()
    (stored,) = (tmp_path / "a1-ros2").iterdir()
    written = stored.stat().st_mtime_ns
    monkeypatch.setattr(model_cache.scene, "scene_spec", lambda: pytest.fail("built again"))
    again = model_cache.load_scene_model()
    assert stored.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.mesh_vert, again.mesh_vert)


def test_worlds_that_come_and_go_leave_nothing_open():
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    def look_once():
        with World(image_size=32) as world:
            world.render("front")

    look_once()
    before = open_files()
    for _ in range(5):
        look_once()
    assert open_files() <= before + 1


def test_a_closed_or_blind_world_says_so():
    blind = World(render=False)
    with pytest.raises(A1Error, match="made with render=False"):
        blind.render("front")
    blind.close()
    blind.close()
    with pytest.raises(A1Error, match="is closed"):
        blind.render("front")
