"""Who may move the arm while somebody corrects it, and when it is theirs again."""

import uuid
from dataclasses import replace

from controller_bench import TICK_NS, Bench

from a1_controllers.mode import Mode
from a1_core.chunk import Source
from a1_core.verdict import VerdictCode

CORRECTION = {"session_id": str(uuid.UUID(int=2)), "source": Source.TAKEOVER}


def test_a_take_over_keeps_the_arm_at_rest_until_it_is_given_back():
    bench = Bench().tracking()
    assert not bench.controller.give_back(bench.now).ok
    assert bench.judge(**CORRECTION) is VerdictCode.ACCEPTED
    assert bench.judge(seq=2) is VerdictCode.NOT_SOURCE
    bench.step(150)
    assert bench.mode is Mode.HOLD
    assert bench.judge(seq=3) is VerdictCode.NOT_SOURCE
    assert "a1/give_back" in bench.verdict.detail
    other = str(uuid.UUID(int=3))
    assert bench.judge(session_id=other, source=Source.TELEOP) is VerdictCode.NOT_SOURCE
    assert bench.judge(seq=2, **CORRECTION) is VerdictCode.ACCEPTED
    bench.step(20)
    assert bench.judge(session_id=other, source=Source.TAKEOVER) is VerdictCode.NOT_SOURCE
    assert bench.controller.give_back(bench.now).ok
    observed_ns = bench.now.node_ns - TICK_NS
    bench.step()
    assert bench.judge(seq=4) is VerdictCode.NOT_SOURCE  # still in motion
    bench.step(150)
    assert bench.judge(seq=5, stamp_ns=observed_ns) is VerdictCode.STALE
    assert bench.judge(seq=6) is VerdictCode.ACCEPTED
    assert bench.controller.admission.lock.source is Source.POLICY


def test_another_person_takes_over_at_rest_where_the_first_one_vanished():
    bench = Bench().armed()
    assert bench.judge(**CORRECTION) is VerdictCode.ACCEPTED
    other = CORRECTION | {"session_id": str(uuid.UUID(int=3))}
    assert bench.judge(**other) is VerdictCode.NOT_SOURCE
    bench.step(150)
    assert bench.judge(**other) is VerdictCode.ACCEPTED


def test_going_home_and_a_clock_jump_leave_a_take_over_arming_ends_it():
    bench = Bench().armed()
    assert bench.judge(reach=0.05, **CORRECTION) is VerdictCode.ACCEPTED
    bench.step(150)
    assert bench.controller.go_home(1.0, bench.now).ok
    bench.step(150)
    assert bench.mode is Mode.HOLD
    assert bench.judge() is VerdictCode.NOT_SOURCE
    bench.now = replace(bench.now, node_ns=bench.now.node_ns + 3_000_000_000)
    bench.step(10)
    assert bench.mode is Mode.HOLD
    assert bench.judge(seq=2) is VerdictCode.NOT_SOURCE
    bench.controller.disarm(bench.now)
    bench.armed()
    assert bench.judge(seq=3) is VerdictCode.ACCEPTED
