"""Prediction errors of a policy that is known, and the command with one that is not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from open_loop_rig import AHEAD_RAD, EXITS, SECONDS, TURN_RAD_S, KnownPolicy, write_run

from a1_core.chunk import ActionChunk, ActionSpace, DeltaBase, RotationKind, Source, absolute_rows
from a1_core.errors import BagError
from a1_core.exit_rule import Thresholds
from a1_core.policy import ExitSetting
from a1_core.thresholds_file import ThresholdsFile, write_thresholds
from a1_data.reader import ReadSettings, open_bags
from a1_model.checkpoint import load_checkpoint
from a1_policy_node.open_loop import Trajectory, absolute, run_open_loop
from a1_policy_node.predict import main
from a1_policy_node.prediction_error import errors_of, summary

FULL = ExitSetting(mode="full")
MS = 1_000_000


def run_of(path, spec, taken: int = 1, **changes):
    (bag,) = open_bags(path, spec, ReadSettings())
    values = {"period_s": 0.3, "batch": 4} | changes
    return run_open_loop(bag, spec, KnownPolicy(spec, taken), FULL, **values)


def test_errors_are_those_of_a_policy_that_is_known(run_bag, spec):
    run = run_of(run_bag, spec, truth="measured")
    assert len(run.ticks) == pytest.approx(SECONDS / 0.3, abs=1)
    errors = errors_of(run, spec, tuple(range(EXITS)))
    due_s = spec.policy.period_s * np.arange(spec.policy.horizon)
    whole = TURN_RAD_S * due_s / 7  # a mean over seven joints, of which one moves
    for k in range(EXITS):
        first = errors.joint_KNH[k, 0]
        np.testing.assert_allclose(first, (1 - (k + 1) / EXITS) * whole, atol=1e-6)
    np.testing.assert_allclose(errors.stay_NH[0], whole, atol=1e-6)
    np.testing.assert_allclose(errors.taken_NH[0], 0.5 * whole, atol=1e-6)
    assert np.nanmax(errors.gripper_KNH) < 1e-6
    # Rows that would be due after the end are not compared, and those before all are.
    known = np.isfinite(errors.taken_NH)
    left_s = (
        SECONDS - 0.1 - np.array([(t.stamp_ns - run.ticks[0].stamp_ns) for t in run.ticks]) / 1e9
    )
    np.testing.assert_array_equal(known, due_s <= left_s[:, None] + 1e-6)
    told = summary(errors)
    assert told["stay_joint_rad"] == pytest.approx(float(np.nanmean(errors.stay_NH)))
    assert told["taken"]["share_by_exit"] == [0.0, 1.0, 0.0, 0.0]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_was_commanded_counts_where_the_bag_tells_it(run_bag, spec, tmp_path):
    run = run_of(run_bag, spec, taken=EXITS - 1)
    assert run.truth == "commanded"
    errors = errors_of(run, spec, tuple(range(EXITS)))
    np.testing.assert_allclose(errors.taken_NH[0], AHEAD_RAD / 7, atol=1e-6)
    silent = write_run(tmp_path / "silent", spec, commands=False)
    assert run_of(silent, spec).truth == "measured"
    with pytest.raises(BagError, match="a1/controller_state"):
        run_of(silent, spec, truth="commanded")


def test_a_trajectory_knows_nothing_outside_it_and_in_gaps():
    times = np.array([0, 100, 200, 2000]) * MS
    trajectory = Trajectory(times_M=times, positions_MD=np.array([[0.0], [1.0], [0.0], [5.0]]))
    asked = np.array([[-1, 0, 50], [150, 1000, 2001]]) * MS
    found = trajectory.at(asked)[..., 0]
    np.testing.assert_array_equal(found, [[np.nan, 0.0, 0.5], [0.5, np.nan, np.nan]])


@pytest.mark.parametrize("space", [ActionSpace.JOINT_POSITION, ActionSpace.JOINT_DELTA])
@pytest.mark.parametrize("base", DeltaBase)
def test_rows_are_those_that_the_controller_would_make(spec, space, base):
    other = replace(spec, policy=replace(spec.policy, action_space=space, delta_base=base))
    rng = np.random.default_rng(1)
    actions_HD, state_D = rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=8)
    chunk = ActionChunk(
        stamp_ns=0, session_id="", seq=1, source=Source.POLICY, robot=spec.robot,
        spec_digest=spec.digest, action_space=space, delta_base=base,
        rotation=RotationKind.QUATERNION_XYZW, tip_frame="", base_frame="", period_ns=1,
        valid_for_ns=1, committed_rows=0, end_of_substep=0.0, exit_layer=0, checkpoint_digest="",
        thresholds_digest="", names=spec.action_names, actions_HD=actions_HD,
    )  # fmt: skip
    found = absolute(other, np.stack([actions_HD, actions_HD]), np.stack([state_D, state_D]))
    np.testing.assert_allclose(found[1], absolute_rows(chunk, state_D), atol=1e-12)


def thresholds_for(path, checkpoint, spec, eta: float):
    loaded = load_checkpoint(checkpoint, spec)
    exits = loaded.config.exits
    bindings = {
        "checkpoint": loaded.digest, "normaliser": loaded.normaliser.digest,
        "robot_spec": spec.digest, "head": loaded.config.head,
        "num_steps": loaded.config.num_steps, "start": loaded.config.start,
    }  # fmt: skip
    thresholds = Thresholds(
        metric=loaded.config.metric,
        exits=exits,
        eta=(-np.inf, *[eta] * (len(exits) - 2), np.inf),
        bindings=bindings,
        digest="",
    )
    rates = (1.0 / len(exits),) * len(exits)
    file = ThresholdsFile(
        thresholds=thresholds, fit="mass", distribution="exponential", parameter=1.0, samples=1,
        episodes=1, requested_rates=rates, realised_rates=rates, bags={},
    )  # fmt: skip
    write_thresholds(path, file)
    return path


def test_the_command_writes_figures_and_pictures(run_bag, spec, checkpoint, tmp_path, capsys):
    out = tmp_path / "out"
    early = thresholds_for(tmp_path / "early.yaml", checkpoint, spec, eta=1e6)
    robot = ["--robot", str(spec.path), "--out", str(out)]
    policy = ["--checkpoint", str(checkpoint), "--thresholds", str(early)]
    main([str(run_bag), *robot, *policy, "--period", "0.5"])
    told = json.loads((out / "predict.json").read_text())
    layers = told["exit_layers"]
    assert told["compared_with"] == "commanded"
    assert told["ticks"] == pytest.approx(SECONDS / 0.5, abs=1)
    # Thresholds that everything is below leave at the second exit, always.
    assert told["taken"]["mean_layer"] == layers[1]
    assert told["taken"]["joint_rad_by_row"] == pytest.approx(
        told["joint_rad_by_exit_and_row"][1], abs=1e-6
    )
    for name in ("error_by_row.png", "error_by_exit.png", "error_over_time.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert "staying put" in capsys.readouterr().out
    assert not list(out.glob(".*"))


def test_mistakes_are_one_line(run_bag, spec, checkpoint, tmp_path, capsys):
    def fails(*arguments: str) -> str:
        with pytest.raises(SystemExit) as exit_info:
            main([*arguments, "--robot", str(spec.path), "--out", str(tmp_path / "out")])
        assert exit_info.value.code == 1
        return " ".join(capsys.readouterr().out.split())

    assert "no directory" in fails(str(run_bag), "--checkpoint", str(tmp_path / "none"))
    assert not (tmp_path / "out").exists()
