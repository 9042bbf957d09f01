"""What tests of a1_core share: the shipped robot spec, families of settings of known risk."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from a1_core.spec import RobotSpec, load_spec

ROOT = Path(__file__).parents[2]
FRANKA = ROOT / "config" / "robots" / "franka.yaml"


@pytest.fixture(scope="session")
def franka_path() -> Path:
    return FRANKA


@pytest.fixture(scope="session")
def spec() -> RobotSpec:
    return load_spec(FRANKA)


@pytest.fixture(scope="session")
def bench() -> Iterator[ModuleType]:
    """bench/calibration.py, whose families of known risk are tested here as well."""
    spec = importlib.util.spec_from_file_location(
        "bench_calibration", ROOT / "bench" / "calibration.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]
