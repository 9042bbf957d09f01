"""Builds the stand-ins of vendors' message packages into build/interfaces, when they changed.

The adapters find them as they find the vendors' own: by the variables of the environment. Of a
package that the environment has already, no stand-in is built.

    python tests/interfaces/interface_builder.py COMMAND...

builds, then runs a command that finds them.
"""

import ctypes
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "setup"))

from a1_setup.stamps import Stamps, digest_of

PREFIX = ROOT / "build" / "interfaces"


def _is_installed(package: str) -> bool:
    """Whether the environment has it; the folder of its stand-in beside this file is no package."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


PACKAGES = [
    path.parent
    for path in sorted(HERE.glob("*/package.xml"))
    if not _is_installed(path.parent.name)
]


def ensure() -> None:
    """Build what changed and make this process, and what it starts, find it."""
    installed = PREFIX / "install"
    digest = digest_of(str(PREFIX), sys.version, *PACKAGES)
    stamps = Stamps(PREFIX)
    if PACKAGES and not stamps.holds("built", digest):
        _build(installed)
        stamps.note("built", digest)
    site = installed / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    for name, path in (
        ("AMENT_PREFIX_PATH", installed),
        ("LD_LIBRARY_PATH", installed / "lib"),
        ("PYTHONPATH", site),
    ):
        known = os.environ.get(name, "")
        if str(path) not in known.split(os.pathsep):
            os.environ[name] = f"{path}{os.pathsep}{known}"
    if str(site) not in sys.path:
        sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    # This process looked at LD_LIBRARY_PATH when it started; what is loaded is found by its name.
    for library in sorted((installed / "lib").glob("lib*.so")):
        ctypes.CDLL(str(library))


def _build(installed: Path) -> None:
    shutil.rmtree(PREFIX, ignore_errors=True)
    PREFIX.mkdir(parents=True)
    log = PREFIX / "log"
    command = [sys.executable, "-m", "colcon", "--log-base", str(log), "build", "--merge-install"]
    command += ["--base-paths", *map(str, PACKAGES), "--build-base", str(PREFIX / "build")]
    command += ["--install-base", str(installed), "--cmake-args", "-DBUILD_TESTING=OFF"]
    # The libraries find each other also in a process that started before they were there.
    command += [f"-DPython3_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=Release"]
    command += [f"-DCMAKE_INSTALL_RPATH={installed / 'lib'}"]
    done = subprocess.run(command, cwd=PREFIX, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


if __name__ == "__main__":
    ensure()
    if sys.argv[1:]:
        os.execvp(sys.argv[1], sys.argv[1:])
