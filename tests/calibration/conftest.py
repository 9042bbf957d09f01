"""Episodes of the simulated Franka in bags, and a checkpoint, made once."""

import sys
from pathlib import Path

import pytest
import torch

# What tests of several files share lies beside them: bag_rig, world_bags.
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
sys.path.insert(0, str(Path(__file__).parent))

from bag_rig import write_spec
from world_bags import write_bags, write_checkpoint

from a1_calibration.request import Promise, Request
from a1_core.spec import RobotSpec, load_spec

EPISODES, SECONDS = 8, 1.6


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("calibration")


@pytest.fixture(scope="session")
def spec_path(folder) -> Path:
    return write_spec(folder / "franka_quick.yaml")


@pytest.fixture(scope="session")
def spec(spec_path) -> RobotSpec:
    return load_spec(spec_path)


@pytest.fixture(scope="session")
def bags(folder, spec) -> Path:
    return write_bags(folder / "bags", spec, EPISODES, SECONDS)


@pytest.fixture(scope="session")
def checkpoint(folder, spec) -> Path:
    return write_checkpoint(folder / "random", spec)


@pytest.fixture
def make_request(bags, checkpoint, tmp_path):
    """`make_request(**changes)`: a promise that eight episodes can certify."""

    def make(**changes) -> Request:
        given = {
            "checkpoint": checkpoint,
            "fit_bags": (bags,),
            "out": tmp_path / "thresholds.yaml",
            "promise": Promise(risk=0.5, failure=0.1, tolerance=1.0),
            "batch": 8,
            "pictures": 4,
            **changes,
        }
        return Request(**given)

    return make


@pytest.fixture
def silent():
    """Progress that nobody reads."""
    return lambda stage, done, total: None
