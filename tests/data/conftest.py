"""The robot whose runs lie in the bags of these tests."""

import sys
from pathlib import Path

import pytest

# What tests of several files share lies beside them: bag_rig.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

from bag_rig import Run, write_spec

from a1_core.spec import RobotSpec, load_spec


@pytest.fixture(scope="session")
def spec(tmp_path_factory) -> RobotSpec:
    return load_spec(write_spec(tmp_path_factory.mktemp("spec") / "quick.yaml"))


@pytest.fixture(scope="session")
def run(spec) -> Run:
    """Two seconds of a moving robot; nobody changes it."""
    return Run(spec).record()


@pytest.fixture
def bag_path(tmp_path) -> Path:
    return tmp_path / "bag"


@pytest.fixture(params=["mcap", "sqlite3"])
def storage(request) -> str:
    return request.param
