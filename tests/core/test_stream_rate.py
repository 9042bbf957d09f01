"""How often a stream comes by its own stamps."""

import math

from a1_core.stream_rate import LEAST_INTERVALS, StampRate, falls_short

SECOND = 1_000_000_000


def rate_of(*stamps_s: float) -> float:
    rate = StampRate()
    for stamp_s in stamps_s:
        rate.note(round(stamp_s * SECOND))
    return rate.hz


def test_the_rate_is_that_of_the_stamps():
    assert abs(rate_of(*(k / 15 for k in range(20))) - 15.0) < 1e-6


def test_only_the_last_messages_count():
    fast, slow = [k / 50 for k in range(50)], [1 + k / 5 for k in range(40)]
    assert abs(rate_of(*fast, *slow) - 5.0) < 1e-6


def test_lost_messages_lower_it():
    stamps = [k / 10 for k in range(40) if k % 4]
    assert falls_short(rate_of(*stamps), 10.0)
    assert not falls_short(rate_of(*stamps), 7.0)


def test_nothing_is_said_of_a_few_messages_or_of_one_stamp_for_all():
    assert math.isnan(rate_of(*(k / 10 for k in range(LEAST_INTERVALS))))
    assert math.isnan(rate_of(*[3.0] * 40))
    assert not falls_short(math.nan, 10.0)


def test_after_a_jump_of_the_clock_it_begins_anew():
    stamps = [100 + k / 10 for k in range(20)] + [k / 20 for k in range(20)]
    assert abs(rate_of(*stamps) - 20.0) < 1e-6
