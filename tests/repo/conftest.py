"""The repository as the tests of its own rules see it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root) -> list[Path]:
    """Every file that is in git, or would be if it were added."""
    done = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    paths = [root / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


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
