"""Recorded bags to a data set and back, by the commands a person types."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from a1_msgs.msg import ControllerState
from waiting import wait_for

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

import lerobot_golden as golden
from bag_rig import IMAGE, MS, START, S, image, write_bag, write_spec
from lerobot_rig import CODEC_MEAN, Commanded, away, export, record
from lerobot_rig import frame as made_up

from a1_core.errors import BagError, DatasetError, SpecError
from a1_core.spec import load_spec
from a1_data.bag_files import find_bags
from a1_data.definitions import Definitions
from a1_data.lerobot.columns import Columns, Naming
from a1_data.lerobot.dataset import Dataset
from a1_data.lerobot.episode_filters import Dropped, Wanted
from a1_data.lerobot.writer import DatasetWriter
from a1_data.reader import ReadSettings, open_bags
from a1_recorder import export as exporting
from a1_recorder import import_dataset as importing
from a1_recorder.bag_writer import BagWriter
from a1_recorder.robot_messages import RobotMessages
from a1_ros.qos import RELIABLE
from a1_ros.times import stamp_to_ns

GOLDEN = Path(golden.__file__).parent / "lerobot"
ROBOTS = sorted((Path(__file__).parents[2] / "config/robots").glob("*.yaml"))
HALF_PERIOD = 50 * MS


@pytest.fixture
def quick(tmp_path):
    return load_spec(write_spec(tmp_path / "quick.yaml"))


def bags_of(folder: Path, spec) -> list:
    return open_bags(folder, spec, ReadSettings(instruction="do it"))


def run_export(*arguments) -> None:
    exporting.main(["--to", "lerobot", *map(str, arguments)])


def test_bag_to_data_set_to_bag_keeps_numbers_pictures_and_times(quick, tmp_path):
    record(tmp_path / "bags", quick, 2)
    plans = export(tmp_path / "set", tmp_path / "bags", quick)
    with pytest.raises(SystemExit, match="0"):
        importing.main(
            [*map(str, (tmp_path / "set", "--robot", quick.path, "--out", tmp_path / "back"))]
        )
    compared = 0
    for plan, bag, back in zip(
        plans, bags_of(tmp_path / "bags", quick), bags_of(tmp_path / "back", quick), strict=True
    ):
        seen = {frame.observation.stamp_ns: frame.observation for frame in bag.frames()}
        again = [frame.observation for frame in back.frames()]
        assert len(again) == plan.frames
        assert back.findings == ()
        assert back.episodes[0].outcome == "success"
        for place, observation in enumerate(again):
            first = seen[plan.stamps_T[place]]
            assert observation.state_D.tobytes() == first.state_D.tobytes()
            assert observation.instruction == first.instruction
            assert abs(observation.stamp_ns - first.stamp_ns) <= HALF_PERIOD
            for camera, rgb in observation.images.items():
                assert away(rgb, first.images[camera]) < CODEC_MEAN
            compared += 1
    assert compared == 40
    # Actions: out once more, and equal to the first time.
    export(tmp_path / "again", tmp_path / "back", quick)
    first, second = Dataset(tmp_path / "set"), Dataset(tmp_path / "again")
    for ours, theirs in zip(first.episodes, second.episodes, strict=True):
        rows, again = first.rows(ours), second.rows(theirs)
        assert rows.action_TD.tobytes() == again.action_TD.tobytes()
        assert rows.state_TD.tobytes() == again.state_TD.tobytes()
        assert ours.begin_ns == theirs.begin_ns


def test_who_drove_survives_the_way_there_and_back(quick, tmp_path):
    drivers = ((0, "policy"), (6, "takeover"), (14, "teleop"))
    with DatasetWriter(tmp_path / "set", robot="quick", fps=10, names=quick.action_names) as writer:
        writer.add_episode([made_up(number) for number in range(20)], {"drivers": drivers})
        writer.finish()
    bags, again = tmp_path / "bags", tmp_path / "again"
    importing.import_dataset(
        Dataset(tmp_path / "set"), quick, bags, Naming(), Wanted(strict=True), Dropped()
    )
    run_export(bags, "--robot", quick.path, "--out", again)
    (episode,) = Dataset(again).episodes
    assert (episode.length, episode.drivers) == (20, drivers)
    page = (tmp_path / "again_report.html").read_text()
    assert "policy 0.6 s<br>takeover 0.8 s<br>teleop 0.6 s" in page


def test_what_the_recorder_recorded_over_dds_becomes_a_data_set(
    recorder, robot, operator, folder, spec_file, tmp_path
):
    """Commands that come with the joint states, so that a busy machine cannot part them."""
    spec = load_spec(spec_file)
    commands = robot.node.create_publisher(ControllerState, "a1/controller_state", RELIABLE)
    send, arm = robot.send, spec.state_sources[0].topic
    sent: dict[int, float] = {}

    def send_both(topic, msg) -> None:
        if topic == arm:
            stamp_ns = stamp_to_ns(msg.header.stamp)
            sent[stamp_ns] = np.sin(stamp_ns % 10**10 / 1e9)
            state = ControllerState(header=msg.header, mode=ControllerState.TRACKING)
            state.names, state.position = list(spec.action_names), [sent[stamp_ns]] * spec.dim
            commands.publish(state)
        send(topic, msg)

    robot.send = send_both
    assert wait_for(lambda: commands.get_subscription_count() and len(sent) > 10)
    began = len(robot.sent[spec.cameras[0].topic])
    episode = operator.start("touch the red cube").episode_id
    assert wait_for(lambda: len(robot.sent[spec.cameras[0].topic]) > began + 30)
    operator.label(outcome=1)
    operator.stop()
    run_export(
        folder, "--robot", spec_file, "--out", tmp_path / "set", "--fill", 100, "--keep-still"
    )
    dataset = Dataset(tmp_path / "set")
    (written,) = dataset.episodes
    rows = dataset.rows(written)
    assert written.length >= 10
    assert (written.tasks, written.outcome) == (("touch the red cube",), "success")
    assert dataset.told["episodes"][0]["bag"] == episode
    known = {np.float32(value) for value in sent.values()}
    assert set(rows.action_TD[:, 0]) <= known
    assert len(set(rows.action_TD[:, 0])) >= 10
    seen = list(dataset.pictures(written, "observation.images.front"))
    assert len(seen) == written.length
    assert seen[0].shape == (32, 32, 3)


def test_export_writes_a_data_set_and_a_page_that_says_what_became_of_every_bag(
    quick, tmp_path, capsys
):
    record(tmp_path / "bags", quick, 2)
    broken = Commanded(quick, seed=3, size=(48, 64)).record()
    kept = broken.without("/a1/controller_state").messages
    write_bag(tmp_path / "bags/silent", kept)
    lost = [m for m in broken.messages if m.topic != quick.cameras[1].topic]
    write_bag(tmp_path / "bags/zblind", lost)
    run_export(
        tmp_path / "bags",
        "--robot",
        quick.path,
        "--out",
        tmp_path / "set",
        "--instruction",
        "do it",
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "2 episodes, 40 frames at 10 Hz" in said
    assert re.search(r"left out 1 NO_COMMAND: .*silent, episode 0: nobody commanded", said)
    assert re.search(r"left out 1 TOPIC_MISSING: .*zblind: /wrist_camera", said)
    page = (tmp_path / "set_report.html").read_text()
    for told in ("left out: NO_COMMAND", "TOPIC_MISSING", "episodes written", "2 of 3", "20.0 Hz"):
        assert told in page
    assert page.count("data:image/jpeg;base64,") == 2 * 2 * 3
    assert len(Dataset(tmp_path / "set").episodes) == 2
    note = Dataset(tmp_path / "set").told["episodes"][1]
    (files,) = find_bags(tmp_path / "bags/bag1")
    assert (note["bag"], note["bag_digest"]) == ("bag1", files.digest())


def test_a_page_holds_no_markup_of_what_people_typed(quick, tmp_path):
    record(tmp_path / "bags", quick)
    text = "<script>alert('red')</script>"
    run_export(
        tmp_path / "bags", "--robot", quick.path, "--out", tmp_path / "set", "--instruction", text
    )
    assert "<script>" not in (tmp_path / "set_report.html").read_text()


def test_the_robot_is_the_one_that_was_recorded(quick, tmp_path, monkeypatch, capsys):
    custom = {"robot": "quick", "spec_digest": quick.digest, "instruction": "do it"}
    run = Commanded(quick, size=(48, 64)).record()
    write_bag(tmp_path / "bags/one", run.messages, **custom)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/robots").mkdir(parents=True)
    quick.path.rename(tmp_path / "config/robots/quick.yaml")
    assert exporting.recorded_spec([tmp_path / "bags"]).digest == quick.digest
    write_bag(tmp_path / "bags/other", run.messages, **{**custom, "spec_digest": "ab" * 32})
    with pytest.raises(
        SpecError, match=r"recorded with \(digest abababababab, now .*\); give --rob"
    ):
        exporting.recorded_spec([tmp_path / "bags"])
    write_bag(tmp_path / "bags/nobody", run.messages)
    with pytest.raises(BagError, match=r"recorded of , quick as their metadata says; give --robot"):
        exporting.recorded_spec([tmp_path / "bags"])
    with pytest.raises(SystemExit, match="1"):
        run_export(tmp_path / "bags", "--out", tmp_path / "set")
    assert "give --robot" in capsys.readouterr().out


def test_nothing_is_left_of_an_export_that_wrote_no_episode(quick, tmp_path, capsys):
    record(tmp_path / "bags", quick)
    with pytest.raises(SystemExit, match="1"):
        run_export(tmp_path / "bags", "--robot", quick.path, "--out", tmp_path / "set")
    said = " ".join(capsys.readouterr().out.split())
    assert "1 NO_FRAMES" in said and "NO_INSTRUCTION: nobody said what to do" in said
    assert not (tmp_path / "set").exists() and not (tmp_path / "set.draft").exists()
    assert (tmp_path / "set_report.html").is_file()


def test_a_data_set_of_lerobot_becomes_bags(tmp_path, root):
    spec = load_spec(root / "config/robots/franka.yaml")
    with pytest.raises(SystemExit, match="0"):
        importing.main([str(GOLDEN), "--robot", str(spec.path), "--out", str(tmp_path / "bags")])
    bags = open_bags(tmp_path / "bags", spec, ReadSettings())
    assert [bag.files.path.name for bag in bags] == ["episode_000000", "episode_000001"]
    for episode, bag in enumerate(bags):
        frames = list(bag.frames())
        assert len(frames) == golden.LENGTHS[episode]
        assert bag.files.custom["instruction"] == golden.TASKS[episode]
        for number, frame in enumerate(frames):
            state, _ = golden.numbers(episode, number)
            assert frame.observation.state_D.tobytes() == state.tobytes()
            assert frame.observation.instruction == golden.TASKS[episode]
            for camera, rgb in frame.observation.images.items():
                assert away(rgb, golden.picture(camera, episode, number)) < CODEC_MEAN
    stamps = [frame.observation.stamp_ns for frame in bags[0].frames()]
    assert np.diff(stamps).tolist() == [S // golden.FPS] * (golden.LENGTHS[0] - 1)


@pytest.mark.parametrize("path", ROBOTS, ids=lambda path: path.stem)
def test_what_is_written_for_any_robot_is_what_its_reader_reads(path, tmp_path):
    """Arms, grippers, topics, wire names, joints by place; faster than the cameras of the spec."""
    spec = load_spec(path)
    if any(gap for gripper in spec.grippers for gap in gripper.gaps if "command" not in gap):
        with pytest.raises(SpecError, match="is a GAP; measure it"):
            RobotMessages(BagWriter(tmp_path / "bag", {}), spec, Definitions())
        return
    bag = BagWriter(tmp_path / "bag", {})
    messages = RobotMessages(bag, spec, Definitions())
    rng = np.random.default_rng(0)
    made = []
    for number in range(4):
        state = rng.uniform(0, 1, spec.dim).astype(np.float32)
        images = {
            camera.name: rng.integers(
                0, 256, (camera.height or 24, camera.width or 32, 3), dtype=np.uint8
            )
            for camera in spec.cameras
        }
        made.append((images, state))
        messages.write(START + number * 20 * MS, images, state, state, "do it")
    bag.finish({})
    (read,) = open_bags(tmp_path / "bag", spec, ReadSettings())
    frames = list(read.frames())
    assert read.findings == ()
    assert len(frames) == 4
    for frame, (images, state) in zip(frames, made, strict=True):
        np.testing.assert_allclose(frame.observation.state_D, state, rtol=1e-6)
        for camera, rgb in images.items():
            np.testing.assert_array_equal(frame.observation.images[camera], rgb)


def test_broken_episodes_are_left_out_of_an_import_and_counted(quick, tmp_path, capsys):
    record(tmp_path / "bags", quick, 2)
    export(tmp_path / "set", tmp_path / "bags", quick)
    video = tmp_path / "set/videos/observation.images.wrist/chunk-000/file-000.mp4"
    video.write_bytes(b"\0" * 1000)
    command = [*map(str, (tmp_path / "set", "--robot", quick.path, "--out", tmp_path / "back"))]
    with pytest.raises(SystemExit, match="1"):
        importing.main(command)
    assert "UNREADABLE 2" in " ".join(capsys.readouterr().out.split())
    video.unlink()
    with pytest.raises(SystemExit, match="1"):
        importing.main(command)
    assert "VIDEO_MISSING 2" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit, match="1"):
        importing.main([*command, "--strict"])
    assert "VIDEO_MISSING" in capsys.readouterr().out
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--camera", "front"], "--camera is 'front'; give NAME=FEATURE"),
        (["--gripper", "open"], "--gripper is 'open'; give CLOSED:OPEN"),
        (["--gripper", "1:1"], "closed and open must differ"),
        (["--columns", "a,b"], "2 names (a, b) for the 8 columns of franka"),
    ],
)
def test_what_an_import_cannot_mean_is_said(root, tmp_path, capsys, arguments, said):
    robot = str(root / "config/robots/franka.yaml")
    with pytest.raises(SystemExit, match="1"):
        importing.main([str(GOLDEN), "--robot", robot, "--out", str(tmp_path / "b"), *arguments])
    assert said in " ".join(capsys.readouterr().out.split())


def test_a_spec_that_wants_other_pictures_refuses_them(tmp_path):
    small = load_spec(write_spec(tmp_path / "small.yaml", width=32, height=24))
    with pytest.raises(DatasetError, match=r"front' is 64x48, camera front of .* 32x24; set the"):
        Columns(Dataset(GOLDEN), small)


def test_pictures_that_change_their_size_end_an_export(quick, tmp_path):
    run = Commanded(quick, size=(48, 64)).record()
    topic = quick.cameras[0].topic
    for message in run.messages:
        if message.topic == topic and message.received_ns > START + S:
            stamp = message.msg.header.stamp
            pixels = np.zeros((24, 32, 3), np.uint8)
            message.msg = image(stamp.sec * S + stamp.nanosec, pixels)
            assert message.msgtype == IMAGE
    write_bag(tmp_path / "bags/bag", run.messages)
    with pytest.raises(DatasetError, match=r"episode 0, frame \d+: images are .*24, 32, 3"):
        export(tmp_path / "set", tmp_path / "bags", quick)
    assert not (tmp_path / "set.draft").exists()
