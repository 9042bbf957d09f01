"""When a tick is complete, whatever order the streams come in."""

import pytest

from a1_core.errors import ObservationRefused
from a1_core.intake import WAITING_TICKS, Intake, camera_stream, is_due, joints_stream

MS = 1_000_000
PERIOD = 100 * MS


@pytest.fixture(params=[True, False], ids=["complete states", "states as they are"])
def complete_states(request) -> bool:
    return request.param


@pytest.fixture
def intake(spec, complete_states) -> Intake:
    return Intake(spec, complete_states=complete_states)


@pytest.fixture
def take(spec, intake):
    """`take(what, stamp)` with what one of front, wrist, arm, hand."""
    arm, hand = (joints_stream(source.topic) for source in spec.state_sources)
    names = {"arm": arm, "hand": hand}

    def take(what: str, stamp_ns: int, push=lambda: True):
        return intake.take(names.get(what, camera_stream(what)), stamp_ns, push)

    return take


def test_a_tick_is_complete_with_its_last_message(take, complete_states):
    t = 10 * PERIOD
    assert [take(w, t - 5 * MS).tick_ns for w in ("arm", "hand", "wrist")] == [None] * 3
    front = take("front", t)
    if complete_states:
        assert front.tick_ns is None
        assert take("arm", t + 5 * MS).tick_ns is None
        assert take("hand", t).tick_ns == t
    else:
        assert front.tick_ns == t
    assert take("arm", t + 15 * MS).tick_ns is None, "a tick is handed on once"


def test_another_camera_may_still_be_half_a_period_behind(take):
    for what in ("arm", "hand"):
        take(what, 20 * PERIOD)
    take("wrist", 10 * PERIOD - 51 * MS)
    assert take("front", 10 * PERIOD).tick_ns is None
    assert take("wrist", 10 * PERIOD - 50 * MS).tick_ns == 10 * PERIOD


def test_the_newest_complete_tick_is_taken_and_the_older_ones_are_named(take):
    for what in ("arm", "hand"):
        take(what, 20 * PERIOD)
    for number in (10, 11, 12):
        take("front", number * PERIOD)
    taken = take("wrist", 11 * PERIOD)
    assert (taken.tick_ns, taken.overtaken_ns) == (11 * PERIOD, (10 * PERIOD,))
    assert take("wrist", 12 * PERIOD).tick_ns == 12 * PERIOD


def test_a_tick_that_never_becomes_complete_is_given_up_by_name(take, intake):
    given_up = [take("front", number * PERIOD).given_up_ns for number in range(1, 6)]
    assert given_up == [()] * WAITING_TICKS + [(PERIOD,), (2 * PERIOD,)]
    assert intake.forget() == (3 * PERIOD, 4 * PERIOD, 5 * PERIOD)
    assert intake.forget() == ()


def test_what_is_forgotten_does_not_complete_a_tick(take, intake):
    for what in ("arm", "hand", "wrist"):
        take(what, 20 * PERIOD)
    intake.forget()
    assert take("front", 10 * PERIOD).tick_ns is None


def test_a_rejection_stays_until_a_good_message_of_that_stream(take, intake):
    def refuse() -> bool:
        raise ObservationRefused("CAMERA_SIZE", "too small")

    assert not take("front", PERIOD, refuse).accepted
    take("wrist", PERIOD)
    with pytest.raises(ObservationRefused, match="CAMERA_SIZE: camera front: too small"):
        intake.raise_rejection()
    assert not take("front", PERIOD, lambda: False).accepted
    intake.raise_rejection()


@pytest.mark.parametrize(("age", "due"), [(76 * MS, True), (74 * MS, False)])
def test_a_quarter_of_a_camera_period_is_forgiven(age, due):
    assert is_due(PERIOD + age, PERIOD, 0.1, 10.0) is due
    assert is_due(PERIOD, None, 0.1, 10.0)
