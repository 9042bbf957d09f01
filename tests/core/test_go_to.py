import numpy as np
import pytest

from a1_core.errors import A1Error
from a1_core.go_to import go_to_rows
from a1_core.player import ChunkPlayer
from a1_core.spec import RobotSpec

START = np.array([0.3, -0.4, 0.0, -2.35, 0.0, 1.95, 0.8, 0.2])


@pytest.mark.parametrize("speed", [0.1, 0.5, 1.0])
def test_rows_are_playable_as_they_are(spec: RobotSpec, speed: float) -> None:
    goal = np.r_[spec.home, 1.0]
    rows = go_to_rows(START, goal, spec.operating_limits, period_s=0.1, speed=speed)
    np.testing.assert_array_equal(rows[0], START)
    np.testing.assert_allclose(rows[-1], goal, atol=1e-12)
    player = ChunkPlayer(spec.operating_limits)
    player.start(START)
    offer = player.offer(rows, stamp_ns=0, period_ns=100_000_000, now_ns=0)
    assert offer.accepted
    assert offer.slow_down < 1.05
    end = player.sample(int((len(rows) + 5) * 1e8))
    assert end.done
    np.testing.assert_allclose(end.q_D, goal, atol=1e-9)


def test_already_there(spec: RobotSpec) -> None:
    assert len(go_to_rows(START, START, spec.operating_limits, period_s=0.1)) == 2


@pytest.mark.parametrize("speed", [0.0, -1.0, 1.1, float("nan")])
def test_impossible_speed(spec: RobotSpec, speed: float) -> None:
    with pytest.raises(A1Error, match="speed"):
        go_to_rows(START, START, spec.operating_limits, period_s=0.1, speed=speed)
