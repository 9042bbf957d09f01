"""The keyboard's keys and its live line, without a terminal."""

import pytest
from recorder_rig import only_bag
from rich.console import Console
from waiting import wait_for

from a1_recorder.keyboard import SILENT, Front, main, picture, press
from a1_recorder.pedal import Pedal


@pytest.fixture
def front(ros):
    return ros.add(Front("touch the red cube", "teleop"))


def shown(front) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(picture(front))
    return capture.get()


def test_keys_record_and_label(recorder, front, folder, spec_file):
    press(front, " ")
    assert wait_for(lambda: "RECORDING" in shown(front))
    assert wait_for(lambda: "/franka/joint_states" in shown(front))
    assert "GB" in shown(front)
    press(front, "s")
    (path,) = folder.iterdir()
    episode = only_bag(path, spec_file).episodes[0]
    assert (episode.outcome, episode.instruction_at(0)) == ("success", "touch the red cube")
    assert str(path) in front.message
    press(front, "d")
    assert list(folder.iterdir()) == []


def test_without_a_recorder_it_says_so(front):
    press(front, " ")
    assert front.message == SILENT
    assert SILENT in shown(front)


def test_it_needs_a_terminal(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([])
    assert exit_info.value.code == 1
    assert "terminal" in capsys.readouterr().out


def test_a_pedal_that_is_held_acts_once():
    acts = []
    pedal = Pedal({0: lambda: acts.append(0), 2: lambda: acts.append(2), -1: acts.clear})
    for buttons in ([1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1], [0], [1]):
        pedal.take(buttons)
    assert acts == [0, 2, 0]
