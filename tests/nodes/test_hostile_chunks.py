"""The measurement of hostile chunks, small: every one has its verdict and nothing unsafe leaves."""

import importlib.util
import sys
from pathlib import Path

import numpy as np

from a1_core.player import Setpoint

PATH = Path(__file__).parents[2] / "bench" / "control.py"
SPEC = importlib.util.spec_from_file_location("bench_control", PATH)
assert SPEC is not None and SPEC.loader is not None
sys.path.insert(0, str(PATH.parent))  # the bench's other files
control = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = control
SPEC.loader.exec_module(control)


def test_hostile_chunks_have_a_verdict_and_move_nothing_beyond_the_limits():
    rows = control.measure(400, seed=7)
    assert rows["hostile_chunks"] == 400
    assert rows["hostile_unsafe_commands"] == 0, rows["unsafe"]
    assert rows["hostile_without_verdict"] == 0, rows["examples_without_verdict"]
    assert rows["verdicts"]["ACCEPTED"] > 50
    assert rows["commands"] > 400


def test_the_measurement_sees_what_is_unsafe():
    robot = control.load_spec(control.ROOT / "config/robots/openarm.yaml")
    bench = control.Bench(robot, np.random.default_rng(0))
    rest = np.zeros(robot.dim)

    def window(q_D: np.ndarray, qd_D: np.ndarray) -> list[Setpoint]:
        return [
            Setpoint(time_ns=t, q_D=q_D, qd_D=qd, qdd_D=rest, row=0, done=False)
            for t, qd in ((0, qd_D), (20_000_000, qd_D), (40_000_000, rest))
        ]

    bench._check(window(bench.q_D, rest))
    assert bench.unsafe == []
    far_D = bench.q_D.copy()
    far_D[9] = 3.0
    fast_D = rest.copy()
    fast_D[13] = 9.0
    for q_D, qd_D, word in (
        (far_D, rest, "position"),
        (bench.q_D, fast_D, "velocity"),
        (np.full(robot.dim, np.nan), rest, "not finite"),
    ):
        bench.unsafe = []
        bench._check(window(q_D, qd_D))
        assert word in bench.unsafe
