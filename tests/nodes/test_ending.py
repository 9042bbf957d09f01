"""How a node's process ends: in order, whatever the signals fall into."""

import signal
import subprocess
import sys

import pytest

# A node that is asked to end takes its time, until it is given a line.
SLOW = """
import sys
from rclpy.node import Node
from a1_ros.executor import run_node

class Slow(Node):
    def __init__(self):
        super().__init__("slow")
        self.create_timer(0.01, lambda: print("up", flush=True))
    def destroy_node(self):
        print("ending", flush=True)
        sys.stdin.readline()
        super().destroy_node()
        print("down", flush=True)

run_node(Slow)
"""
# A node that is interrupted inside a destructor, where Python ignores what is raised.
DEAF = """
import os, signal
from rclpy.node import Node
from a1_ros.executor import run_node

class Passing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

class Deaf(Node):
    def __init__(self):
        super().__init__("deaf")
        self.create_timer(0.01, lambda: Passing() and None)
    def destroy_node(self):
        super().destroy_node()
        print("down", flush=True)

run_node(Deaf)
"""
# A node that cannot be made.
WRONG = """
from a1_core.errors import A1Error
from a1_ros.executor import run_node

def wrong():
    raise A1Error("parameter robot is empty; give the file of a robot spec")

run_node(wrong)
"""


@pytest.fixture
def start():
    started: list[subprocess.Popen] = []

    def run(code: str) -> subprocess.Popen:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen([sys.executable, "-c", code], text=True, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def heard(process: subprocess.Popen, word: str) -> None:
    while (line := process.stdout.readline().strip()) != word:
        assert line, f"ended before it said {word}"


def test_an_end_that_takes_long_is_not_broken_off_by_the_launchers_next_signal(start):
    process = start(SLOW)
    heard(process, "up")
    process.send_signal(signal.SIGINT)
    heard(process, "ending")
    process.send_signal(signal.SIGTERM)
    process.stdin.write("go on\n")
    process.stdin.flush()
    heard(process, "down")
    assert process.wait(30.0) == 0


def test_who_does_not_end_at_all_is_ended_by_the_third_signal(start):
    process = start(SLOW)
    heard(process, "up")
    process.send_signal(signal.SIGINT)
    heard(process, "ending")
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM


def test_an_interrupt_that_python_swallows_ends_the_node_all_the_same(start):
    process = start(DEAF)
    heard(process, "down")
    assert process.wait(30.0) == 0


def test_a_node_that_cannot_be_made_says_why_in_one_line(start):
    _, said = start(WRONG).communicate(timeout=30.0)
    (line,) = said.strip().splitlines()
    assert "[FATAL]" in line
    assert line.endswith("[wrong]: parameter robot is empty; give the file of a robot spec")
    assert start(WRONG).wait(30.0) == 1
