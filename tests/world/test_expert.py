"""The expert solves what it is asked, from wherever it stands, within the arm's limits."""

import numpy as np
import pytest

from a1_world.drive import Disturbance, Driver
from a1_world.expert import ROW_SPEED_RAD_S, Expert
from a1_world.kinematics import ArmKinematics, hand_yaw
from a1_world.layout import FIRST_EVAL_SEED
from a1_world.plan import PRESS_M, grasp_yaw
from a1_world.poses import PoseSampler
from a1_world.world import World

# The FR3's rectangular velocity box (rad/s), which the operating limits take over.
BOX_RAD_S = np.array([2.0, 1.0, 1.5, 1.25, 3.0, 1.5, 3.0])
BOX_LOWER = np.array([-2.3476, -1.5454, -2.4937, -2.7714, -2.5100, 0.7773, -2.7045])
BOX_UPPER = np.array([2.3476, 1.5454, 2.4937, -0.4226, 2.5100, 4.2841, 2.7045])


@pytest.fixture(scope="module")
def world():
    with World(render=False) as made:
        yield made


def solve(world, expert, driver, timeout_s=14.0):
    """Runs until success, failure or timeout; returns the rows of every replanning."""
    plans, start_s = [], world.time_s
    while world.time_s - start_s < timeout_s and not (world.success() or world.failed()):
        plans.append(expert.rows())
        driver.play(plans[-1], 0.3)
    return plans


@pytest.mark.parametrize("kind", ["touch", "bowl"])
def test_solves_layouts_under_disturbance(world, kind):
    expert, solved, number = Expert(world), 0, 25
    for seed in range(FIRST_EVAL_SEED, FIRST_EVAL_SEED + number):
        world.reset(seed, kind=kind)
        rng = np.random.default_rng(seed)
        plans = solve(world, expert, Driver(world, Disturbance(rng, 0.5)))
        solved += world.success()
        rows = np.concatenate([plan[:, :7] for plan in plans])
        steps = np.concatenate([np.diff(plan[:, :7], axis=0) for plan in plans])
        assert (np.abs(steps) / 0.1 <= ROW_SPEED_RAD_S + 1e-9).all()
        assert (rows > BOX_LOWER).all()
        assert (rows < BOX_UPPER).all()
    assert solved >= number - 1
    assert (ROW_SPEED_RAD_S < 0.8 * BOX_RAD_S).all()


@pytest.mark.parametrize("kind", ["touch", "bowl"])
def test_recovers_from_anywhere(world, kind):
    expert, rng, solved = Expert(world), np.random.default_rng(1), 0
    for seed in range(15):
        world.reset(seed, kind=kind)
        PoseSampler(world, rng).somewhere()
        solve(world, expert, Driver(world))
        solved += world.success()
    assert solved >= 12


def test_the_same_state_gives_the_same_rows(world):
    world.reset(21, kind="bowl")
    first = Expert(world)
    rows = first.rows()
    np.testing.assert_array_equal(first.rows(), rows)
    np.testing.assert_array_equal(Expert(world).rows(), rows)
    np.testing.assert_array_equal(rows[0, :7], world.joint_positions)


def test_rows_lead_to_the_cube(world):
    """The last row of a touch puts the fingertips onto the named cube; of a grasp, about it."""
    arm, expert = ArmKinematics(), Expert(world)
    for seed in range(10):
        world.reset(seed, kind="touch")
        tip, _ = arm.tip_pose(expert.rows(horizon=40)[-1, :7])
        centre, _ = world.cube_pose(world.named)
        np.testing.assert_allclose(tip[:2], centre[:2], atol=2e-3)
        assert tip[2] == pytest.approx(0.048 + 0.009 - PRESS_M, abs=2e-3)
        world.reset(seed, kind="bowl")
        rows = expert.rows(horizon=60)
        closing = int(np.argmax(rows[:, 7] < 0.5))
        tip, rotation = arm.tip_pose(rows[closing, :7])
        assert np.linalg.norm(tip - centre) < 0.017
        turn = (hand_yaw(rotation) - world.layout.cube_yaw[world.named]) % (np.pi / 2)
        assert min(turn, np.pi / 2 - turn) < 0.16


def test_phases_run_in_order(world):
    world.reset(2, kind="bowl")
    expert, driver, seen = Expert(world), Driver(world), []
    while world.phase() != "done" and len(seen) < 200:
        seen.append(world.phase())
        driver.play(expert.rows(), 0.1, stop_when_over=False)
    order = list(dict.fromkeys(seen))
    assert order[:5] == ["approach", "descend", "grasp", "carry", "release"]


def test_end_is_said_when_it_is_near(world):
    world.reset(3, kind="touch")
    expert, driver = Expert(world), Driver(world)
    assert not expert.end
    said = []
    while not world.success():
        said.append(expert.end)
        driver.play(expert.rows(), 0.1)
    assert said[-1] or expert.end
    assert sum(said) <= 3


@pytest.mark.parametrize("hand", [-0.8, 0.0, 0.8])
def test_grasp_yaw_is_a_quarter_turn_of_the_cubes(hand):
    for yaw in np.linspace(-np.pi, np.pi, 25):
        chosen = grasp_yaw(float(yaw), hand)
        assert abs(chosen) <= np.pi / 2
        assert (chosen - yaw) % (np.pi / 2) == pytest.approx(0.0, abs=1e-9) or (chosen - yaw) % (
            np.pi / 2
        ) == pytest.approx(np.pi / 2, abs=1e-9)
