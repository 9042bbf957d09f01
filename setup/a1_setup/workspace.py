"""colcon builds what changed, into install/ (merged)."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from a1_setup.console import SetupError, run_logged, say, tail
from a1_setup.environment import Environment
from a1_setup.stamps import Stamps, digest_of

_FINISHED = re.compile(r"^Finished <<< (\S+)")
_FAILED = re.compile(r"^Failed\s+<<< (\S+)")


def ensure(environment: Environment) -> None:
    """Build every package whose sources changed since it was last built."""
    root = environment.root
    packages = _packages(environment)
    made_for = digest_of(
        (environment.prefix / "stamps" / "packages").read_text(encoding="utf-8"),
        root / "colcon.meta",
    )
    stamps = Stamps(root / "install" / "stamps")
    if not stamps.holds("environment", made_for):
        for folder in ("build", "install"):
            shutil.rmtree(root / folder, ignore_errors=True)
    digests = {name: digest_of(*sources) for name, sources in packages.items()}
    changed = [name for name in packages if not stamps.holds(name, digests[name])]
    if not changed:
        return
    say(f"building {len(changed)} of {len(packages)} packages: {', '.join(changed)}")
    stamps.note("environment", made_for)
    try:
        _build(environment, changed, built=lambda name: stamps.note(name, digests[name]))
    finally:
        _mend_scripts(root / "install" / "lib")


def _packages(environment: Environment) -> dict[str, list[Path]]:
    """Sources by package; a1_bringup also installs folders of the root."""
    root = environment.root
    packages = {p.parent.name: [p.parent] for p in sorted(root.glob("src/*/package.xml"))}
    if "a1_bringup" in packages:
        packages["a1_bringup"] += [root / name for name in ("launch", "config", "checkpoints")]
    if environment.ros is None or not _installed_control_msgs(root):
        packages["control_msgs"] = [root / "third_party" / "control_msgs"]
    return packages


def _installed_control_msgs(root: Path) -> bool:
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    ours = str(root / "install")
    return any(p and p != ours and (Path(p) / "share/control_msgs").is_dir() for p in prefixes)


def _build(environment: Environment, names: list[str], built: Callable[[str], None]) -> None:
    root = environment.root
    log = root / "log" / "colcon.log"
    total, finished, failed = len(names), 0, ""

    def progress(line: str) -> str | None:
        nonlocal finished, failed
        if match := _FAILED.match(line):
            failed = match.group(1)
        if match := _FINISHED.match(line):
            finished += 1
            built(match.group(1))
            return f"{finished} of {total} built: {match.group(1)}"
        return None

    bases = [str(root / "src"), str(root / "third_party" / "control_msgs")]
    code = run_logged(
        [
            str(environment.python),
            "-m",
            "colcon",
            "--log-base",
            str(root / "log"),
            "build",
            "--continue-on-error",
        ]
        + ["--merge-install", "--base-paths", *bases, "--packages-select", *names]
        + ["--build-base", str(root / "build"), "--install-base", str(root / "install")]
        + ["--event-handlers", "console_cohesion+", "console_direct-"]
        + ["--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={environment.python}"],
        log=log,
        cwd=root,
        env=_sourced(root),
        progress=progress,
    )
    if code != 0:
        where = f"package {failed} " if failed else ""
        raise SetupError(f"{where}did not build; all of it: {log}\n{tail(log)}")


def _mend_scripts(lib: Path) -> None:
    """Let scripts start below a folder with a space in its name, which no #! line can hold."""
    for script in lib.glob("a1_*/*"):
        first, _, rest = script.read_text(encoding="utf-8").partition("\n")
        if first.startswith('#!"'):
            start = f"#!/bin/sh\n'''exec' {first[2:]} \"$0\" \"$@\"\n' '''\n"
            script.write_text(start + rest, encoding="utf-8")


def _sourced(root: Path) -> dict[str, str]:
    """This process's variables after setup/env.sh."""
    done = subprocess.run(
        ["bash", "-c", 'source "$1" && env -0', "env", str(root / "setup" / "env.sh")],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(item.split("=", 1) for item in done.stdout.split("\0") if "=" in item)
