"""Policy and controller on two computers: the link is cut and restored, a clock is set wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_link_is_cut_and_restored_and_a_wrong_clock_is_named(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("two_hosts.py")), str(tmp_path)]
    # What it shares with other tests and the fault table.
    ours = [str(ROOT / folder) for folder in ("bench", "tests", "tests/nodes")]
    folders = [*ours, os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    why, of_the_clocks = told.pop("why"), told.pop("of the clocks")
    assert all(told.values()), (told, done.stderr[-3000:])
    assert why.startswith("no chunk for")
    assert "behind this computer's clock; synchronise the computers' clocks" in of_the_clocks
