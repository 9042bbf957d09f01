"""Robots with physics: servos follow what is asked, hold still, open hands, and cameras see it."""

from pathlib import Path

import numpy as np
import pytest

from a1_core.spec import load_spec
from a1_world.physical_robot import LAG_S, PhysicalRobot, RobotCameras

ROBOTS = Path(__file__).parents[2] / "config/robots"
SPECS = {path.stem: load_spec(path) for path in ROBOTS.glob("*.yaml")}
MODELLED = sorted(
    name for name, spec in SPECS.items() if spec.model is not None and "libfranka" not in name
)
CYCLE_S, ROUND_S = 0.01, 2.0


def swing(spec, time_s):
    """Every joint 0.15 rad away from home towards the middle of its range, and back."""
    limits = spec.operating_limits
    middle_J = (limits.position_lower + limits.position_upper) / 2.0
    away = (1.0 - np.cos(2.0 * np.pi * time_s / ROUND_S)) / 2.0
    return spec.home + away * np.clip(middle_J - spec.home, -0.15, 0.15)


@pytest.mark.parametrize("name", MODELLED)
def test_servos_follow_a_motion_and_hands_close(name):
    spec = SPECS[name]
    robot, arm = PhysicalRobot(spec), len(spec.home)
    hands = len(spec.grippers)
    worst_J, reached_J = np.zeros(arm), np.zeros(arm)
    for cycle in range(round(ROUND_S / CYCLE_S)):
        now_s = cycle * CYCLE_S
        q_J, next_J = swing(spec, now_s), swing(spec, now_s + CYCLE_S)
        qd_D = np.append((next_J - q_J) / CYCLE_S, np.zeros(hands))
        robot.command(np.append(q_J, np.zeros(hands)), qd_D)
        robot.advance(CYCLE_S)
        measured_D, _ = robot.state
        worst_J = np.maximum(worst_J, np.abs(measured_D[:arm] - next_J))
        reached_J = np.maximum(reached_J, np.abs(measured_D[:arm] - spec.home))
    # A servo without its lead would be behind by its lag at the fastest.
    behind_J = LAG_S * np.pi / ROUND_S * np.abs(swing(spec, ROUND_S / 2.0) - spec.home)
    assert (worst_J < np.maximum(behind_J, 0.02)).all(), worst_J
    assert (reached_J > 0.9 * np.abs(swing(spec, ROUND_S / 2.0) - spec.home)).all()
    assert (robot.state[0][arm:] < 0.2).all(), robot.state[0][arm:]
    assert not any(warning.number for warning in robot.data.warning)


@pytest.mark.parametrize("name", MODELLED)
def test_the_robot_holds_still_against_its_weight_with_open_hands(name):
    spec = SPECS[name]
    robot, arm = PhysicalRobot(spec), len(spec.home)
    for _ in range(50):
        robot.advance(CYCLE_S)
    q_D, qd_D = robot.state
    np.testing.assert_allclose(q_D[:arm], spec.home, atol=5e-3)
    assert np.abs(qd_D[:arm]).max() < 1e-2
    assert (q_D[arm:] > 0.9).all(), q_D[arm:]


def test_cameras_see_the_robot_move():
    spec = SPECS["aloha"]
    robot = PhysicalRobot(spec)
    cameras = RobotCameras(spec, robot.model, dict.fromkeys(spec.camera_names, (80, 60)))
    qpos = robot.data.qpos.copy()
    moved = qpos.copy()
    moved[robot.model.joint("vx300s_left/waist").qposadr[0]] += 0.5
    try:
        before = {name: cameras.render(name, qpos).copy() for name in spec.camera_names}
        after = {name: cameras.render(name, moved) for name in spec.camera_names}
        assert all(picture.shape == (60, 80, 3) for picture in before.values())
        assert all(picture.std() > 5.0 for picture in before.values())
        changed = {name: np.abs(before[name].astype(int) - after[name]).mean() for name in before}
    finally:
        cameras.close()
    assert changed["high"] > 0.2
    assert changed["left_wrist"] > 0.2
