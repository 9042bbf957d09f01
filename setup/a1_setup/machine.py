"""What the machine has to bring: libraries to render and draw, a compiler, Python's headers."""

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from pathlib import Path

from a1_setup.console import SetupError, say

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SPACE_GB = 3.0
"""What environment and workspace take, with PyTorch's CPU build."""


def missing_packages() -> list[str]:
    """Debian packages that this machine lacks, found by what they bring."""
    wanted = {
        "libegl1": _loads("libEGL.so.1"),
        "libgl1": _loads("libGL.so.1"),
        "libegl-mesa0": _loads("libEGL_mesa.so.0"),
        "libgl1-mesa-dri": _has_software_driver(),
        "libglib2.0-0": _loads("libglib-2.0.so.0"),
        "libxkbcommon0": _loads("libxkbcommon.so.0"),
        "libfontconfig1": _loads("libfontconfig.so.1"),
        "libdbus-1-3": _loads("libdbus-1.so.3"),
        "g++": shutil.which("g++") is not None,
        "make": shutil.which("make") is not None,
        _versioned("venv"): importlib.util.find_spec("ensurepip") is not None,
        _versioned("dev"): (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file(),
    }
    if os.environ.get("CI"):
        # The tests that look at pages need a browser; people have theirs.
        wanted["chromium"] = any(shutil.which(name) for name in BROWSERS)
    return [package for package, there in wanted.items() if not there]


def ensure_packages() -> None:
    """Install what is missing where that needs no password; else say the line to type."""
    missing = missing_packages()
    if not missing:
        return
    line = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"this machine lacks what Debian calls {', '.join(missing)}; install its equivalent"
        )
    sudo = _privilege()
    if sudo is None:
        raise SetupError(f"system packages are missing; type this once: sudo {line}")
    say(f"installing system packages: {', '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], [*line.split(), "-qq"]):
        done = subprocess.run([*sudo, *command], env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise SetupError(
                f"`{' '.join(command)}` failed: {done.stderr.strip()}; install by hand: sudo {line}"
            )
    left = missing_packages()
    if left:
        raise SetupError(f"still missing after installation: {', '.join(left)}")


def check_wheels_exist() -> None:
    """The ROS 2 wheels are for one platform."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise SetupError(
            "without an installed ROS 2, Linux on x86-64 is needed (the ROS 2 wheels exist for "
            f"nothing else; this is {platform.system()} {platform.machine()}): install ROS 2 "
            "Jazzy, source its setup.bash and run this again"
        )


def check_space(root: Path) -> None:
    """The disk of the clone has to hold the environment."""
    free_gb = shutil.disk_usage(root).free / 1e9
    if free_gb < SPACE_GB:
        raise SetupError(
            f"{free_gb:.1f} GB are left on the disk of {root}, the set-up takes {SPACE_GB:.0f}: "
            "make room, or move the clone to another disk"
        )


def torch_index_options() -> list[str]:
    """Options of pip for PyTorch's CPU build where no NVIDIA driver is; empty without an answer."""
    if platform.system() != "Linux" or Path("/proc/driver/nvidia/version").exists():
        return []
    if shutil.which("nvidia-smi"):
        return []
    try:
        with urllib.request.urlopen(f"{TORCH_CPU_INDEX}/torch/", timeout=5) as answer:
            return ["--extra-index-url", TORCH_CPU_INDEX] if answer.status == 200 else []
    except (urllib.error.URLError, OSError):
        return []


def _versioned(part: str) -> str:
    return f"python{sys.version_info[0]}.{sys.version_info[1]}-{part}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_software_driver() -> bool:
    roots = [Path("/usr/lib"), Path("/usr/lib64")]
    patterns = ("dri/swrast_dri.so", "*/dri/swrast_dri.so", "*/libgallium*.so", "libgallium*.so")
    return any(any(root.glob(pattern)) for root in roots for pattern in patterns)


def _privilege() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    ):
        return ["sudo", "-n"]
    return None
