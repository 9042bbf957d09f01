"""The repository, the bring-up package as it is installed, and a DDS domain, for every test."""

import gc
import os
import sys
from pathlib import Path

# What tests of several folders share lies here: networks, own_sockets, ros_rig, waiting.
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from own_sockets import own_ports_in

from a1_ros.domain import isolate

# Before any test imports rclpy; processes that tests start inherit it.
isolate()

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="module", autouse=True)
def no_participant_is_left(request) -> None:
    """A participant that an earlier module left behind would hide later ones from each other."""
    if request.session.testsfailed:
        return  # what a failed test had in its hands is kept for its report
    gc.collect()  # nodes hang in reference cycles, and the DDS participant with them
    left = own_ports_in(int(os.environ["ROS_DOMAIN_ID"]))
    assert not left, (
        f"the module before did not destroy a node or shut down a context: UDP ports {left}"
    )


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
