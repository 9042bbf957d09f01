"""The command from end to end: stored samples in, a checkpoint out; killed, spread, refused."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from a1_core.spec import load_spec
from a1_model.checkpoint import load_checkpoint
from a1_model.weights import WeightFiles
from a1_training.reporting import RunLog
from a1_training.train import FAST_FILE, main

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "config/robots/franka.yaml"


def arguments(folders, root, name, *more):
    return [
        *("--recipe", "insulated", "--robot", str(SPEC)),
        *("--data", *(f"{key}={folder}" for key, folder in folders.items())),
        *("--work", str(root / f"{name}.work"), "--out", str(root / name)),
        *("--steps", "4", "--images-per-step", "4", "--save-every", "1"),
        *("--precision", "float32", *more),
    ]


def weights(directory):
    return dict(WeightFiles.find(directory).tensors())


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    """A checkpoint of one uninterrupted process."""
    root = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    assert main(arguments(folders, root, "whole")) == 0
    return root / "whole"


def test_what_it_writes_acts_and_says_where_it_comes_from(trained):
    loaded = load_checkpoint(trained, load_spec(SPEC))
    assert loaded.config.head == "fm" and loaded.config.insulate
    told = loaded.metadata
    assert told["recipe"]["stages"][0]["steps"] == 4 and told["steps"] == 4
    assert set(told["sources"]) == {"demonstrations", "scenes"}
    assert told["sources"]["demonstrations"]["samples"] == 12
    assert told["started_from"] is None and told["processes"] == 1
    assert len(told["code"]) == len(told["sources"]["scenes"]["labels_sha256"]) == 64
    assert told["libraries"]["torch"] and told["command"]
    assert json.loads((trained / FAST_FILE).read_text())["horizon"] == 16


def test_tensorboard_shows_the_losses(trained):
    events = EventAccumulator(str(trained.parent / "whole.work" / "tensorboard"))
    events.Reload()
    assert {"fast", "fm", "end", "lr", "gradient_norm"} <= set(events.Tags()["scalars"])
    row = json.loads((trained.parent / "whole.work" / "log.jsonl").read_text().splitlines()[0])
    (first, *_) = events.Scalars("fm")
    assert first.value == pytest.approx(row["fm"])


def test_a_log_goes_on_where_the_state_was_saved(tmp_path):
    """Rows told after it would stand there twice; a row cut off by the kill is gone."""
    log = RunLog(tmp_path, Console(quiet=True))
    for done in (1, 51, 101):
        log.row({"loss": 0.5 / done}, done)
    log.row({"grounding": 1.0})
    log.close()
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text() + '{"steps_done": 15')
    again = RunLog(tmp_path, Console(quiet=True), 60)
    again.row({"loss": 0.25}, 101)
    again.close()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row.get("steps_done") for row in rows] == [1, 51, None, 101]
    assert rows[-1]["loss"] == 0.25


def test_a_killed_process_goes_on_to_the_same_weights(trained, folders, tmp_path):
    call = arguments(folders, tmp_path, "killed")
    state = tmp_path / "killed.work" / "state.pt"
    process = multiprocessing.get_context("fork").Process(target=main, args=(call,))
    process.start()
    while not state.exists():
        assert process.is_alive()
        process.join(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = torch.load(state, weights_only=True)["progress"]
    assert done["stage"] == 0 and 1 <= done["step"] < 4
    assert not (tmp_path / "killed").exists()
    assert main(call) == 0
    ours, theirs = weights(tmp_path / "killed"), weights(trained)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def together(call):
    """The command of two processes on this machine."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*run, "-m", "a1_training.train", *call],
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("more", [(), ("--shard",)], ids=["whole", "sharded"])
def test_two_processes_give_the_weights_of_one(trained, folders, tmp_path, more):
    """torchrun, gloo, two ranks; every rank in two passes. Compared by how far weights moved.

    The sharded ones are killed on the way and go on.
    """
    call = arguments(folders, tmp_path, "spread", "--images-per-pass", "1", *more)
    state = tmp_path / "spread.work" / "state.pt"
    if more:
        killed = together(call)
        while not state.exists():
            assert killed.poll() is None, killed.communicate()[0]
            time.sleep(0.01)
        # Each rank leads a session of its own; torchrun ends when they do.
        children = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        assert len(children) == 2 and killed.communicate(timeout=60) and killed.returncode != 0
        assert 1 <= torch.load(state, weights_only=True)["progress"]["step"] < 4
    done = together(call)
    said, _ = done.communicate(timeout=240)
    assert done.returncode == 0, said
    assert ("resuming" in said) is bool(more)
    assert main(arguments(folders, tmp_path, "start", "--steps", "0")) == 0
    start, ours, theirs = (weights(x) for x in (tmp_path / "start", tmp_path / "spread", trained))
    apart = sum(float((ours[name] - theirs[name]).square().sum()) for name in theirs) ** 0.5
    moved = sum(float((theirs[name] - start[name]).square().sum()) for name in theirs) ** 0.5
    assert moved > 0 and apart / moved < 1e-2
    assert load_checkpoint(tmp_path / "spread", load_spec(SPEC)).metadata["processes"] == 2


def test_it_goes_on_from_a_checkpoint(trained, folders, tmp_path):
    """And keeps its action tokens, whatever the new data would give."""
    call = arguments(folders, tmp_path, "next", "--start", str(trained), "--steps", "0")
    assert main(call) == 0
    ours, theirs = weights(tmp_path / "next"), weights(trained)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (tmp_path / "next" / FAST_FILE).read_text() == (trained / FAST_FILE).read_text()
    metadata = json.loads((tmp_path / "next" / "metadata.json").read_text())
    assert metadata["started_from"] == (trained / "digest").read_text().strip()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["--recipe", "paper"], "--recipe: 'paper' is not one of"),
        (["--data", "demonstrations"], "write NAME=DIR"),
        (
            ["--data", "../up=/nowhere"],
            "--data ../up=/nowhere: write NAME=DIR, with NAME of letters",
        ),
        (["--robot", "nobody"], "robot 'nobody': no nobody.yaml in"),
        (["--out", str(ROOT / "docs")], "docs: is there and is no checkpoint"),
        (["--data", "nowhere=/nowhere"], "manifest.json"),
        (["--images-per-step", "5"], "run in this folder has another recipe"),
    ],
)
def test_mistakes_are_told_in_one_line(trained, folders, capsys, changes, named):
    call = arguments(folders, trained.parent, "whole")
    assert main([*call, *changes]) == 1
    said = capsys.readouterr().out
    assert named in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("option", "value"),
    [("--images-per-pass", "-1"), ("--save-every", "0"), ("--steps", "many"), ("--seed", "-3")],
)
def test_numbers_that_cannot_be_are_told_with_their_option(
    folders, tmp_path, capsys, option, value
):
    with pytest.raises(SystemExit) as left:
        main(arguments(folders, tmp_path, "whole", option, value))
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert f"argument {option}: {value}: give a whole number of at least" in said


def test_data_without_actions_alone_is_refused(folders, tmp_path, capsys):
    call = arguments({"scenes": folders["scenes"]}, tmp_path, "blind")
    assert main(call) == 1
    assert "none of ['scenes'] has actions" in capsys.readouterr().out
