"""The controller without ROS, on a made-up clock: verdicts, arming, braking, resuming."""

import uuid
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from controller_bench import HOME_D, READY, SPEC, TICK_NS, Bench

from a1_controllers.adapter import Readiness
from a1_controllers.mode import Mode
from a1_controllers.output import Output
from a1_controllers.played_window import played
from a1_controllers.settings import Now
from a1_core.chunk import ActionSpace, Source
from a1_core.verdict import VerdictCode

STREAMED = replace(
    SPEC, commands=tuple(replace(each, adapter="joint_state") for each in SPEC.commands)
)
"""The same arm, whose set-points are streamed by a clock that nobody sets."""


def test_arming_needs_state_a_ready_robot_and_an_arm_at_rest_within_limits():
    bench = Bench()
    assert "/franka/joint_states" in bench.controller.arm(READY, bench.now).message
    bench.step(2)
    missing = Readiness(ok=False, message="load fr3_arm_controller")
    assert bench.controller.arm(missing, bench.now).message == missing.message
    bench.controller.sensing.speed = 0.5
    assert "moves" in bench.controller.arm(READY, bench.now).message
    bench.controller.sensing.speed = 0.0
    bench.arm_D[3] = 0.0
    bench.step()
    assert "fr3_joint4" in bench.controller.arm(READY, bench.now).message
    assert bench.mode is Mode.DISARMED


def test_hardware_needs_its_operating_limits_confirmed():
    bench = Bench(hardware=True)
    bench.step(2)
    message = bench.controller.arm(READY, bench.now).message
    assert SPEC.digest[:12] in message
    confirmed = Bench(hardware=True, confirmed_limits=SPEC.digest[:12]).armed()
    assert confirmed.mode is Mode.HOLD


def test_clock_offset_refuses_arming():
    bench = Bench()
    bench.step(2)
    ahead_ns = bench.now.node_ns + 300_000_000
    bench.controller.sensing.push(0, ahead_ns, SPEC.joint_names, HOME_D[:7], np.zeros(7), bench.now)
    assert "synchronise the clocks" in bench.controller.arm(READY, bench.now).message


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"robot": "panda"}, VerdictCode.WRONG_ROBOT),
        ({"spec_digest": "0" * 64}, VerdictCode.WRONG_SPEC),
        ({"action_space": ActionSpace.EE_POSE}, VerdictCode.WRONG_SPACE),
        ({"names": (*SPEC.joint_names, "hand")}, VerdictCode.WRONG_SHAPE),
        ({"actions_HD": np.full((16, 8), np.nan, np.float32)}, VerdictCode.NON_FINITE),
        ({"reach": 60.0}, VerdictCode.STEP),
        ({"reach": 3.0}, VerdictCode.LIMIT),
        ({"action_space": ActionSpace.JOINT_POSITION}, VerdictCode.STEP),
    ],
)
def test_a_bad_chunk_gets_its_verdict_and_moves_nothing(changes, code):
    bench = Bench().armed()
    assert bench.judge(**changes) is code, bench.verdict
    assert bench.verdict.detail
    bench.outputs.clear()
    bench.step(10)
    assert bench.mode is Mode.HOLD
    assert all(output.window is None and output.grippers == () for output in bench.outputs)
    assert bench.controller.counters.chunks_refused == 1


def test_late_replayed_future_and_early_chunks():
    bench = Bench().armed()
    before_arming_ns = bench.now.node_ns - 2 * TICK_NS
    assert bench.judge(stamp_ns=before_arming_ns) is VerdictCode.STALE
    assert bench.judge(stamp_ns=bench.now.node_ns + 300_000_000) is VerdictCode.STALE
    stamp_ns = bench.now.node_ns
    assert bench.judge(seq=4) is VerdictCode.ACCEPTED
    assert bench.judge(seq=4) is VerdictCode.OUT_OF_ORDER
    assert bench.judge(seq=3) is VerdictCode.OUT_OF_ORDER
    bench.step(60)
    assert bench.judge(seq=5, stamp_ns=stamp_ns) is VerdictCode.STALE


def test_one_session_and_source_hold_the_arm_until_it_rests():
    bench = Bench().tracking()
    other = str(uuid.UUID(int=2))
    assert bench.judge(session_id=other) is VerdictCode.NOT_SOURCE
    assert bench.judge(session_id=other, source=Source.TELEOP) is VerdictCode.NOT_SOURCE
    bench.step(150)
    assert bench.mode is Mode.HOLD
    assert bench.judge(session_id=other, source=Source.TELEOP) is VerdictCode.ACCEPTED


def test_modes_that_refuse_chunks_say_so():
    bench = Bench()
    bench.step(2)
    assert bench.judge() is VerdictCode.NOT_ARMED
    bench.controller.stop("test", bench.now)
    assert bench.judge() is VerdictCode.STOPPED
    shadow = Bench(shadow=True)
    shadow.step(2)
    assert shadow.judge() is VerdictCode.SHADOW
    assert shadow.judge() is VerdictCode.OUT_OF_ORDER
    shadow.step(5)
    assert all(output.window is None for output in shadow.outputs)


def test_stop_brakes_at_once_latches_and_only_reset_leads_out():
    bench = Bench().tracking()
    speed = bench.speed
    assert speed > 0.02
    output = bench.controller.stop("test", bench.now)
    assert output.braking
    assert output.grippers in ((), (None,))
    assert np.all(output.window[-1].qd_D == 0.0)
    braked_s = (output.window[-1].time_ns - output.window[0].time_ns) * 1e-9
    assert braked_s < speed / 6.0 + 2 * 6.0 / 600.0 + 0.03
    bench.step(30)
    assert bench.mode is Mode.STOPPED
    assert bench.speed == 0.0
    assert not bench.controller.arm(READY, bench.now).ok
    assert bench.controller.reset(bench.now).ok
    assert bench.mode is Mode.DISARMED
    assert bench.controller.arm(READY, bench.now).ok


def test_disarm_sends_one_last_window_and_nothing_after():
    bench = Bench().tracking()
    answer, output = bench.controller.disarm(bench.now)
    assert answer.ok
    assert output.braking
    assert output.grippers in ((), (None,))
    bench.outputs.clear()
    bench.step(20)
    assert all(output == Output() or output.window is None for output in bench.outputs)


def test_silent_policy_brakes_after_the_open_loop_time():
    bench = Bench().armed()
    assert bench.judge(reach=0.6) is VerdictCode.ACCEPTED
    ticks = 0
    while bench.mode is Mode.TRACKING:
        bench.step()
        ticks += 1
    assert ticks * 0.02 == pytest.approx(SPEC.policy.max_open_loop_s, abs=0.05)
    assert "no chunk" in bench.reason
    bench.step(40)
    assert bench.speed == 0.0
    assert bench.mode is Mode.HOLD
    assert bench.judge(seq=2) is VerdictCode.ACCEPTED
    assert bench.mode is Mode.TRACKING


def test_lost_joint_state_brakes_at_once_and_simulation_resumes():
    bench = Bench().tracking()
    bench.speaking = False
    bench.step(6)
    assert bench.mode is Mode.HOLD
    assert "/franka/joint_states" in bench.reason
    bench.step(15)
    assert bench.speed == 0.0
    assert bench.judge(seq=2) is VerdictCode.STALE
    bench.speaking = True
    bench.step(2)
    assert "back" in bench.reason
    assert bench.judge(seq=3) is VerdictCode.ACCEPTED


def test_not_a_number_in_the_joint_state_is_a_lost_joint_state():
    bench = Bench().tracking()
    bench.arm_D = bench.arm_D.copy()
    bench.speaking = False
    for _ in range(8):
        bench.step()
        bad = np.full(7, np.nan)
        bench.controller.sensing.push(
            0, bench.now.node_ns, SPEC.joint_names, bad, np.zeros(7), bench.now
        )
    assert bench.mode is Mode.HOLD
    assert "not finite" in bench.reason


@pytest.mark.parametrize("jump_s", [3.0, -3.0])
def test_a_chunk_right_after_a_clock_jump_moves_nothing(jump_s):
    bench = Bench(spec=STREAMED).tracking()
    before = bench.controller.setpoint
    bench.now = replace(bench.now, node_ns=bench.now.node_ns + round(jump_s * 1e9))
    assert bench.judge(seq=2) is VerdictCode.STALE
    bench.step()
    assert np.abs(bench.controller.setpoint.q_D - before.q_D).max() < 0.02 * 0.2


@pytest.mark.parametrize(("hardware", "mode"), [(True, Mode.FAULT), (False, Mode.HOLD)])
@pytest.mark.parametrize(("spec", "jump_s"), [(STREAMED, 3.0), (STREAMED, -3.0), (SPEC, -3.0)])
def test_clock_jump_brakes_without_a_jump_of_the_command(hardware, mode, spec, jump_s):
    bench = Bench(spec=spec, hardware=hardware, confirmed_limits=SPEC.digest[:12]).tracking()
    before = bench.controller.setpoint
    bench.now = replace(bench.now, node_ns=bench.now.node_ns + round(jump_s * 1e9))
    bench.step()
    after = bench.controller.setpoint
    assert bench.mode is mode
    assert "jumped" in bench.reason
    assert np.abs(after.q_D - before.q_D).max() < 0.02 * 0.2
    assert bench.outputs[-1].braking
    bench.step(30)
    assert bench.speed == 0.0


@pytest.mark.parametrize("chunk_first", [False, True])
@pytest.mark.parametrize("jump_s", [0.3, 3.0])
def test_a_trajectory_controller_went_forward_with_the_clock(jump_s, chunk_first):
    """It is further along the window that it has, or at its end; nothing may pull it back."""
    bench = Bench().tracking()
    went = played(bench.outputs[-1].window, bench.now.node_ns)
    bench.now = replace(bench.now, node_ns=bench.now.node_ns + round(jump_s * 1e9))
    bench.arm_D = went.at(jump_s)
    if chunk_first:
        assert bench.judge(seq=2) is VerdictCode.STALE
        assert "jumped" in bench.reason
    output = bench.step()
    assert bench.mode is Mode.HOLD
    np.testing.assert_allclose(bench.controller.setpoint.q_D, went.at(jump_s + 0.02), atol=1e-3)
    if jump_s > went.times_K[-1]:
        assert not output.window, "the arm rests already"
    bench.step(30)
    assert bench.speed == 0.0
    assert bench.judge(seq=3) is VerdictCode.ACCEPTED


@pytest.mark.parametrize("chunk_first", [False, True])
@pytest.mark.parametrize("stall_s", [0.11, 0.3, 0.8])
def test_a_loop_that_stood_still_goes_on_from_where_its_last_window_took_the_arm(
    stall_s, chunk_first
):
    """The robot follows a window to the end of its braking tail, whatever the plan says by then."""
    bench = Bench().tracking()
    went = played(bench.outputs[-1].window, bench.now.node_ns)
    stalled_ns = round(stall_s * 1e9)
    bench.now = Now(
        node_ns=bench.now.node_ns + stalled_ns, watch_ns=bench.now.watch_ns + stalled_ns
    )
    bench.arm_D = went.at(stall_s)
    bench.speak()
    if chunk_first:
        assert bench.judge(seq=2, stamp_ns=bench.now.node_ns) is VerdictCode.ACCEPTED
    bench.step()
    assert np.abs(bench.controller.setpoint.q_D - went.at(stall_s + 0.02))[:7].max() < 2e-3
    assert bench.controller.counters.late_ticks == 1
    if not chunk_first:
        assert bench.mode is Mode.HOLD
        assert "stood still" in bench.reason
        assert bench.judge(seq=2) is VerdictCode.ACCEPTED


def test_a_stop_after_the_loop_stood_still_brakes_from_where_the_arm_is():
    bench = Bench().tracking()
    went = played(bench.outputs[-1].window, bench.now.node_ns)
    pause_s = 0.11
    bench.now = Now(
        node_ns=bench.now.node_ns + round(pause_s * 1e9),
        watch_ns=bench.now.watch_ns + round(pause_s * 1e9),
    )
    output = bench.controller.stop("stop was called", bench.now)
    assert np.abs(output.window[0].q_D - went.at(pause_s))[:7].max() < 1e-4
    assert bench.mode is Mode.STOPPED


def test_a_loop_that_stood_still_before_a_plan_was_sent_leaves_the_arm_at_rest():
    bench = Bench().armed()
    bench.step(50)
    assert bench.judge() is VerdictCode.ACCEPTED
    bench.now = Now(
        node_ns=bench.now.node_ns + 500_000_000, watch_ns=bench.now.watch_ns + 500_000_000
    )
    bench.step()
    assert np.abs(bench.controller.setpoint.q_D - HOME_D).max() < 1e-9
    assert bench.judge(seq=2) is VerdictCode.ACCEPTED
    bench.step(10)
    assert bench.mode is Mode.TRACKING


def test_a_late_tick_within_the_window_is_counted_and_changes_nothing():
    bench = Bench().tracking()
    late = replace(
        bench.now, node_ns=bench.now.node_ns + 60_000_000, watch_ns=bench.now.watch_ns + 60_000_000
    )
    bench.now = late
    bench.step()
    assert bench.mode is Mode.TRACKING
    assert bench.controller.counters.late_ticks == 1


def test_an_arm_that_does_not_follow_is_a_fault():
    bench = Bench().tracking()
    bench.controller.sensing.measured_D = HOME_D - 0.5
    bench.speaking = False
    bench.step()
    assert bench.mode is Mode.FAULT
    assert "fr3_arm_controller" in bench.reason


def test_hardware_disarms_after_a_long_hold():
    bench = Bench(hardware=True, confirmed_limits=SPEC.digest[:12], hold_timeout_s=1.0).armed()
    bench.step(52)
    assert bench.mode is Mode.DISARMED
    assert "arm again" in bench.reason
    simulated = Bench(hold_timeout_s=1.0).armed()
    simulated.step(60)
    assert simulated.mode is Mode.HOLD


def test_gripper_goals_only_on_change():
    bench = Bench().armed()
    actions_HD = np.zeros((16, 8), np.float32)
    actions_HD[:8, 7] = 0.95
    bench.judge(actions_HD=actions_HD)
    bench.step(100)
    wishes = [wish for output in bench.outputs for wish in output.grippers if wish is not None]
    assert wishes == [0.0]


def test_go_home_is_slow_within_limits_and_only_from_hold():
    bench = Bench()
    bench.arm_D[0] = 0.5
    bench.step(2)
    assert not bench.controller.go_home(0.3, bench.now).ok
    bench.armed()
    assert not bench.controller.go_home(0.0, bench.now).ok
    assert bench.controller.go_home(0.3, bench.now).ok
    assert bench.judge() is VerdictCode.NOT_SOURCE
    fastest = 0.0
    for _ in range(500):
        bench.step()
        fastest = max(fastest, bench.speed)
        if bench.mode is Mode.HOLD:
            break
    assert fastest < 0.3 * 2.0 * 1.05
    assert bench.mode is Mode.HOLD
    assert np.abs(bench.controller.setpoint.q_D[:7] - SPEC.home).max() < 1e-6


def test_windows_end_at_rest_and_continue_each_other():
    bench = Bench().armed()
    seq = 0
    for tick in range(150):
        if tick % 15 == 0 and tick < 90:
            seq += 1
            reach = 0.25 if seq % 2 else -0.2
            assert bench.judge(seq=seq, reach=reach) is VerdictCode.ACCEPTED, bench.verdict
        bench.step()
    windows = [output.window for output in bench.outputs if output.window is not None]
    limits = SPEC.operating_limits
    for window in windows:
        assert np.all(window[-1].qd_D == 0.0)
        assert np.all(np.diff([point.time_ns for point in window]) > 0)
        assert all(np.all(np.abs(p.qd_D[:7]) <= limits.velocity * 1.001) for p in window)
        assert all(np.all(np.abs(p.qdd_D[:7]) <= limits.acceleration * 1.001) for p in window)
    for before, after in pairwise(windows):
        jerk = np.abs(after[0].qdd_D[:7] - before[0].qdd_D[:7]) / 0.02
        assert np.all(jerk <= limits.jerk * 1.001)


def test_a_driver_that_does_not_stamp_its_joint_states_is_told_of():
    bench = Bench()
    bench.step(2)
    bench.speaking = False
    names, unstamped_ns = list(SPEC.joint_names), 0
    for _ in range(10):
        bench.step()
        bench.controller.sensing.push(0, unstamped_ns, names, HOME_D[:7], np.zeros(7), bench.now)
    answer = bench.controller.arm(READY, bench.now)
    assert not answer.ok
    assert "messages come, but the stamp 0.000 s" in answer.message
    bench.speak()
    assert bench.controller.arm(READY, bench.now).ok
