"""The shipped robot spec, for every test of a1_core."""

from pathlib import Path

import pytest

from a1_core.spec import RobotSpec, load_spec

FRANKA = Path(__file__).parents[2] / "config" / "robots" / "franka.yaml"


@pytest.fixture(scope="session")
def franka_path() -> Path:
    return FRANKA


@pytest.fixture(scope="session")
def spec() -> RobotSpec:
    return load_spec(FRANKA)
