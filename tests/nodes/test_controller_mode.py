"""The mode table: stop latches, nothing but arm leads to motion, faults end in a reset."""

import pytest

from a1_controllers.mode import ARMED, TRANSITIONS, Event, Mode, ModeState, initial


def at(mode: Mode) -> ModeState:
    return ModeState(mode=mode, reason="test", since_ns=0)


def test_starts_disarmed_or_in_shadow():
    assert initial(shadow=False, now_ns=0).mode is Mode.DISARMED
    assert initial(shadow=True, now_ns=0).mode is Mode.SHADOW


@pytest.mark.parametrize("mode", list(Mode))
def test_stop_stops_from_every_mode(mode):
    assert at(mode).after(Event.STOP, reason="operator", now_ns=5).mode is Mode.STOPPED


@pytest.mark.parametrize("event", [e for e in Event if e not in (Event.RESET, Event.STOP)])
def test_stopped_latches_until_reset(event):
    assert at(Mode.STOPPED).after(event, reason="x", now_ns=5) == at(Mode.STOPPED)


def test_reset_leads_to_disarmed_only():
    targets = {target for (_, event), target in TRANSITIONS.items() if event is Event.RESET}
    assert targets == {Mode.DISARMED}


def test_only_disarmed_can_be_armed():
    ways_in = {
        (source, event)
        for (source, event), target in TRANSITIONS.items()
        if target in ARMED and source not in ARMED
    }
    assert ways_in == {(Mode.DISARMED, Event.ARM)}


def test_shadow_never_moves():
    reachable = {target for (source, _), target in TRANSITIONS.items() if source is Mode.SHADOW}
    assert not reachable & ARMED


def test_refusal_names_the_mode_and_the_mend():
    text = at(Mode.STOPPED).refusal(Event.ARM)
    assert "STOPPED" in text and "reset" in text


def test_reason_changes_but_since_stays_within_a_mode():
    held = at(Mode.HOLD).after(Event.LOST, reason="joint state lost", now_ns=9)
    assert (held.mode, held.reason, held.since_ns) == (Mode.HOLD, "joint state lost", 0)
    moving = held.after(Event.PLAN, reason="chunk 1", now_ns=12)
    assert (moving.mode, moving.since_ns) == (Mode.TRACKING, 12)
