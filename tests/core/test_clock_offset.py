"""Whether a stream's stamps are of this computer's time."""

from a1_core.clock_offset import LEAST_MESSAGES, MESSAGES, ClockOffset

MS = 1_000_000
LIMIT_S = 0.1


def heard(offset_ms: float, *late_ms: float) -> ClockOffset:
    """A stream whose sender's clock lies `offset_ms` behind; messages take 1 ms, or `late_ms`."""
    offset = ClockOffset()
    for each in late_ms or (1.0,) * MESSAGES:
        offset.note(round((offset_ms + each) * MS))
    return offset


def test_clocks_that_agree_are_no_problem_however_late_some_messages_are():
    busy = heard(0.0, *(1.0 if k % 20 == 0 else 400.0 for k in range(MESSAGES)))
    assert busy.seconds == 0.001
    assert busy.problem(LIMIT_S) == ""


def test_a_clock_that_differs_is_a_problem_either_way_and_says_by_how_much():
    assert "300 ms behind this computer's clock; synchronise" in heard(299.0).problem(LIMIT_S)
    assert "501 ms ahead of this computer's clock" in heard(-502.0).problem(LIMIT_S)


def test_a_simulated_clock_that_comes_late_now_and_then_is_no_problem():
    late = heard(0.0, *(-90.0 if k % 3 == 0 else 1.0 for k in range(MESSAGES)))
    assert late.problem(LIMIT_S) == ""


def test_half_the_limit_and_a_rounding_into_the_future_pass():
    assert heard(48.0).problem(LIMIT_S) == ""
    assert heard(51.0).problem(LIMIT_S) != ""
    assert heard(-10.0).problem(LIMIT_S) == ""


def test_nothing_is_said_of_a_few_messages_or_after_a_jump():
    assert heard(900.0, *(1.0,) * (LEAST_MESSAGES - 1)).problem(LIMIT_S) == ""
    offset = heard(900.0)
    offset.forget()
    assert offset.seconds is None
    assert offset.problem(LIMIT_S) == ""


def test_what_was_long_ago_does_not_count():
    offset = heard(0.0)
    for _ in range(MESSAGES):
        offset.note(700 * MS)
    assert "700 ms behind" in offset.problem(LIMIT_S)
