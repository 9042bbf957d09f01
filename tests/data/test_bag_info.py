"""The command that says what bags hold."""

import pytest
from bag_rig import (
    EPISODE,
    FRANKA,
    START,
    Run,
    S,
    data_files,
    event,
    write_bag,
)

from a1_core.errors import SpecError
from a1_data.bag_info import main
from a1_data.share import find_spec


@pytest.fixture
def info(spec, capsys, monkeypatch):
    """`info(*arguments)`: exit code and what is printed, in one line."""
    monkeypatch.setenv("COLUMNS", "200")

    def info(*arguments) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--robot", str(spec.path)])
        return ended.value.code, " ".join(capsys.readouterr().out.split())

    return info


@pytest.fixture
def episodes(run) -> list:
    """A run with one episode in the middle."""
    other = Run(run.spec, messages=list(run.messages))
    for seconds, message in (
        (0.5, event(3, True, instruction="touch [red]")),
        (1.5, event(3, False, success=True)),
    ):
        other.add("/a1/episode", EPISODE, START + round(seconds * S), message)
    return sorted(other.messages, key=lambda message: message.received_ns)


def test_episodes_ticks_rates_and_refusals(info, episodes, bag_path):
    write_bag(bag_path, episodes)
    code, out = info(bag_path)
    assert code == 0
    for words in (
        "mcap, 1 files",
        "observations for franka",
        "/franka/joint_states 200 0 100.0 Hz - 3.0 ms",
        "camera front",
        "20.0 Hz - 12.0 ms",
        "3 touch [red] events success 0.9",
        "OUTSIDE_EPISODE",
    ):
        assert words in out


def test_all_bags_below_a_folder(info, run, tmp_path):
    few = run.between(0, 0.4)
    for name in ("one", "two"):
        write_bag(tmp_path / "all" / name, few, instruction="touch red")
    code, out = info(tmp_path / "all")
    assert code == 0
    assert out.count("touch red metadata") == 2


def test_a_damaged_bag_is_told_with_its_mend(info, episodes, bag_path):
    write_bag(bag_path, episodes)
    (file,) = data_files(bag_path)
    file.write_bytes(file.read_bytes()[:-90_000])
    code, out = info(bag_path)
    assert code == 0
    assert "FILE_DAMAGED" in out
    assert "mcap recover" in out


def test_a_bag_without_an_observation_is_told_and_fails(info, run, bag_path):
    topic = run.spec.cameras[1].topic
    write_bag(bag_path, run.without(topic).messages)
    code, out = info(bag_path, "--instruction", "touch red")
    assert code == 1
    assert f"TOPIC_MISSING {topic}: is not in the bag" in out


def test_options_reach_the_reader(info, episodes, bag_path):
    write_bag(bag_path, episodes)
    code, out = info(bag_path, "--no-events", "--as-live", "--period", 0.5, "--instruction", "x")
    assert code == 0
    assert "4 observations" in out
    assert "NOT_DUE" in out


def test_a_mistake_is_one_line(info, tmp_path):
    code, out = info(tmp_path / "nothing")
    assert code == 1
    assert out.startswith("bag_info: ")
    assert out.endswith("give a bag or a folder of bags")


def test_a_robot_is_found_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.chdir(FRANKA.parents[2])
    assert find_spec("franka").robot == "franka"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match="source the workspace, or give the path"):
        find_spec("franka")
    robots = tmp_path / "share" / "a1_bringup" / "config" / "robots"
    robots.mkdir(parents=True)
    (robots / "franka.yaml").write_text(FRANKA.read_text())
    assert find_spec("franka").path == robots / "franka.yaml"
    with pytest.raises(SpecError, match=r"robot 'frnaka'.*choose one of franka"):
        find_spec("frnaka")
