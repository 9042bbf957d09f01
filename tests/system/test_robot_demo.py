"""`robot_demo` with installed executables: real processes, one launch file, a robot of two arms."""

import json
import subprocess
import sys


def test_two_arms_do_their_motion(tmp_path):
    code = "import sys; from a1_sim.robot_demo import main; main(sys.argv[1:])"
    options = ["--robot", "openarm", "--seconds", "6", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *options], capture_output=True, text=True, timeout=280
    )
    log = tmp_path / "openarm" / "system.log"
    assert done.returncode == 0, f"{done.stdout}\n{log.read_text() if log.is_file() else ''}"
    summary = json.loads((tmp_path / "openarm" / "summary.json").read_text())
    assert summary["moved"]
    assert summary["least_share_of_swing"] > 0.8
    assert len(summary["span_rad"]) == 14
    assert len(summary["span_of_grippers"]) == 2
