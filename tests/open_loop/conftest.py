"""A recorded run whose motion is known, and a tiny checkpoint with random weights."""

import sys
from pathlib import Path

import pytest
import torch

# What tests of several files share lies beside them: bag_rig, world_bags, open_loop_rig.
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
sys.path.insert(0, str(Path(__file__).parents[1] / "calibration"))
sys.path.insert(0, str(Path(__file__).parent))

from bag_rig import write_spec
from open_loop_rig import write_run
from world_bags import write_checkpoint

from a1_core.spec import load_spec


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("open_loop")


@pytest.fixture(scope="session")
def spec(folder):
    return load_spec(write_spec(folder / "franka_quick.yaml"))


@pytest.fixture(scope="session")
def run_bag(folder, spec) -> Path:
    return write_run(folder / "run", spec)


@pytest.fixture(scope="session")
def checkpoint(folder, spec) -> Path:
    return write_checkpoint(folder / "random", spec)
