"""Whole systems: a ROS domain of this process, nothing beyond this machine."""

import os

os.environ["ROS_DOMAIN_ID"] = str(101 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.pop("ROS_STATIC_PEERS", None)

from pathlib import Path

import pytest
from untrained import untrained

from a1_sim.stage import Stage

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "checkpoints/tiny"


@pytest.fixture(scope="session")
def robot() -> Path:
    """The spec of the simulated robot."""
    return ROOT / "config/robots/franka.yaml"


@pytest.fixture(scope="session")
def trained() -> bool:
    """Whether the checkpoint under test can be expected to solve tasks."""
    return SHIPPED.is_dir()


@pytest.fixture(scope="session")
def stage(robot: Path, trained: bool, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The shipped checkpoint with its thresholds; untrained weights where there is none."""
    thresholds = ROOT / "config/thresholds/franka_tiny.yaml"
    if not trained:
        checkpoint = untrained(tmp_path_factory.mktemp("checkpoint") / "tiny", robot)
        return Stage(robot=robot, checkpoint=checkpoint, thresholds=None)
    return Stage(
        robot=robot, checkpoint=SHIPPED, thresholds=thresholds if thresholds.exists() else None
    )
