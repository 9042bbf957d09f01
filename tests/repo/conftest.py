"""The repository as the tests of its own rules see it."""

import subprocess
from pathlib import Path

import pytest


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
