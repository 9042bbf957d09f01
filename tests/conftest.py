"""The repository, the bring-up package as it is installed, and a DDS domain, for every test."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from a1_ros.domain import isolate, own_ports_in_use

# Before any test imports rclpy; processes that tests start inherit it.
isolate()

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="module", autouse=True)
def no_participant_is_left() -> Iterator[None]:
    """A participant that a module leaves behind hides those of later tests from each other."""
    domain = int(os.environ["ROS_DOMAIN_ID"])
    before = own_ports_in_use(domain)
    yield
    # Nodes hang in reference cycles, and the DDS participant with them.
    gc.collect()
    left = sorted({*own_ports_in_use(domain)} - {*before})
    assert not left, f"a context was not shut down, or a node not destroyed: UDP ports {left}"


@pytest.fixture
def bringup_share(root, tmp_path, monkeypatch) -> Path:
    """a1_bringup's share as it is installed, made of links, found through AMENT_PREFIX_PATH."""
    share = tmp_path / "share" / "a1_bringup"
    share.mkdir(parents=True)
    for name in ("launch", "config"):
        (share / name).symlink_to(root / name)
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "a1_bringup").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    return share
