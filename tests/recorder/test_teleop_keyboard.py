"""`drive` in a terminal: a key that is typed is a message on a1/keys."""

import os
import pty
import subprocess
import sys

import pytest
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Joy
from waiting import wait_for

from a1_recorder.teleop.controls import KEYBOARD
from a1_recorder.teleop.keyboard import main
from a1_ros.qos import RELIABLE


@pytest.fixture
def heard(ros) -> list[Joy]:
    messages: list[Joy] = []
    node: Node = ros.add(rclpy.create_node("ear", use_global_arguments=False))
    node.create_subscription(Joy, "a1/keys", messages.append, RELIABLE)
    return messages


def test_keys_that_are_typed_are_heard_and_q_lets_everything_go(heard):
    terminal, inside = pty.openpty()
    drive = subprocess.Popen(
        [sys.executable, "-m", "a1_recorder.teleop.keyboard"], stdin=inside, stdout=inside
    )
    os.close(inside)
    try:
        assert wait_for(lambda: heard, 30.0)
        assert not any(heard[-1].buttons)
        os.write(terminal, b"w")
        assert wait_for(lambda: any(msg.axes[0] == 1.0 for msg in heard))
        assert wait_for(lambda: not any(heard[-1].buttons))
        os.write(terminal, b"t")
        assert wait_for(lambda: heard[-1].buttons[KEYBOARD.take_over])
        os.write(terminal, b"q")
        assert drive.wait(10.0) == 0
        assert wait_for(lambda: not any(heard[-1].buttons))
    finally:
        drive.kill()
        drive.wait()
        os.close(terminal)


def run_in_a_terminal(**environment: str) -> tuple[int, str]:
    """Exit status and output of `drive`, which is expected to leave by itself."""
    terminal, inside = pty.openpty()
    drive = subprocess.run(
        [sys.executable, "-m", "a1_recorder.teleop.keyboard"],
        stdin=inside,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        timeout=60.0,
    )
    os.close(inside)
    os.close(terminal)
    return drive.returncode, drive.stdout.decode()


def test_it_refuses_to_reach_beyond_this_machine():
    status, text = run_in_a_terminal(ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET")
    assert status == 1
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" in text


def test_it_needs_a_terminal(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([])
    assert exit_info.value.code == 1
    assert "terminal" in capsys.readouterr().out
