"""Bags as episodes: the live node's observations at the policy's rate, and what is left out."""

import numpy as np
import pytest
from bag_rig import EPISODE, MS, START, event, live, write_bag, write_spec
from lerobot_rig import CODEC_MEAN, DISARMED, HOLD, Commanded, away, export, record

from a1_core.chunk import ActionSpace, DeltaBase, Source
from a1_core.errors import DatasetError
from a1_core.spec import load_spec
from a1_data.bag_files import find_bags
from a1_data.commands import Commands
from a1_data.lerobot.chunks import chunk_at, frames_apart
from a1_data.lerobot.columns import Columns
from a1_data.lerobot.dataset import Dataset
from a1_data.lerobot.from_bags import policy_fps

PERIOD = 100 * MS


def test_frames_are_the_observations_of_a_live_node_bit_for_bit(spec, tmp_path):
    (run,) = record(tmp_path / "bags", spec)
    (plan,) = export(tmp_path / "set", tmp_path / "bags", spec, pictures="image")
    seen = {o.stamp_ns: o for o in live(spec, run.messages_of_the_robot)}
    dataset = Dataset(tmp_path / "set")
    columns = Columns(dataset, spec)
    (episode,) = dataset.episodes
    rows = columns.robot_rows(dataset.rows(episode))
    pictures = list(dataset.images(episode, columns.cameras))
    assert len(pictures) == plan.frames == 20
    for place, stamp_ns in enumerate(plan.stamps_T):
        observation = seen[stamp_ns]
        assert rows.state_TD[place].tobytes() == observation.state_D.tobytes()
        assert rows.tasks[place] == observation.instruction
        assert list(pictures[place]) == list(observation.images)
        for camera, rgb in observation.images.items():
            np.testing.assert_array_equal(pictures[place][camera], rgb)


def test_videos_show_the_same_pictures(spec, tmp_path):
    (run,) = record(tmp_path / "bags", spec)
    (plan,) = export(tmp_path / "set", tmp_path / "bags", spec)
    seen = {o.stamp_ns: o for o in live(spec, run.messages_of_the_robot)}
    dataset = Dataset(tmp_path / "set")
    images = list(dataset.images(dataset.episodes[0], Columns(dataset, spec).cameras))
    for place, stamp_ns in enumerate(plan.stamps_T):
        for camera, rgb in seen[stamp_ns].images.items():
            assert away(images[place][camera], rgb) < CODEC_MEAN
            # Not those of its neighbour: a picture moves by more than the codec costs.
            other = seen[plan.stamps_T[place - 1 if place else 1]].images[camera]
            assert away(images[place][camera], other) > away(images[place][camera], rgb)


def test_actions_are_what_was_commanded_at_the_tick(spec, tmp_path):
    (run,) = record(tmp_path / "bags", spec)
    (plan,) = export(tmp_path / "set", tmp_path / "bags", spec)
    for place, stamp_ns in enumerate(plan.stamps_T):
        at_ms = (stamp_ns - START) / MS
        before = at_ms // 20 * 20
        share = (at_ms - before) / 20
        wanted = (1 - share) * run.wanted(before) + share * run.wanted(before + 20)
        np.testing.assert_allclose(plan.action_TD[place], wanted, atol=1e-6)


def test_frames_lie_half_a_period_from_the_grid_at_most(tmp_path):
    # 15 pictures a second, 10 frames: every other point of the grid has none of its own.
    quick = load_spec(write_spec(tmp_path / "spec.yaml", rate_hz=15.0))
    run = Commanded(quick, size=(48, 64))
    for number in range(30):
        for camera in quick.cameras:
            run.camera(camera, START + round(number * 1000 / 15) * MS, plain(number))
    drive(run, 2000)
    write_bag(tmp_path / "bags/bag", run.messages)
    (plan,) = export(tmp_path / "set", tmp_path / "bags", quick)
    grid = plan.grid_ns + np.arange(plan.frames) * PERIOD
    assert np.abs(np.array(plan.stamps_T) - grid).max() <= PERIOD / 2
    assert len(set(plan.stamps_T)) == plan.frames >= 19
    assert (plan.repeated, plan.gap) == (0, 0)


def test_one_lost_picture_repeats_its_neighbour_and_more_end_the_episode(spec, tmp_path):
    for lost, fill, left_out in ((1, 1, ""), (3, 1, "GAP"), (3, 3, "")):
        run = Commanded(spec, size=(48, 64))
        for number in range(20):
            if not 8 <= number < 8 + lost:
                for camera in spec.cameras:
                    run.camera(camera, START + number * PERIOD, plain(number))
        drive(run, 2000)
        folder = tmp_path / f"{lost}_{fill}"
        write_bag(folder / "bags/bag", run.messages)
        if left_out:
            with pytest.raises(DatasetError, match="no episode is left to write"):
                export(folder / "set", folder / "bags", spec, fill=fill)
            assert not (folder / "set").exists()
            continue
        (plan,) = export(folder / "set", folder / "bags", spec, fill=fill)
        assert (plan.frames, plan.repeated, plan.gap) == (20, lost, lost)
        assert plan.stamps_T[7] in plan.stamps_T[8:] or plan.stamps_T[8] == plan.stamps_T[9]


def test_nobody_commands_before_the_robot_is_armed(spec, tmp_path):
    run = Commanded(spec, size=(48, 64)).record()
    run.messages = run.without("/a1/controller_state").messages
    for at in range(0, 2000, 20):
        run.command(START + at * MS, run.wanted(at), HOLD if at >= 700 else DISARMED)
    run.messages.sort(key=lambda message: message.received_ns)
    write_bag(tmp_path / "bags/bag", run.messages)
    (plan,) = export(tmp_path / "set", tmp_path / "bags", spec)
    assert plan.stamps_T[0] >= START + 700 * MS
    assert plan.frames == 13


def test_who_drove_is_told_frame_by_frame(spec, tmp_path):
    run = Commanded(spec, size=(48, 64)).record()
    run.messages = run.without("/a1/controller_state").messages
    for at in range(0, 2000, 20):
        source = Source.TAKEOVER if 690 <= at < 1290 else Source.POLICY if at >= 290 else None
        run.command(START + at * MS, run.wanted(at), source=source)
    run.messages.sort(key=lambda message: message.received_ns)
    write_bag(tmp_path / "bags/bag", run.messages)
    (plan,) = export(tmp_path / "set", tmp_path / "bags", spec)
    (episode,) = Dataset(tmp_path / "set").episodes
    told = dict(zip(plan.stamps_T, episode.frame_drivers, strict=True))
    assert told == {
        stamp: "takeover"
        if 700 * MS <= stamp - START < 1300 * MS
        else "policy" * (stamp - START >= 300 * MS)
        for stamp in plan.stamps_T
    }
    # Before the first session nobody drove.
    assert list(told.values()).count("") == 3
    assert list(told.values()).count("takeover") == 6
    (plan,) = export(tmp_path / "moved", tmp_path / "bags", spec, action="measured")
    assert set(Dataset(tmp_path / "moved").episodes[0].frame_drivers) == {""}


@pytest.mark.parametrize("silence", ["none", "in the middle"])
def test_an_episode_that_is_not_commanded_throughout_is_left_out(spec, tmp_path, silence):
    run = Commanded(spec, size=(48, 64)).record()
    commands = run.of("/a1/controller_state") if silence != "none" else []
    run.messages = run.without("/a1/controller_state").messages
    run.messages += [m for m in commands if not 500 < (m.received_ns - START) / MS < 900]
    run.messages.sort(key=lambda message: message.received_ns)
    write_bag(tmp_path / "bags/bag", run.messages)
    with pytest.raises(DatasetError, match="no episode is left"):
        export(tmp_path / "set", tmp_path / "bags", spec)
    (plan,) = export(tmp_path / "set", tmp_path / "bags", spec, action="measured")
    np.testing.assert_array_equal(plan.action_TD[:-1], plan.state_TD[1:])


def test_still_heads_and_tails_are_cut_when_asked(spec, tmp_path):
    run = Commanded(spec, size=(48, 64))
    for number in range(20):
        for camera in spec.cameras:
            run.camera(camera, START + number * PERIOD, plain(number))
    drive(run, 2000, moves=range(700, 1200))
    write_bag(tmp_path / "bags/bag", run.messages)
    (whole,) = export(tmp_path / "whole", tmp_path / "bags", spec)
    (cut,) = export(tmp_path / "cut", tmp_path / "bags", spec, trim=True)
    assert whole.frames == 20
    assert cut.trimmed == 20 - cut.frames > 8
    assert set(cut.stamps_T) < set(whole.stamps_T)
    dataset = Dataset(tmp_path / "cut")
    images = list(dataset.pictures(dataset.episodes[0], "observation.images.front"))
    number = (cut.stamps_T[0] - START) // PERIOD
    assert len(images) == cut.frames
    assert away(images[0], plain(number)) < CODEC_MEAN


def test_episodes_without_motion_and_failures_are_left_out_when_asked(spec, tmp_path):
    record(tmp_path / "bags", spec)
    still = Commanded(spec, size=(48, 64))
    for number in range(20):
        for camera in spec.cameras:
            still.camera(camera, START + number * PERIOD, plain(number))
    drive(still, 2000, moves=())
    write_bag(tmp_path / "bags/still", still.messages)
    failed = Commanded(spec, seed=5, size=(48, 64)).record()
    write_bag(tmp_path / "bags/zfailed", failed.messages, outcome="failure")
    plans = export(tmp_path / "set", tmp_path / "bags", spec, failures=False)
    assert [plan.left_out for plan in plans] == ["", "STILL", "FAILURE"]
    assert [episode.outcome for episode in Dataset(tmp_path / "set").episodes] == ["success"]


def test_a_bag_of_several_episodes_gives_each_its_own(spec, tmp_path):
    run = Commanded(spec, size=(48, 64), seconds=4.0).record()
    tasks = ("touch the red cube", "touch the blue cube", "touch the green cube")
    for number, task in enumerate(tasks, 1):
        begin, end = START + (number - 1) * 1300 * MS, START + (number * 1300 - 100) * MS
        told = event(number, True, instruction=task)
        run.add("/a1/episode", EPISODE, begin, told)
        over = event(number, False, success=number != 2, failed=number == 2)
        run.add("/a1/episode", EPISODE, end, over)
    run.messages.sort(key=lambda message: message.received_ns)
    write_bag(tmp_path / "bags/bag", run.messages)
    plans = export(tmp_path / "set", tmp_path / "bags", spec, failures=False, min_frames=5)
    assert [(plan.left_out, plan.outcome) for plan in plans] == [
        ("", "success"),
        ("FAILURE", "failure"),
        ("", "success"),
    ]
    dataset = Dataset(tmp_path / "set")
    assert [episode.tasks for episode in dataset.episodes] == [(tasks[0],), (tasks[2],)]
    seen = {o.stamp_ns: o for o in live(spec, run.messages_of_the_robot)}
    for episode, plan in zip(dataset.episodes, (plans[0], plans[2]), strict=True):
        rows = dataset.rows(episode)
        assert episode.length == plan.frames >= 10
        for place, stamp_ns in enumerate(plan.stamps_T):
            assert rows.state_TD[place].tobytes() == seen[stamp_ns].state_D.tobytes()


def test_an_episode_whose_clock_went_back_is_left_out(spec, tmp_path):
    run = Commanded(spec, size=(48, 64)).record()
    late = Commanded(spec, size=(48, 64)).record()
    for message in late.messages:
        message.received_ns += 4000 * MS
    write_bag(tmp_path / "bags/bag", run.messages + late.messages)
    record(tmp_path / "bags/good", spec)
    plans = export(tmp_path / "set", tmp_path / "bags", spec)
    assert [plan.left_out for plan in plans] == ["CLOCK_WENT_BACK", ""]


def test_commands_are_silent_where_nobody_spoke(spec, tmp_path):
    run = Commanded(spec)
    for at, mode in ((0, HOLD), (20, HOLD), (40, DISARMED), (60, HOLD), (400, HOLD), (420, HOLD)):
        run.command(START + at * MS, np.full(8, at / 100), mode)
    run.command(START + 440 * MS, np.full(8, np.nan))
    (files,) = find_bags(write_bag(tmp_path / "bag", run.messages))
    commands = Commands(files, spec)
    assert commands.heard == 7
    known = {at: commands.at(START + at * MS) for at in range(-10, 460, 10)}
    assert {at for at, value in known.items() if value is not None} == {
        0,
        10,
        20,
        60,
        400,
        410,
        420,
    }
    np.testing.assert_allclose(known[10], 0.1)


def test_a_chunk_holds_the_actions_due_from_its_frame_on(spec, monkeypatch):
    rng = np.random.default_rng(0)
    state, action = (rng.normal(size=(20, 8)).astype(np.float32) for _ in range(2))
    chunk = chunk_at(action, state, 3, spec)
    np.testing.assert_allclose(chunk[5, :7], action[8, :7] - state[3, :7])
    assert chunk[5, 7] == action[8, 7]
    late = chunk_at(action, state, 18, spec)
    np.testing.assert_allclose(late[2:, :7], np.tile(action[19, :7] - state[18, :7], (14, 1)))

    def with_policy(**changes):
        policy = type(spec.policy)(**{**vars(spec.policy), **changes})
        return type(spec)(**{**vars(spec), "policy": policy})

    absolute = chunk_at(action, state, 3, with_policy(action_space=ActionSpace.JOINT_POSITION))
    np.testing.assert_array_equal(absolute, action[3:19])
    steps = chunk_at(action, state, 3, with_policy(delta_base=DeltaBase.PREVIOUS_ROW))
    np.testing.assert_allclose(steps[:, :7].cumsum(axis=0), chunk[:, :7], atol=1e-5)
    with pytest.raises(DatasetError, match=r"action_space is ee_pose; a data set of joint"):
        chunk_at(action, state, 3, with_policy(action_space=ActionSpace.EE_POSE))


def test_another_rate_is_refused_unless_it_is_a_multiple(spec):
    assert frames_apart(10, spec, "there") == 1
    assert frames_apart(30, spec, "there") == 3
    with pytest.raises(DatasetError, match=r"there: fps is 15, franka's policy wants a row every"):
        frames_apart(15, spec, "there")
    assert policy_fps(spec) == 10


def plain(number: int) -> np.ndarray:
    """A grey that says which picture it is."""
    return np.full((48, 64, 3), 10 + 8 * number, np.uint8)


def drive(run: Commanded, end_ms: int, moves=range(100_000)) -> None:
    """Joint states and commands; both move in the milliseconds `moves` alone."""
    position = 0.0
    for at in range(0, end_ms, 20):
        position += 0.01 * (at in moves)
        run.arm(START + at * MS, np.full(7, position))
        run.hand(START + at * MS, 0.02)
        run.command(START + at * MS, np.append(np.full(7, position), 0.5))
    run.messages.sort(key=lambda message: message.received_ns)
