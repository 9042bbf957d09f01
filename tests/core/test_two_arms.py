"""Two arms, two grippers: every column keeps to its own limits, and none is taken for another."""

from pathlib import Path

import numpy as np
import pytest

from a1_core.chunk import ActionChunk, Source, joint_chunk
from a1_core.go_to import go_to_rows
from a1_core.kinematics import Chain, ChainKinematics
from a1_core.limits import LONGEST_S, MOST_ROWS, SafetyGate
from a1_core.player import ChunkPlayer
from a1_core.spec import RobotSpec, load_spec
from a1_core.verdict import VerdictCode

ROBOTS = Path(__file__).parents[2] / "config" / "robots"
PERIOD_NS = 100_000_000
ARM = 14


@pytest.fixture(scope="module")
def openarm() -> RobotSpec:
    return load_spec(ROBOTS / "openarm.yaml")


@pytest.fixture
def start_D(openarm: RobotSpec) -> np.ndarray:
    return np.array([*openarm.home, 1.0, 0.0])


@pytest.fixture
def player(openarm: RobotSpec, start_D: np.ndarray) -> ChunkPlayer:
    player = ChunkPlayer(openarm.operating_limits, grippers=2)
    player.start(start_D, 0)
    return player


def rows_to(start_D: np.ndarray, goal_D: np.ndarray) -> np.ndarray:
    return start_D + np.linspace(0.0, 1.0, 16)[:, None] * (goal_D - start_D)


def test_grippers_go_their_own_ways(player: ChunkPlayer, start_D: np.ndarray) -> None:
    goal_D = start_D.copy()
    goal_D[ARM:] = 0.0, 1.0
    goal_D[[0, 7]] += 0.1, -0.1
    rows_HD = rows_to(start_D, goal_D)
    rows_HD[:, ARM] = 0.0  # the left one closes at once, the right one opens evenly
    assert player.offer(rows_HD, stamp_ns=0, period_ns=PERIOD_NS, now_ns=0).accepted
    early = player.sample(500_000_000)
    assert early.q_D[ARM] == pytest.approx(0.0, abs=1e-9)
    assert early.q_D[ARM + 1] == pytest.approx(5.0 / 15.0, abs=0.02)
    end = player.sample(3_000_000_000)
    np.testing.assert_allclose(end.q_D, goal_D, atol=1e-9)


def test_every_gripper_keeps_its_pace(
    player: ChunkPlayer, openarm: RobotSpec, start_D: np.ndarray
) -> None:
    goal_D = start_D.copy()
    goal_D[ARM:] = 0.0, 1.0
    rows_HD = np.repeat(goal_D[None], 16, axis=0)
    assert player.offer(rows_HD, stamp_ns=0, period_ns=PERIOD_NS, now_ns=0).accepted
    openings = np.array([player.sample(t * 10_000_000).q_D[ARM:] for t in range(100)])
    speeds = np.abs(np.diff(openings, axis=0)) / 0.01
    assert speeds.max(axis=0) == pytest.approx([openarm.operating_limits.gripper_velocity] * 2)


def test_braking_stops_both_grippers_and_every_joint(
    player: ChunkPlayer, start_D: np.ndarray
) -> None:
    goal_D = start_D.copy()
    goal_D[:ARM] += 0.1
    goal_D[ARM:] = 0.0, 1.0
    rows_HD = rows_to(start_D, goal_D)
    assert player.offer(rows_HD, stamp_ns=0, period_ns=PERIOD_NS, now_ns=0).accepted
    before = player.sample(700_000_000)
    player.brake(700_000_000)
    end = player.sample(5_000_000_000)
    assert end.done
    np.testing.assert_array_equal(end.q_D[ARM:], before.q_D[ARM:])
    assert (np.abs(end.q_D[:ARM] - before.q_D[:ARM]) > 0.0).all()  # none stopped in no time


@pytest.mark.parametrize("columns", [8, 15, 17])
def test_rows_of_another_robot_have_the_wrong_shape(player: ChunkPlayer, columns: int) -> None:
    offer = player.offer(np.zeros((4, columns)), stamp_ns=0, period_ns=PERIOD_NS, now_ns=0)
    assert offer.code is VerdictCode.WRONG_SHAPE


def test_the_way_home_takes_both_arms(openarm: RobotSpec, start_D: np.ndarray) -> None:
    away_D = start_D.copy()
    away_D[13] += 0.6
    rows_HD = go_to_rows(away_D, start_D, openarm.operating_limits, period_s=0.1)
    assert len(rows_HD) > 5
    np.testing.assert_allclose(rows_HD[-1], start_D, atol=1e-12)


def chunk_of(spec: RobotSpec, rows_HD: np.ndarray, period_ns: int = PERIOD_NS) -> ActionChunk:
    return joint_chunk(
        spec,
        stamp_ns=0,
        session_id="",
        seq=1,
        source=Source.SCRIPT,
        actions_HD=rows_HD,
        period_ns=period_ns,
    )


@pytest.mark.parametrize("arm", [0, 1])
def test_the_workspace_of_either_arm_counts(
    openarm: RobotSpec, start_D: np.ndarray, arm: int
) -> None:
    gate = SafetyGate(openarm, openarm.kinematics)
    rows_HD = np.repeat(start_D[None], 16, axis=0)
    assert gate.check(chunk_of(openarm, rows_HD), rows_HD).accepted
    # The elbow stretches: the hand sinks out of its box, below 0.2 m.
    rows_HD[:, 7 * arm + 3] = np.linspace(np.pi / 2, 0.05, 16)
    verdict = gate.check(chunk_of(openarm, rows_HD), rows_HD)
    assert verdict.accepted
    assert 2 <= len(verdict.rows_HD) < 16
    tips = openarm.kinematics(rows_HD[len(verdict.rows_HD)])
    boxes = [openarm.operating_limits.workspaces[a.name] for a in openarm.arms]
    outside = [bool((tip < box.lower).any()) for tip, box in zip(tips, boxes, strict=True)]
    assert outside == [arm == 0, arm == 1]


@pytest.mark.parametrize(
    ("rows", "period_ns"), [(MOST_ROWS + 1, 1), (4, int(LONGEST_S * 1e9)), (2, 2**61)]
)
def test_a_chunk_that_lasts_for_ever_is_refused_before_it_is_computed(
    openarm: RobotSpec, start_D: np.ndarray, rows: int, period_ns: int
) -> None:
    gate = SafetyGate(openarm, None)
    rows_HD = np.repeat(start_D[None], rows, axis=0)
    verdict = gate.check(chunk_of(openarm, rows_HD, period_ns), rows_HD)
    assert verdict.code is VerdictCode.WRONG_SHAPE


# Where the vendors' own models have the tips in the home pose (m): openarm_v2 as its MuJoCo model
# says, the others as their specs' comments say, from the vendors' URDFs.
HOME_TIPS = {
    "agibot": [(0.37, 0.16, 0.04), (0.37, -0.16, 0.04)],
    "arx5": [(0.30, 0.00, 0.20)],
    "dobot": [(0.47, -0.14, 0.47)],
    "franka": [(0.307, 0.0, 0.487)],
    "openarm_v2": [(0.22, 0.15, 0.48), (0.22, -0.15, 0.48)],
    "ur5e": [(0.49, 0.13, 0.49)],
    "wxai": [(0.38, 0.00, 0.29)],
}
KNOWN = [p.stem for p in sorted(ROBOTS.glob("*.yaml")) if p.stem != "agibot_a2"]


@pytest.mark.parametrize("name", KNOWN)
def test_home_is_inside_every_workspace(name: str) -> None:
    spec = load_spec(ROBOTS / f"{name}.yaml")
    tips = ChainKinematics([arm.chain for arm in spec.arms])(spec.home)
    assert tips.shape == (len(spec.arms), 3)
    for tip, arm in zip(tips, spec.arms, strict=True):
        box = spec.operating_limits.workspaces[arm.name]
        assert (box.lower <= tip).all()
        assert (tip <= box.upper).all()
    for tip, told in zip(tips, HOME_TIPS.get(name, []), strict=False):
        np.testing.assert_allclose(tip, told, atol=6e-3)


def test_an_axis_turns_the_right_way() -> None:
    quarter = np.pi / 2
    chain = Chain(
        origins_N6=np.array([[0.0, 0.0, 1.0, 0.0, 0.0, quarter], [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]]),
        axes_J3=np.array([[0.0, 0.0, 1.0]]),
        source="",
    )
    tip = ChainKinematics([chain])
    np.testing.assert_allclose(tip(np.array([0.0]))[0], [0.0, 0.5, 1.0], atol=1e-12)
    np.testing.assert_allclose(tip(np.array([quarter]))[0], [-0.5, 0.0, 1.0], atol=1e-12)
