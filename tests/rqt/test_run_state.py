"""What is kept of a run: the newest numbers, in memory that does not grow."""

import numpy as np
from a1_msgs.msg import ChunkVerdict
from rqt_rig import START_NS, exit_state

from a1_rqt.history import Ring
from a1_rqt.run_state import CHUNKS_KEPT, TICKS_SHOWN, RunState


def test_a_ring_holds_the_newest_rows_in_order():
    ring = Ring(("a", "b"), capacity=4)
    for number in range(11):
        ring.append((number, -number))
        newest = np.arange(max(0, number - 3), number + 1)
        np.testing.assert_array_equal(ring.column("a"), newest)
        np.testing.assert_array_equal(ring.column("b"), -newest)
    assert (len(ring), ring.total) == (4, 11)


def test_a_long_run_takes_no_more_memory_than_a_short_one():
    state = RunState()
    for seq in range(2 * CHUNKS_KEPT):
        state.note_exit(exit_state(seq, layer=2 + seq % 7))
        state.note_verdict(ChunkVerdict(code=seq % 256))
    assert len(state.chunks) == CHUNKS_KEPT
    assert len(state.evaluations) == TICKS_SHOWN
    assert len(state.verdicts) == 256
    assert state.verdicts.total() == 2 * CHUNKS_KEPT


def test_a_stamp_in_the_past_begins_a_new_run():
    state = RunState()
    for seq in range(20):
        state.note_exit(exit_state(seq, layer=4))
    state.note_exit(exit_state(1, layer=6, stamp_ns=START_NS))
    np.testing.assert_array_equal(state.chunks.column("exit_layer"), [6])
    assert len(state.evaluations) == 1


def test_the_whole_is_age_inference_and_publication():
    state = RunState()
    state.note_exit(exit_state(1, layer=4, observation_age_ms=10.0, total_ms=30.0, publish_ms=2.5))
    assert state.chunks.column("whole") == [42.5]
