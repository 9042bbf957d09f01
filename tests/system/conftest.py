"""Whole systems: a ROS domain of this process, nothing beyond this machine."""

from pathlib import Path

import pytest

from a1_sim.stage import Stage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def robot() -> Path:
    """The spec of the simulated robot."""
    return ROOT / "config/robots/franka.yaml"


@pytest.fixture(scope="session")
def stage(robot: Path) -> Stage:
    """The shipped checkpoint with its thresholds."""
    thresholds = ROOT / "config/thresholds/franka_tiny.yaml"
    return Stage(
        robot=robot,
        checkpoint=ROOT / "checkpoints/tiny",
        thresholds=thresholds if thresholds.exists() else None,
    )
