"""What the set-up says when it cannot go on: one sentence with what is to be done."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "setup"))

from a1_setup import environment, machine, run
from a1_setup.causes import cause_of
from a1_setup.console import SetupError

Usage = namedtuple("Usage", "total used free")
NO_NAME = (
    "WARNING: Retrying after connection broken by 'NewConnectionError('...: Failed to establish a "
    "new connection: [Errno -3] Temporary failure in name resolution')'\n"
    "ERROR: No matching distribution found for torch==2.13.0\n"
)


@pytest.mark.parametrize(
    ("output", "mend"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device: '/a/b'", "TMPDIR"),
        ("OSError('Tunnel connection failed: 407 Proxy Authentication Required')", "HTTPS_PROXY"),
        ("ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        (NO_NAME, "no package index was reached"),
        ("ERROR: No matching distribution found for mujoco==3.17.0", "A1_PYTHON"),
    ],
)
def test_what_pip_says_becomes_a_sentence_with_its_mend(output, mend):
    assert mend in cause_of(output)


def test_what_is_not_known_is_shown_as_it_is(tmp_path, monkeypatch):
    assert cause_of("ERROR: something new") == ""

    def failing(command, *, log, **rest):
        log.parent.mkdir()
        log.write_text("Collecting torch\nERROR: something new\n")
        return 1

    monkeypatch.setattr(environment, "run_logged", failing)
    here = environment.Environment(root=tmp_path, ros=None)
    with pytest.raises(SetupError, match=r"pip\.log\n.*\n *ERROR: something new"):
        environment._pip(here, "pip.log")


def test_a_disk_without_room_is_told_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: Usage(10**11, 0, 4 * 10**9))
    machine.check_space(tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: Usage(10**11, 0, 12 * 10**8))
    with pytest.raises(SetupError, match=r"1\.2 GB are left .* takes 3: make room"):
        machine.check_space(tmp_path)


OLD = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.10.4" && exit\nexit 1\n'
FITS = '#!/bin/sh\n[ "$1" = -c ] || echo "run by $0"\n'


def _set_up(tmp_path, *, python3: str, **variables: str) -> subprocess.CompletedProcess:
    """What setup.sh does in a clone where `python3` is that script."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").write_text(python3)
    (tools / "python3").chmod(0o755)
    for name in ("dirname", "bash", "sed"):
        (tools / name).symlink_to(shutil.which(name))
    script = tmp_path / "clone" / "setup" / "setup.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "setup" / "setup.sh", script)
    return subprocess.run(
        [str(tools / "bash"), str(script)],
        env={"PATH": str(tools)} | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("sourced", "told"), [(False, "found Python 3.10.4"), (True, "or take a terminal without")]
)
def test_a_python_that_does_not_fit_is_named(tmp_path, sourced, told):
    ros = tmp_path / "ros"
    (ros / "share" / "rclpy").mkdir(parents=True)
    # The system's own Python, tried for an installed ROS 2, imports no rclpy.
    variables = {"AMENT_PREFIX_PATH": str(ros)} if sourced else {}
    done = _set_up(tmp_path, python3=OLD, **variables)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("still_there", "taken"), [(True, "made/python3.12"), (False, "bin/python3")]
)
def test_an_environment_keeps_the_python_it_was_made_with(tmp_path, still_there, taken):
    """A terminal in which another one comes first does not make it anew."""
    made = tmp_path / "made" / "python3.12"
    if still_there:
        made.parent.mkdir()
        made.write_text(FITS)
        made.chmod(0o755)
    (tmp_path / "clone" / ".venv").mkdir(parents=True)
    (tmp_path / "clone" / ".venv" / "pyvenv.cfg").write_text(f"home = /\nexecutable = {made}\n")
    done = _set_up(tmp_path, python3=FITS)
    assert done.returncode == 0
    assert done.stdout.strip().endswith(taken)


def test_a_clone_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch, capsys):
    def refused(path):
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(run, "_locked", refused)
    assert run.main([]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "Permission denied" in line and "may write to" in line
