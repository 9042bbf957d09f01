"""`ask --home`: the arm goes home, at rest, before a task is given."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from a1_msgs.msg import ControllerState
from controller_bench import SPEC

from a1_core.chunk import Source
from a1_policy_node.ask import Asker


class Line:
    """Where the command shows its line."""

    def update(self, line: str) -> None:
        self.told = line


@pytest.fixture
def asker(rig) -> Iterator[Asker]:
    node = Asker(1, use_global_arguments=False)
    yield node
    node.destroy_node()


def test_it_is_home_when_it_says_so(rig, asker):
    rig.tracking().operator.drive(False)
    assert rig.wait_for(lambda: rig.rests(0.0) and rig.operator.mode == ControllerState.HOLD)
    assert np.abs(rig.robot.q - SPEC.home).max() > 1e-3
    assert asker.go_home(0.5, threading.Event(), Line())
    assert rig.rests()
    np.testing.assert_allclose(rig.robot.q, SPEC.home, atol=1e-3)


def test_an_arm_that_was_stopped_on_its_way_is_not_home(rig, asker):
    rig.tracking().operator.drive(False)
    assert rig.wait_for(lambda: rig.rests(0.0) and rig.operator.mode == ControllerState.HOLD)

    def stop_it() -> None:
        assert rig.wait_for(lambda: rig.robot.speed > 0.01)
        rig.operator.call("stop")

    person = threading.Thread(target=stop_it)
    person.start()
    assert not asker.go_home(0.1, threading.Event(), Line())
    person.join()
    assert "stop was called" in asker.line


def test_an_arm_that_is_home_already_is_home(rig, asker):
    rig.armed()
    assert asker.go_home(0.5, threading.Event(), Line())
    assert rig.rests()
    np.testing.assert_allclose(rig.robot.q, SPEC.home, atol=1e-3)


def test_an_arm_that_a_person_took_over_on_its_way_is_not_home(rig, asker, parts):
    rig.tracking().operator.drive(False)
    assert rig.wait_for(lambda: rig.rests(0.0) and rig.operator.mode == ControllerState.HOLD)
    person = rig.ros.add(parts.Operator(rig.wait_for))
    person.reach = 0.1

    def take_over() -> None:
        assert rig.wait_for(lambda: rig.robot.speed > 0.01)
        person.send(source=Source.TAKEOVER)

    thread = threading.Thread(target=take_over)
    thread.start()
    assert not asker.go_home(0.1, threading.Event(), Line())
    thread.join()
    assert np.abs(rig.robot.q - SPEC.home).max() > 1e-3
    assert "not home: ended elsewhere" in asker.line


def test_disarmed_it_says_why_it_does_not_go(rig, asker):
    assert not asker.go_home(0.5, threading.Event(), Line())
    assert "needs the arm armed" in asker.line


def test_who_waits_may_give_up(rig, asker):
    rig.armed()
    stop = threading.Event()
    stop.set()
    assert not asker.go_home(0.5, stop, Line())
    assert "given up" in asker.line
