"""What the recorder says of streams that are silent, or slower than the robot's spec promises."""

from types import SimpleNamespace

import pytest
from recorder_rig import FRANKA

from a1_core.spec import load_spec
from a1_recorder.recording import MEAN_OF, StreamCount
from a1_recorder.status import streams_status
from a1_recorder.topics import Topic, recorded_topics
from a1_ros.diagnostics import Level

SECOND = 1_000_000_000
CAMERA = "/front_camera/color/image_raw"


@pytest.fixture
def topic() -> Topic:
    (found,) = [t for t in recorded_topics(load_spec(FRANKA), ()) if t.name == CAMERA]
    assert found.promised_hz == 10.0
    return found


def heard(topic: Topic, per_second: int, seconds: int = MEAN_OF + 2) -> StreamCount:
    stream = StreamCount(topic)
    for second in range(1, seconds + 1):
        for k in range(per_second):
            stream.note(second * SECOND + k, None)
        stream.measure((second + 1) * SECOND)
    return stream


def status_of(stream: StreamCount, *, simulated: bool = False, after_s: float = 0.0):
    session = SimpleNamespace(streams=[stream])
    return streams_status(session, round(stream.heard_ns + after_s * SECOND), simulated=simulated)


def test_a_stream_that_comes_as_promised_is_fine(topic):
    assert status_of(heard(topic, 10)).level is Level.OK


def test_a_slow_stream_is_named_with_its_rate_and_what_to_do(topic):
    status = status_of(heard(topic, 7))
    assert status.level is Level.WARN
    assert f"{CAMERA} 7.0 of 10 Hz; look at their drivers" in status.message


def test_a_simulation_makes_no_stream_slow(topic):
    assert status_of(heard(topic, 7), simulated=True).level is Level.OK


def test_the_first_seconds_say_nothing_of_the_rate(topic):
    assert status_of(heard(topic, 3, seconds=2)).level is Level.OK


def test_silence_comes_before_slowness(topic):
    status = status_of(heard(topic, 7), after_s=5.0)
    assert status.message.startswith(f"silent: {CAMERA}; start their drivers")
    assert "slower" not in status.message
