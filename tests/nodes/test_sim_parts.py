"""Barrier, pacing, gripper goals, episodes and statistics of the simulator: no ROS, no physics."""

import math

import pytest

from a1_sim.episode import Episode
from a1_sim.gripper import GripperGoal, GripperStatus
from a1_sim.lockstep import Barrier
from a1_sim.pacing import RealTimePacer
from a1_sim.statistics import paired_difference, wilson
from a1_world.tasks import make_task, parse_steps

MS = 1_000_000


def test_barrier_waits_for_the_policy_on_camera_ticks_only() -> None:
    barrier = Barrier(("policy", "controller"))
    barrier.close(20 * MS, camera_tick=False)
    assert barrier.missing == ("controller",)
    barrier.ack("controller", 20 * MS, 0)
    assert barrier.open
    barrier.close(40 * MS, camera_tick=True)
    barrier.ack("controller", 40 * MS, 0)
    assert barrier.missing == ("policy",)
    barrier.ack("policy", 40 * MS, 0)
    assert barrier.open


def test_barrier_waits_until_the_chunk_is_judged() -> None:
    barrier = Barrier(("policy", "controller"))
    barrier.close(20 * MS, camera_tick=True)
    barrier.ack("controller", 20 * MS, 3)
    barrier.ack("policy", 20 * MS, 4)
    assert barrier.missing == ("controller",)
    barrier.ack("controller", 20 * MS, 4)
    assert barrier.open


def test_barrier_knows_the_first_chunk_of_a_new_session() -> None:
    barrier = Barrier(("policy", "controller"))
    barrier.ack("policy", 20 * MS, 7)
    barrier.ack("controller", 20 * MS, 7)
    barrier.close(40 * MS, camera_tick=True)
    barrier.ack("controller", 40 * MS, 7)
    barrier.ack("policy", 40 * MS, 1)
    assert barrier.missing == ("controller",)
    barrier.ack("controller", 40 * MS, 1)
    assert barrier.open


def test_barrier_ignores_old_acknowledgements_and_counts_the_simulators_own_chunks() -> None:
    barrier = Barrier(("controller",))
    barrier.close(40 * MS, camera_tick=True)
    barrier.chunk_sent(1)
    barrier.ack("controller", 20 * MS, 1)
    assert not barrier.open
    barrier.ack("controller", 40 * MS, 0)
    assert not barrier.open
    barrier.ack("controller", 40 * MS, 1)
    assert barrier.open


def test_pacer_follows_the_wall_and_forgives_what_it_cannot_catch_up_with() -> None:
    pacer = RealTimePacer(max_debt_ns=100 * MS)
    assert pacer.target_ns(5000 * MS, 1000 * MS) == 1000 * MS
    assert pacer.target_ns(5050 * MS, 1000 * MS) == 1050 * MS
    # Two seconds in which nothing ran: only 100 ms of them are made up for.
    assert pacer.target_ns(7050 * MS, 1050 * MS) == 1150 * MS
    assert pacer.target_ns(7150 * MS, 1150 * MS) == 1250 * MS
    assert 0.0 < pacer.factor < 0.1


def test_gripper_goal_reaches_or_stalls() -> None:
    goal = GripperGoal(position_m=0.0, start_ns=0, start_m=0.04)
    assert goal.status(20 * MS, 0.038) is GripperStatus.MOVING
    assert goal.status(40 * MS, 0.0201) is GripperStatus.MOVING
    assert goal.status(280 * MS, 0.0200) is GripperStatus.MOVING
    assert goal.status(300 * MS, 0.0199) is GripperStatus.STALLED
    assert goal.status(320 * MS, 0.001) is GripperStatus.REACHED


def test_the_first_verdict_on_an_episode_counts() -> None:
    steps = (make_task("touch", "red"),)
    episode = Episode(number=1, seed=7, steps=steps, start_ns=1000 * MS)
    assert episode.judged(steps_done=0, failed=False).running
    done = episode.judged(steps_done=1, failed=True).judged(steps_done=0, failed=True)
    assert done.success and not done.failed and not done.running
    lost = episode.judged(steps_done=0, failed=True).judged(steps_done=1, failed=False)
    assert lost.failed and not lost.success and not lost.running
    assert episode.elapsed_s(2500 * MS) == pytest.approx(1.5)


def test_an_episode_of_two_steps_goes_on_until_both_are_done() -> None:
    steps = parse_steps("put the red cube in the bowl, then touch the blue cube")
    episode = Episode(number=1, seed=7, steps=steps, start_ns=0)
    half = episode.judged(steps_done=1, failed=False)
    assert half.running and half.task == steps[1]
    whole = half.judged(steps_done=2, failed=False)
    assert whole.success and whole.task == steps[1]
    assert whole.instruction == "put the red cube in the bowl, then touch the blue cube"
    assert half.judged(steps_done=1, failed=True).failed


def test_wilson_against_known_values() -> None:
    low, high = wilson(45, 50)
    assert (round(low, 4), round(high, 4)) == (0.7864, 0.9565)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == pytest.approx(1.0)


def test_paired_difference_against_newcombes_example() -> None:
    """Newcombe 1998, table I, a = 36, b = 12, c = 2, d = 0: method 10 gives 0.0569 to 0.3404."""
    first = [True] * 36 + [True] * 12 + [False] * 2
    second = [True] * 36 + [False] * 12 + [True] * 2
    difference, (low, high) = paired_difference(first, second)
    assert difference == pytest.approx(0.2)
    assert (round(low, 4), round(high, 4)) == (0.0569, 0.3404)
    assert paired_difference([], []) == (0.0, (-1.0, 1.0))


def test_equal_runs_have_no_difference_but_an_interval() -> None:
    difference, (low, high) = paired_difference([True] * 20, [True] * 20)
    assert difference == 0.0 and low < 0.0 < high and math.isclose(low, -high)
