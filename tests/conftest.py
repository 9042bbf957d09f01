"""The repository, and the bring-up package as it is installed, for every test."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


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
