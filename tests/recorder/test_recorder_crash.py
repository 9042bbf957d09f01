"""A recorder that is killed leaves all but the last moment."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from recorder_rig import (
    SPEC_TOPICS,
    holds_in_a_row,
    messages_in,
    missing_s,
    only_bag,
)
from waiting import wait_for

from a1_recorder.session import left_drafts

KILLED = Path(__file__).with_name("killed_recorder.py")
KILLS = 5


def test_kills_at_random_moments_cost_less_than_a_second(robot, spec_file, tmp_path):
    robot.start()
    folders = [tmp_path / f"bags{number}" for number in range(KILLS)]
    places = [KILLED.parent, KILLED.parents[1], os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(map(str, places))
    recorders = [
        subprocess.Popen(
            [sys.executable, str(KILLED), str(spec_file), str(folder)],
            env={**os.environ, "PYTHONPATH": path},
            stderr=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    try:
        for folder in folders:
            assert wait_for((folder / "recording").exists, 30.0), folder
        for folder, recorder in zip(folders, recorders, strict=True):
            time.sleep(random.uniform(0.3, 0.8))
            recorder.send_signal(signal.SIGKILL)
            killed_ns = time.time_ns()
            recorder.wait()
            (draft,) = left_drafts(folder)
            found = messages_in(draft)
            for topic in SPEC_TOPICS:
                assert holds_in_a_row(list(robot.sent[topic]), found[topic]), topic
                assert missing_s(robot, topic, found[topic], killed_ns) <= 1.0, topic
    finally:
        for recorder in recorders:
            recorder.kill()
            recorder.wait()
    for folder in folders:
        (draft,) = left_drafts(folder)
        bag = only_bag(draft, spec_file)
        assert list(bag.frames())
        assert {finding.code for finding in bag.findings} <= {"FILE_DAMAGED", "INDEX_MISSING"}
        assert bag.episodes[0].instruction_at(0) == "touch the red cube"
        assert bag.files.custom["spec_digest"] == robot.spec.digest


def test_what_was_left_is_told(make, folder, caplog, capfd):
    draft = folder / "franka_20250101_000000.draft"
    draft.mkdir(parents=True)
    make()
    assert str(draft) in capfd.readouterr().err
