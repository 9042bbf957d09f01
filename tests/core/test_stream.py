from hypothesis import given
from hypothesis import strategies as st

from a1_core.stream import StreamBuffer


def _filled(*stamps: int, capacity: int = 10) -> StreamBuffer[str]:
    buffer: StreamBuffer[str] = StreamBuffer(capacity)
    for stamp in stamps:
        buffer.push(stamp, f"v{stamp}")
    return buffer


def test_empty() -> None:
    buffer = _filled()
    assert buffer.newest is None
    assert buffer.nearest(3) is None
    assert buffer.bracket(3) == (None, None)


def test_late_values_are_refused_and_counted() -> None:
    buffer = _filled(10, 20)
    assert not buffer.push(20, "again")
    assert not buffer.push(15, "late")
    assert buffer.late == 2
    assert buffer.recent() == [(10, "v10"), (20, "v20")]


def test_look_ups() -> None:
    buffer = _filled(10, 20, 40)
    assert buffer.at_or_before(9) is None
    assert buffer.at_or_before(20) == (20, "v20")
    assert buffer.bracket(30) == ((20, "v20"), (40, "v40"))
    assert buffer.bracket(20) == ((20, "v20"), (20, "v20"))
    assert buffer.bracket(50) == ((40, "v40"), None)
    assert buffer.nearest(30) == (20, "v20")
    assert buffer.nearest(31) == (40, "v40")


def test_capacity_and_clear() -> None:
    buffer = _filled(1, 2, 3, capacity=2)
    assert [stamp for stamp, _ in buffer.recent()] == [2, 3]
    buffer.clear()
    assert len(buffer) == 0
    assert buffer.push(1, "after a clock jump")


@given(st.lists(st.integers(0, 100)), st.integers(1, 8), st.integers(-5, 105))
def test_against_a_plain_list(stamps: list[int], capacity: int, asked: int) -> None:
    buffer: StreamBuffer[int] = StreamBuffer(capacity)
    kept: list[int] = []
    for stamp in stamps:
        newer = not kept or stamp > kept[-1]
        assert buffer.push(stamp, -stamp) == newer
        kept = (kept + [stamp])[-capacity:] if newer else kept
    found = buffer.nearest(asked)
    if not kept:
        assert found is None
    else:
        assert found is not None
        assert found == (min(kept, key=lambda s: (abs(s - asked), s)), -found.stamp_ns)
