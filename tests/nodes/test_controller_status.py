"""What the controller says of itself on /diagnostics: a level, and what to do."""

import pytest
from controller_bench import READY, Bench

from a1_controllers.adapter import Readiness
from a1_controllers.report import Reporter
from a1_ros.diagnostics import Level


def told(bench: Bench, ready: Readiness = READY) -> tuple[Level, str]:
    status = Reporter(bench.controller).status(ready, bench.now)
    return status.level, status.message


def test_all_is_well_while_it_holds_and_tracks():
    level, message = told(Bench().armed())
    assert (level, message.partition(":")[0]) == (Level.OK, "HOLD")
    level, message = told(Bench().tracking())
    assert (level, message.partition(":")[0]) == (Level.OK, "TRACKING")


def test_what_keeps_it_from_being_armed_comes_before_the_mode():
    bench = Bench()
    bench.step(2)
    ready = Readiness(ok=False, message="the trajectory controller is not active; activate it")
    assert told(bench, ready) == (Level.WARN, ready.message)


def test_a_joint_state_that_does_not_come_is_named():
    bench = Bench()
    bench.speaking = False
    bench.step()
    level, message = told(bench)
    assert level is Level.WARN
    assert "joint state" in message


@pytest.mark.parametrize(
    ("enter", "level"),
    [
        (lambda bench: bench.controller.stop("by hand", bench.now), Level.WARN),
        (lambda bench: bench.controller.robot_fault("a reflex", bench.now), Level.ERROR),
    ],
    ids=["stop", "fault"],
)
def test_a_mode_that_stays_says_why_and_how_it_ends(enter, level):
    bench = Bench().tracking()
    enter(bench)
    bench.step()
    found, message = told(bench)
    assert found is level
    assert bench.reason in message
    assert message.endswith("then call reset, then arm")
    bench.step(100)
    assert bench.controller.reset(bench.now).ok
    assert told(bench)[0] is Level.OK
