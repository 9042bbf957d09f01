"""Whole systems: a ROS domain of this process, nothing beyond this machine."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import pytest
from _hosts import possible

from a1_sim.stage import Stage

ROOT = Path(__file__).parents[2]
# What needs two computers is collected where the machine allows network namespaces.
TWO_HOSTS = possible()
collect_ignore = [] if TWO_HOSTS else ["test_two_hosts.py"]


def pytest_report_header() -> str:
    return f"network namespaces: {'allowed' if TWO_HOSTS else 'not allowed: no second computer'}"


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
