"""The loop's steps: in order, taken up where they were broken off, summed up.

The commands are made up; what they do is tested where they are, and tests/system records for real.
"""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from a1_core.errors import A1Error
from a1_sim import evaluate, record_expert
from a1_sim.loop import SIMULATOR, Plan, run, steps
from a1_sim.plans import evaluation_plans, recording_plans
from a1_sim.settings import SPECS, mounts_from
from a1_sim.stage import simulator_parameters
from a1_world.layout import FIRST_EVAL_SEED

ROOT = Path(__file__).parents[2]
# Notes its name, fails where it is told to, and leaves what the real one does.
PROGRAM = """#!{python}
import json, os, sys
name, given = {name!r}, sys.argv[1:]
if name == "evaluate":
    name = given[given.index("--out") + 1].rsplit("/", 1)[1]
if name == "record_expert":
    name = given[given.index("--out") + 1].rsplit("/", 1)[1]
with open({log!r}, "a") as log:
    log.write(name + "\\n")
if os.path.exists({log!r} + ".fail." + name):
    sys.exit(3)
out = given[given.index("--out") + 1]
def leave(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
if name in ("before", "after"):
    rows = [
        dict(task=t, setting=s, episodes=4, successes=3 * (name == "after"), interval95=[0, 1],
             success_rate=0.75 * (name == "after"), mean_depth_fraction=0.6,
             layouts={{str(n): name == "after" and n < 3 for n in range(4)}})
        for t in ("touch", "bowl") for s in ("full", "adaptive")
    ]
    leave(out + "/summary.json", json.dumps(dict(rows=rows)))
elif name in ("recordings", "held_out"):
    leave(out + "/bag1/metadata.yaml", "")
elif name == "train":
    leave(out + "/digest", "")
elif name in ("predict", "mine"):
    leave(out + "/" + name + ".json", "")
else:
    leave(out, "")
"""
ORDER = ["before", "recordings", "held_out", "export", "train", "calibrate", "after"]
PROGRAMS = {
    "a1_sim": ("evaluate", "record_expert"),
    "a1_recorder": ("export",),
    "a1_training": ("train",),
    "a1_calibration": ("calibrate",),
    "a1_policy_node": ("predict", "mine"),
}


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    """Where the programs write down that they ran."""
    path = tmp_path / "ran"
    for package, names in PROGRAMS.items():
        folder = tmp_path / "prefix/lib" / package
        folder.mkdir(parents=True)
        for name in names:
            text = PROGRAM.format(python=sys.executable, name=name, log=str(path))
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "prefix"))
    return path


def plan_in(folder: Path, **changes) -> Plan:
    values = {
        "robot": Path("config/robots/franka.yaml"),
        "checkpoint": Path("checkpoints/tiny"),
        "thresholds": Path("config/thresholds/franka_tiny.yaml"),
        "simulator": Path(SIMULATOR),
        "tasks": ("touch", "bowl"),
        "episodes": 50,
        "held_out": 10,
        "trials": 20,
        "out": folder,
    }
    return Plan(**(values | changes))


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_step_is_run_once_and_summed_up(log, tmp_path):
    plan = plan_in(tmp_path / "loop")
    summary = run(plan, Console(quiet=True))
    assert log.read_text().split() == [*ORDER, "predict", "mine"]
    rows = {row["name"]: row["value"] for row in summary["rows"]}
    assert (rows["success_before"], rows["success_after"]) == (0.0, 0.75)
    assert len(summary["differences"]) == 4
    for one in summary["differences"]:
        assert (one["difference"], one["episodes"]) == (0.75, 4)
        assert one["interval95"][0] < 0.75 < one["interval95"][1]
    assert json.loads((plan.out / "summary.json").read_text()) == summary
    assert set(summary["seconds"]) == {*ORDER, "predict", "mine"}
    run(plan, Console(quiet=True))
    assert len(log.read_text().split()) == len(ORDER) + 2


def test_a_loop_that_was_broken_off_goes_on_with_the_step_that_failed(log, tmp_path):
    plan = plan_in(tmp_path / "loop")
    failing = Path(f"{log}.fail.train")
    failing.touch()
    with pytest.raises(A1Error, match=r"train ended with 3.*\./a1 run a1_training train"):
        run(plan, Console(quiet=True))
    failing.unlink()
    run(plan, Console(quiet=True))
    assert log.read_text().split() == [*ORDER[:5], *ORDER[4:], "predict", "mine"]


def test_a_folder_belongs_to_one_plan(log, tmp_path):
    run(plan_in(tmp_path / "loop"), Console(quiet=True))
    with pytest.raises(A1Error, match="begun with other trials"):
        run(plan_in(tmp_path / "loop", trials=5), Console(quiet=True))


def test_what_is_learnt_from_calibrated_on_and_evaluated_are_different_layouts(tmp_path):
    taken = []
    for step in steps(plan_in(tmp_path)):
        if step.program == "record_expert":
            options = record_expert.parse(step.arguments)
            plans = recording_plans(options.tasks, options.episodes, options.seed)
            taken.append({plan.seed for plan in plans})
        if step.program == "evaluate":
            trials = evaluate.parse(step.arguments)
            plans = [p for task in trials.tasks for p in evaluation_plans(task, trials.episodes)]
            taken.append({plan.seed for plan in plans})
    before, recorded, held_out, after = taken
    assert before == after
    assert len(recorded) == 50 and len(held_out) == 10
    assert not (before & recorded or before & held_out or recorded & held_out)
    # The shipped checkpoint has learnt on layouts below.
    assert min(before | recorded | held_out) >= FIRST_EVAL_SEED


@pytest.mark.parametrize("option", ["episodes", "held_out", "trials"])
def test_too_few_episodes_are_refused_before_anything_runs(tmp_path, option):
    with pytest.raises(A1Error, match=f"--{option.replace('_', '-')} is 0; give"):
        plan_in(tmp_path, **{option: 0})


def test_the_manual_has_the_same_commands():
    text = (ROOT / "docs/loop.md").read_text()
    block = re.search(r"```bash\n(.*?)```", text.split("## Step by step")[1], re.S).group(1)
    written = [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("./a1")]
    shown = [step.shown for step in steps(plan_in(Path("out/loop")))]
    bag = [words.replace("out/loop/held_out/BAG", "out/loop/held_out") for words in written]
    assert [line.split() for line in bag] == [line.split() for line in shown]


def test_the_knocked_camera_is_one_that_the_simulator_takes():
    told = simulator_parameters(ROOT / SIMULATOR)
    values = {spec.name: spec.default for spec in SPECS}
    assert set(told) <= set(values)
    mounts = mounts_from(values | told)
    assert mounts["front"].turn_rad != (0.0, 0.0, 0.0)
    assert mounts["wrist"].turn_rad == (0.0, 0.0, 0.0)


def test_a_file_that_holds_no_parameters_is_named(tmp_path):
    path = tmp_path / "odd.yaml"
    for text in ("", "- 1\n", "simulator: 3\n", "a: [\n"):
        path.write_text(text)
        with pytest.raises(A1Error, match=r"odd\.yaml"):
            simulator_parameters(path)
    with pytest.raises(A1Error, match=r"gone\.yaml"):
        simulator_parameters(tmp_path / "gone.yaml")


def test_a_camera_that_hangs_nowhere_is_named():
    values = {spec.name: spec.default for spec in SPECS} | {"camera.wrist.shift": [0.0]}
    with pytest.raises(A1Error, match=r"parameters camera\.wrist: .*three numbers"):
        mounts_from(values)


def test_the_environment_of_the_steps_is_that_of_the_loop(log, tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.devnull)
    with pytest.raises(A1Error, match="package 'a1_sim' has no executable 'evaluate'"):
        run(plan_in(tmp_path / "loop"), Console(quiet=True))
