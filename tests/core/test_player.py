from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from player_rig import MS, PERIOD_NS, line, offered, samples, started

from a1_core.player import ChunkPlayer, Setpoint
from a1_core.spec import RobotSpec, load_spec
from a1_core.splice import keeps_limits, needed_slow_down, read_rows
from a1_core.verdict import VerdictCode


def test_before_any_chunk_it_rests_where_it_was_started(spec: RobotSpec) -> None:
    setpoint = started(spec).sample(5 * MS)
    np.testing.assert_array_equal(setpoint.q_D, [*spec.home, 1.0])
    assert setpoint.done
    assert setpoint.row == -1
    assert not setpoint.qd_D.any()


def test_the_first_chunk_from_rest_begins_at_row_0(spec: RobotSpec) -> None:
    player = started(spec)
    offer = offered(player, line(spec, 0.3), stamp_ms=0, now_ms=450)
    assert offer.accepted
    assert offer.anchored
    assert offer.first_row == 0
    rows = [s.row for s in samples(player, 450, 549, 551, 951)]
    assert rows == [0, 0, 1, 5]
    late = player.sample(950 * MS)
    np.testing.assert_allclose(late.q_D[:7], spec.home + 0.3 * 0.5, atol=1e-6)


def test_later_rows_are_picked_by_their_due_time(spec: RobotSpec) -> None:
    player = started(spec)
    offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
    offer = offered(player, line(spec, 0.3, start=0.09), stamp_ms=300, now_ms=520)
    assert offer.accepted
    assert not offer.anchored
    assert offer.first_row == 2
    setpoint = player.sample(1300 * MS)
    assert setpoint.row == 10
    np.testing.assert_allclose(setpoint.q_D[:7], spec.home + 0.09 + 0.3, atol=1e-6)


def test_even_motion_is_kept_through_a_splice(spec: RobotSpec) -> None:
    player = started(spec)
    offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
    offered(player, line(spec, 0.3, start=0.15), stamp_ms=500, now_ms=613)
    for setpoint in samples(player, *range(600, 1500, 7)):
        np.testing.assert_allclose(setpoint.qd_D[:7], 0.3, atol=1e-6)


def test_plans_end_at_rest_on_their_last_row(spec: RobotSpec) -> None:
    player = started(spec)
    rows = line(spec, 0.3, opening=0.0)
    offered(player, rows, stamp_ms=0, now_ms=0)
    assert not player.done(1600 * MS)
    setpoint = player.sample(2500 * MS)
    assert setpoint.done
    assert setpoint.row == 15
    np.testing.assert_allclose(setpoint.q_D, rows[-1], atol=1e-9)
    np.testing.assert_array_equal(setpoint.qd_D, np.zeros(8))
    assert player.rows_applied == 16


def test_rows_applied_counts_what_was_played(spec: RobotSpec) -> None:
    player = started(spec)
    offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
    counts = []
    for t in (0, 99, 101, 350, 999):
        player.sample(t * MS)
        counts.append(player.rows_applied)
    assert counts == [0, 0, 1, 3, 9]
    offered(player, line(spec, 0.3, start=0.3), stamp_ms=750, now_ms=1000)
    assert player.rows_applied == 0
    player.sample(1060 * MS)
    assert player.rows_applied == 1


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (np.full((16, 8), np.nan), VerdictCode.NON_FINITE),
        (np.full((16, 8), np.inf), VerdictCode.NON_FINITE),
        (np.zeros((16, 7)), VerdictCode.WRONG_SHAPE),
        (np.zeros((1, 8)), VerdictCode.WRONG_SHAPE),
        (np.zeros((16, 8)), VerdictCode.LIMIT),  # joints 4 and 6 have no zero
    ],
)
def test_refused_offers_leave_the_plan(
    spec: RobotSpec, rows: np.ndarray, code: VerdictCode
) -> None:
    player = started(spec)
    offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
    before = [s.q_D for s in samples(player, 300, 900)]
    offer = offered(player, rows, stamp_ms=100, now_ms=200)
    assert offer.code is code
    assert offer.detail
    np.testing.assert_array_equal([s.q_D for s in samples(player, 300, 900)], before)


def test_one_nan_anywhere_never_passes(spec: RobotSpec) -> None:
    for row in range(16):
        for column in range(8):
            rows = line(spec, 0.1)
            rows[row, column] = np.nan
            assert not offered(started(spec), rows, stamp_ms=0, now_ms=0).accepted


def test_overdue_rows_are_stale_unless_at_rest(spec: RobotSpec) -> None:
    player = started(spec)
    offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
    assert offered(player, line(spec, 0.3), stamp_ms=-1000, now_ms=510).code is VerdictCode.STALE
    assert offered(player, line(spec, 0.0, start=0.45), stamp_ms=0, now_ms=9000).anchored


def test_too_fast_rows_are_slowed(spec: RobotSpec) -> None:
    player = started(spec)
    rows = np.repeat([[*spec.home, 1.0]], 16, axis=0)
    rows[:, 1] += 0.05 * np.arange(16)  # 0.5 rad/s for joint 2
    assert offered(player, rows, stamp_ms=0, now_ms=0).slow_down == pytest.approx(1.0)
    player.start(rows[0])
    rows[:, 1] = spec.home[1] + 0.15 * np.arange(16)  # 1.5 rad/s, limit 1.0
    rows[11:, 1] = rows[10, 1]
    offer = offered(player, rows, stamp_ms=0, now_ms=0)
    assert offer.accepted
    assert offer.slow_down >= 1.5
    assert player.sample(9000 * MS).q_D[1] == pytest.approx(rows[-1, 1])


def test_the_gripper_has_a_pace_of_its_own(spec: RobotSpec) -> None:
    player = started(spec, opening=1.0)
    offer = offered(player, line(spec, 0.2, opening=0.0), stamp_ms=0, now_ms=0)
    assert offer.slow_down == 1.0
    openings = [s.q_D[7] for s in samples(player, *range(0, 500, 10))]
    steps = np.diff(openings)
    assert (steps <= 1e-12).all()
    assert (steps >= -spec.operating_limits.gripper_velocity * 0.01 - 1e-9).all()
    assert openings[-1] == 0.0


def test_needed_slow_down_by_formula(spec: RobotSpec) -> None:
    limits = spec.operating_limits
    t = 0.1 * np.arange(16)[:, None]
    assert needed_slow_down(t * limits.velocity, 0.1, limits) == pytest.approx(1.0)
    assert needed_slow_down(2.0 * t * limits.velocity, 0.1, limits) == pytest.approx(2.0)
    bend = np.zeros((3, 7))
    bend[2] = 4.0 * 6.0 * 0.01  # second difference of 4 times the acceleration limit
    velocity = float((bend[2] / 0.1 / limits.velocity).max())
    assert needed_slow_down(bend, 0.1, limits) == pytest.approx(max(2.0, velocity))


def test_reading_rows_keeps_to_their_hull_and_to_lines() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(16, 7))
    x = np.linspace(0.0, 15.0, 301)
    read = read_rows(rows, x)
    np.testing.assert_allclose(read[[0, -1]], rows[[0, -1]], atol=1e-12)
    assert (read <= rows.max(axis=0) + 1e-12).all()
    assert (read >= rows.min(axis=0) - 1e-12).all()
    line = np.arange(16.0)[:, None] * rng.normal(size=7)
    np.testing.assert_allclose(read_rows(line, x), x[:, None] * line[1], atol=1e-12)


def test_limit_check_sees_nan_and_each_limit(spec: RobotSpec) -> None:
    limits = spec.operating_limits
    still = np.repeat(spec.home[None], 20, axis=0)
    t = 0.025 * np.arange(20)[:, None]
    assert keeps_limits(still, 0.025, limits)
    assert keeps_limits(still + 0.9 * limits.velocity * (t - 0.25), 0.025, limits)
    assert not keeps_limits(still + 1.1 * limits.velocity * (t - 0.25), 0.025, limits)
    assert not keeps_limits(still + 1.1 * limits.acceleration * t**2 / 2, 0.025, limits)
    assert not keeps_limits(still + 1.1 * limits.jerk * t**3 / 6, 0.025, limits)
    assert not keeps_limits(still + np.linspace(0, np.nan, 20)[:, None], 0.025, limits)


# Random lives of a player.

chunks = st.tuples(
    st.integers(0, 2**32 - 1),  # seed of the rows
    st.integers(20, 600),  # ms until the next event
    st.integers(0, 250),  # ms the chunk took
    st.floats(0.0, 1.2),  # speed as a share of the limits
    st.integers(0, 5),  # committed rows
    st.sampled_from(["offer", "offer", "offer", "offer", "brake"]),
)


def _random_rows(seed: int, spec: RobotSpec, base: np.ndarray, speed: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    limits = spec.operating_limits
    velocity = rng.uniform(-speed, speed, 7) * limits.velocity
    rows = np.empty((16, 8))
    rows[:, :7] = base[:7] + velocity * 0.1 * np.arange(16)[:, None]
    rows[:, :7] += rng.normal(0.0, 0.003, (16, 7)) + rng.normal(0.0, 0.01, 7)
    margin = 2e-3
    rows[:, :7] = np.clip(
        rows[:, :7], limits.position_lower + margin, limits.position_upper - margin
    )
    rows[:, 7] = rng.random(16)
    return rows


@given(st.lists(chunks, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_lives_are_smooth_and_inside_the_limits(franka: RobotSpec, events: list) -> None:
    spec, limits = franka, franka.operating_limits
    player = started(spec)
    now_ms = 0
    track: list[Setpoint] = []
    for seed, wait_ms, age_ms, speed, committed, kind in events:
        before = player.sample(now_ms * MS)
        if kind == "brake":
            player.brake(now_ms * MS)
        else:
            player.offer(
                _random_rows(seed, spec, before.q_D, speed),
                stamp_ns=(now_ms - age_ms) * MS,
                period_ns=PERIOD_NS,
                now_ns=now_ms * MS,
                committed_rows=committed,
            )
        after = player.sample(now_ms * MS)
        np.testing.assert_allclose(after.q_D, before.q_D, atol=1e-9)
        np.testing.assert_allclose(after.qd_D[:7], before.qd_D[:7], atol=1e-7)
        np.testing.assert_allclose(after.qdd_D[:7], before.qdd_D[:7], atol=1e-6)
        _check_window(player, now_ms * MS, spec)
        track += samples(player, *range(now_ms, now_ms + wait_ms, 4))
        now_ms += wait_ms
    player.brake(now_ms * MS)
    track += samples(player, *range(now_ms, now_ms + 1000, 4))
    assert track[-1].done
    _check_limits(track, limits)


@pytest.fixture(scope="module")
def franka(franka_path: object) -> RobotSpec:
    return load_spec(str(franka_path))


def _check_limits(track: list[Setpoint], limits: object) -> None:
    slack = 1.0 + 1e-5
    q = np.array([s.q_D for s in track])
    qd = np.array([s.qd_D for s in track])[:, :7]
    qdd = np.array([s.qdd_D for s in track])[:, :7]
    t = np.array([s.time_ns for s in track]) / 1e9
    dt = np.diff(t)[:, None]
    keep = dt[:, 0] > 0
    assert np.isfinite(q).all()
    assert (q[:, :7] >= limits.position_lower - 1e-9).all()
    assert (q[:, :7] <= limits.position_upper + 1e-9).all()
    assert (q[:, 7] >= 0.0).all()
    assert (q[:, 7] <= 1.0).all()
    assert (np.abs(qd) <= limits.velocity * slack).all()
    assert (np.abs(qdd) <= limits.acceleration * slack).all()
    jerk = np.abs(np.diff(qdd, axis=0)[keep] / dt[keep])
    assert (jerk <= limits.jerk * slack + 1e-3).all()
    # What is sent is one motion: steps are what velocity and acceleration say.
    said = (qd[:-1] + qd[1:]) / 2.0 * dt - (qdd[1:] - qdd[:-1]) * dt**2 / 12.0
    assert (np.abs(np.diff(q[:, :7], axis=0) - said) <= limits.jerk * dt**3).all()


def _check_window(player: ChunkPlayer, now_ns: int, spec: RobotSpec) -> None:
    window = player.window(now_ns, 0.3, 0.02)
    assert window[0].time_ns == now_ns
    np.testing.assert_allclose(window[0].q_D, player.sample(now_ns).q_D, atol=1e-12)
    assert all(b.time_ns > a.time_ns for a, b in pairwise(window))
    assert window[-1].time_ns >= now_ns + 20 * MS
    last = window[-1]
    assert last.done
    assert not last.qd_D.any()
    assert not last.qdd_D.any()
    _check_limits(window[:-1], spec.operating_limits)
    gap_s = (last.time_ns - window[-2].time_ns) / 1e9
    bound = np.abs(window[-2].qd_D[:7]) * gap_s + spec.operating_limits.acceleration * gap_s**2
    assert (np.abs(last.q_D - window[-2].q_D)[:7] <= bound + 1e-9).all()


def test_window_follows_the_plan_then_brakes(spec: RobotSpec) -> None:
    player = started(spec)
    offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
    window = player.window(500 * MS, 0.3, 0.02)
    for setpoint in window[:16]:
        np.testing.assert_allclose(setpoint.q_D, player.sample(setpoint.time_ns).q_D, atol=1e-12)
    assert window[15].time_ns == 800 * MS
    # 0.3 rad/s at 6 rad/s2 and 600 rad/s3 takes 0.3 / 6 + 6 / 600 s.
    assert window[-1].time_ns == pytest.approx(860 * MS, abs=1 * MS)
    assert player.sample(860 * MS).qd_D[0] == pytest.approx(0.3)


def test_window_of_a_plan_that_ends_needs_no_brake(spec: RobotSpec) -> None:
    player = started(spec)
    rows = line(spec, 0.3)
    offered(player, rows, stamp_ms=0, now_ms=0)
    window = player.window(1700 * MS, 0.5, 0.02)
    np.testing.assert_allclose(window[-1].q_D, rows[-1], atol=1e-9)
    rest = player.window(5000 * MS, 0.5, 0.02)
    assert [s.time_ns for s in rest] == [5000 * MS, 5020 * MS]


def test_brake_keeps_row_and_gripper(spec: RobotSpec) -> None:
    player = started(spec, opening=0.0)
    offered(player, line(spec, 0.3, opening=1.0), stamp_ms=0, now_ms=0)
    moving = player.sample(350 * MS)
    player.brake(350 * MS)
    stopped = player.sample(600 * MS)
    assert stopped.done
    assert stopped.row == moving.row == 3
    assert player.rows_applied == 3
    assert stopped.q_D[7] == moving.q_D[7]
    assert np.abs(stopped.q_D - moving.q_D).max() < 0.3 * 0.06


def test_a_start_outside_the_range_may_come_back_in(spec: RobotSpec) -> None:
    player = ChunkPlayer(spec.operating_limits)
    outside = np.r_[spec.home, 1.0]
    outside[1] = spec.operating_limits.position_upper[1] + 0.02
    player.start(outside)
    rows = np.repeat(outside[None], 16, axis=0)
    rows[:, 1] -= np.linspace(0.0, 0.3, 16)
    assert offered(player, rows, stamp_ms=0, now_ms=0).accepted
    player.start(outside)
    rows[:, 1] = outside[1] + np.linspace(0.0, 0.3, 16)
    assert not offered(player, rows, stamp_ms=0, now_ms=0).accepted
