"""`robot_demo` with installed executables: real processes, one launch file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# The vendors' messages that some robots speak, as `make demo ROBOT=...` finds them.
BUILDER = Path(__file__).parents[1] / "interfaces/interface_builder.py"


@pytest.mark.parametrize(
    ("robot", "stand_in", "joints", "grippers"),
    [("openarm", "kinematic", 14, 2), ("openarm_v2", "physics", 14, 2), ("ur5e", "physics", 6, 1)],
)
def test_the_robot_does_its_motion(tmp_path, robot, stand_in, joints, grippers):
    code = "import sys; from a1_sim.robot_demo import main; main(sys.argv[1:])"
    options = ["--robot", robot, "--seconds", "6", "--out", str(tmp_path)]
    command = [sys.executable, str(BUILDER), sys.executable, "-c", code, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    log = tmp_path / robot / "system.log"
    assert done.returncode == 0, f"{done.stdout}\n{log.read_text() if log.is_file() else ''}"
    summary = json.loads((tmp_path / robot / "summary.json").read_text())
    assert summary["stand_in"] == stand_in
    assert summary["moved"]
    assert summary["least_share_of_swing"] > 0.8
    assert len(summary["span_rad"]) == joints
    assert len(summary["span_of_grippers"]) == grippers
