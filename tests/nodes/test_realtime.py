"""A real-time priority, where the system allows it, and what is said where it does not."""

import os
import subprocess
import sys

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from a1_controllers.node import ControllerNode
from a1_ros import realtime

SPEC = "config/robots/franka.yaml"
# In a process of its own: this one keeps its priority.
IN_A_THREAD = """
import os, threading
from a1_ros.realtime import ask_for_realtime
said = ask_for_realtime(1)
heard = []
thread = threading.Thread(target=lambda: heard.append(os.sched_getscheduler(0)))
thread.start(); thread.join()
print(said or heard[0] == os.SCHED_FIFO == os.sched_getscheduler(0))
"""


def test_threads_that_are_started_later_have_it_too():
    said = subprocess.run([sys.executable, "-c", IN_A_THREAD], capture_output=True, text=True)
    assert said.stdout.strip() == "True" or "/etc/security/limits.d" in said.stdout, said


@pytest.mark.parametrize("priority", [0, 7])
def test_a_controller_that_may_not_have_it_says_what_to_do(ros, root, monkeypatch, priority):
    asked = []

    def refuse(thread, policy, parameters):
        asked.append(parameters.sched_priority)
        raise PermissionError

    monkeypatch.setattr(realtime.os, "sched_setscheduler", refuse)
    values = {"robot": str(root / SPEC), "hardware": False, "realtime_priority": priority}
    node = ros.add(
        ControllerNode(
            parameter_overrides=[Parameter(k, value=v) for k, v in values.items()],
            use_global_arguments=False,
        )
    )
    done = node.trigger_configure()
    assert asked == ([priority] if priority else [])
    assert done is (
        TransitionCallbackReturn.FAILURE if priority else TransitionCallbackReturn.SUCCESS
    )
    if priority:
        assert f"rtprio {priority}" in node._failure
    assert os.sched_getscheduler(0) != os.SCHED_FIFO
