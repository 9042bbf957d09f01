"""From the plan in hand to a chunk: what is kept of it, and when it counts as rest."""

import numpy as np
from player_rig import MS, PERIOD_NS, line, offered, started

from a1_core.player import Offer
from a1_core.spec import RobotSpec


def test_committed_rows_keep_the_motion_in_hand(spec: RobotSpec) -> None:
    straight = started(spec)
    offered(straight, line(spec, 0.3), stamp_ms=0, now_ms=0)
    for committed, same_until_ms in ((0, 500), (4, 800)):
        player = started(spec)
        offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
        offer = player.offer(
            line(spec, 0.3, start=0.2, opening=0.0),
            stamp_ns=400 * MS,
            period_ns=PERIOD_NS,
            now_ns=500 * MS,
            committed_rows=committed,
        )
        assert offer.accepted
        for t in range(500, same_until_ms + 1, 10):
            np.testing.assert_allclose(
                player.sample(t * MS).q_D, straight.sample(t * MS).q_D, atol=1e-4
            )
        later_ns = (same_until_ms + 300) * MS
        away = np.abs(player.sample(later_ns).q_D - straight.sample(later_ns).q_D)
        assert away.min() > 1e-3


def test_a_gripper_keeps_to_what_was_asked_for_over_committed_rows(spec: RobotSpec) -> None:
    """The arm goes on as before, committed until 800 ms."""
    player = started(spec, opening=1.0)
    offered(player, line(spec, 0.3, opening=1.0), stamp_ms=0, now_ms=0)
    offer = player.offer(
        line(spec, 0.3, start=0.12, opening=0.0),
        stamp_ns=400 * MS,
        period_ns=PERIOD_NS,
        now_ns=500 * MS,
        committed_rows=4,
    )
    assert offer.accepted
    openings = {t: player.sample(t * MS).q_D[7] for t in range(500, 1500, 10)}
    assert all(openings[t] == 1.0 for t in openings if t <= 800)
    assert openings[850] < 1.0
    assert openings[1490] == 0.0
    # What hands are told, those that take goals too, and what the policy is told.
    asked = [player.asked(t * MS)[0] for t in (500, 790, 800, 810, 1400)]
    assert asked == [1.0, 1.0, 0.0, 0.0, 0.0]
    told = player.ahead(500 * MS, 0.025)[:, 7]
    np.testing.assert_array_equal(told[:12], 1.0)
    np.testing.assert_array_equal(told[12:], 0.0)


def test_an_opening_that_is_kept_is_the_one_that_was_asked_for(spec: RobotSpec) -> None:
    """Chunks that come before the one before them is done with the rows it keeps."""
    player = started(spec, opening=1.0)
    rows = line(spec, 0.3, opening=1.0)
    rows[4:, 7] = 0.0
    offered(player, rows, stamp_ms=0, now_ms=0)
    for now_ms in (100, 200, 300):
        offer = player.offer(
            line(spec, 0.3, start=0.03 * now_ms / 100, opening=1.0),
            stamp_ns=now_ms * MS,
            period_ns=PERIOD_NS,
            now_ns=now_ms * MS,
            committed_rows=5,
        )
        assert offer.accepted
    asked = [player.asked(t * MS)[0] for t in (390, 410, 590, 1050)]
    assert asked == [1.0, 0.0, 0.0, 1.0]
    player.brake(500 * MS)
    assert player.asked(2000 * MS)[0] == player.sample(2000 * MS).q_D[7]


def test_rows_slowed_behind_committed_ones_do_not_take_the_arm_back(spec: RobotSpec) -> None:
    player = started(spec)
    offered(player, line(spec, 0.3), stamp_ms=0, now_ms=0)
    rows = line(spec, 0.3, start=0.12)
    rows[4:, :7] = rows[4, :7] + 0.3 * np.minimum(np.arange(12), 2)[:, None]
    offer = player.offer(
        rows, stamp_ns=400 * MS, period_ns=PERIOD_NS, now_ns=500 * MS, committed_rows=4
    )
    assert offer.accepted
    assert offer.slow_down > 2.0
    speeds = np.array([player.sample(t * MS).qd_D[:7] for t in range(500, 3000, 10)])
    assert speeds.min() > -1e-3
    assert speeds[:60].min() > 0.25  # nor does it dawdle where the kept motion ends


def test_a_chunk_for_a_plan_that_stands_still_begins_at_row_0(spec: RobotSpec) -> None:
    """The rest of a plan may be standing still: an observation of it is one of rest."""
    halts = line(spec, 0.3)
    halts[5:] = halts[4]

    def second(stamp_ms: float, committed: int = 0) -> Offer:
        player = started(spec)
        offered(player, halts, stamp_ms=0, now_ms=0)
        assert not player.done(1400 * MS)
        return player.offer(
            line(spec, 0.3, start=0.12),
            stamp_ns=int(stamp_ms * MS),
            period_ns=PERIOD_NS,
            now_ns=1400 * MS,
            committed_rows=committed,
        )

    assert second(1000).anchored
    assert second(1000).first_row == 0
    assert not second(300).anchored, "it still moved at that stamp"
    assert not second(1000, committed=4).anchored, "these rows were reckoned to be executed"
