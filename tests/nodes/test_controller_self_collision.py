"""The controller's core with the vendor's shapes: refused, counted, and nothing moves."""

import numpy as np
import pytest
from controller_bench import HOME_D, SPEC, Bench

from a1_controllers.mode import Mode
from a1_core.chunk import ActionSpace
from a1_core.limits import SafetyGate, Touch
from a1_core.verdict import VerdictCode
from a1_world.self_collision import SelfCollision

# The hand would reach down beside the base, and into it.
INTO_ITSELF_Q = np.array([1.43, 1.39, 0.1, -2.72, 0.64, 1.49, 0.26])


@pytest.fixture(scope="module")
def gate() -> SafetyGate:
    return SafetyGate(SPEC, None, SelfCollision(SPEC))


def test_a_chunk_into_the_robot_itself_moves_nothing_and_is_counted(gate):
    bench = Bench(gate).armed()
    rows_HD = np.repeat(HOME_D[None], 40, axis=0)
    rows_HD[:, :7] = np.linspace(HOME_D[:7], INTO_ITSELF_Q, 40)
    given = {"action_space": ActionSpace.JOINT_POSITION, "actions_HD": rows_HD.astype(np.float32)}
    assert bench.judge(**given) is VerdictCode.SELF_COLLISION
    assert "fr3_link0" in bench.verdict.detail
    assert "hand" in bench.verdict.detail or "finger" in bench.verdict.detail
    bench.outputs.clear()
    bench.step(10)
    assert bench.mode is Mode.HOLD
    assert all(output.window is None for output in bench.outputs)
    assert bench.controller.counters.refused_for == {VerdictCode.SELF_COLLISION: 1}
    assert bench.controller.counters.chunks_refused == 1


def test_the_way_home_is_looked_at_too():
    def always(rows_NJ, start_J=None):
        assert rows_NJ.shape[1] == len(SPEC.joint_names) == len(start_J)
        return Touch(row=3, bodies=("hand", "fr3_link0"), gap_m=-0.01)

    bench = Bench(SafetyGate(SPEC, None, always)).armed()
    answer = bench.controller.go_home(0.5, bench.now)
    assert not answer.ok
    assert answer.message == "SELF_COLLISION: on the way home, row 3: hand comes into fr3_link0"
    assert bench.mode is Mode.HOLD
