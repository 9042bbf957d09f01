"""From bags to a thresholds file: the command's body on simulated episodes."""

import re
from dataclasses import replace

import numpy as np
import pytest
from world_bags import write_checkpoint

from a1_calibration.collect import measure_batch
from a1_calibration.pipeline import calibrate
from a1_calibration.report import PAGE
from a1_calibration.request import Cancelled, Promise, parse_budget
from a1_core.calibration import exits_taken
from a1_core.errors import A1Error, BagError, SpecError, ThresholdsError
from a1_core.exit_plan import pair_discrepancies, plan_discrepancies
from a1_core.policy import ExitSetting
from a1_core.thresholds_file import read_thresholds
from a1_data.reader import ReadSettings, open_bags
from a1_model.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def done(folder, spec, bags, checkpoint):
    """A calibration that certifies something; (request, outcome, progress)."""
    from a1_calibration.request import Request

    request = Request(
        checkpoint=checkpoint,
        fit_bags=(bags,),
        out=folder / "done.yaml",
        promise=Promise(risk=0.5, tolerance=1.0, gripper=2.0),
        batch=8,
        pictures=3,
    )
    told = []
    outcome = calibrate(request, spec, lambda *step: told.append(step), pytest.fail)
    return request, outcome, told


def test_the_file_carries_bindings_bags_and_certificate(done, spec, checkpoint):
    request, outcome, _ = done
    file = read_thresholds(request.out)
    assert file == outcome.file
    loaded = load_checkpoint(checkpoint, spec)
    assert file.thresholds.bindings["checkpoint"] == loaded.digest
    assert file.thresholds.bindings["robot_spec"] == spec.digest
    assert sorted(file.bags) == [f"episode_{k:03d}" for k in range(8)]
    assert sum(len(bag.certify) for bag in file.bags.values()) == 4
    assert file.certificate is not None
    assert file.certificate.episodes == 4
    assert file.certificate.evidence.deviation == "tool_tip_m"
    assert file.certificate.evidence.executed_rows == 5
    assert file.certificate.evidence.period_s == request.read.period_s == 0.3
    assert file.certificate.evidence.forward_kinematics == spec.kinematics.digest
    assert file.certificate.evidence.p_value == pytest.approx(0.5**4)
    assert len(file.safer) == file.certificate.evidence.member
    assert file.episodes == 4
    assert file.samples == sum(bag.ticks for bag in file.bags.values() if not bag.certify)


def test_the_policy_leaves_where_calibration_said(done, spec, checkpoint, bags):
    """Tick by tick, the policy under the file's thresholds, on a bag that was held out."""
    request, outcome, _ = done
    thresholds = outcome.file.thresholds
    loaded = load_checkpoint(checkpoint, spec)
    policy, exits = loaded.policy, loaded.config.exits
    name = next(name for name, bag in outcome.file.bags.items() if bag.certify)
    (bag,) = open_bags(bags / name, spec, request.read)
    observations = [frame.observation for frame in bag.frames()]
    pairs = pair_discrepancies(policy.all_exits(observations).normalised_KNHD, thresholds.metric)
    V_PN = plan_discrepancies(pairs, [exits.index(block) for block in thresholds.exits])
    setting = ExitSetting(mode="adaptive", thresholds=thresholds)
    layers = [policy.act(o, setting=setting).trace.exit_layer for o in observations]
    wanted = exits_taken(V_PN, np.array(thresholds.eta))
    assert layers == [thresholds.exits[k] + 1 for k in wanted]
    assert len(layers) > 3


def test_message_and_report_say_what_is_saved_and_promised(done):
    request, outcome, told = done
    assert re.match(r"Certified: saves \d+ % of the compute", outcome.message)
    assert "90 % confidence" in outcome.message
    assert "at most 50 % of new episodes" in outcome.message
    page = outcome.report.read_text()
    assert outcome.report == request.report_path / PAGE
    assert outcome.message in page
    assert page.count("data:image/png;base64,") == 5
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing beside it
    for name in ("exit_rates", "discrepancies", "trade_off", "risk", "deepest"):
        assert (request.report_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["collect", "fit", "certify", "report"]
    collected = [(n, total) for stage, n, total in told if stage == "collect"]
    assert collected == sorted(collected)
    assert collected[-1][0] == collected[-1][1]


def test_a_second_run_computes_nothing_again(done, spec, silent, monkeypatch):
    request, outcome, _ = done
    monkeypatch.setattr(
        "a1_calibration.collect.measure_batch", lambda *_: pytest.fail("computed again")
    )
    again = calibrate(replace(request, out=request.out), spec, silent)
    assert again.file.thresholds.eta == outcome.file.thresholds.eta


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metric": "cosine"}, "metric"),
        ({"read": ReadSettings(period_s=0.2)}, "period_s"),
        ({"executed_s": 1.0, "metric": "l2[:5]"}, "executed_rows"),
    ],
)
def test_discrepancies_of_something_else_are_refused_by_name(done, spec, silent, change, field):
    request, _, _ = done
    with pytest.raises(ThresholdsError, match=rf"done\.v: {field} is .* --fresh"):
        calibrate(replace(request, **change), spec, silent)


def test_another_checkpoint_is_refused(done, spec, silent, tmp_path):
    other = write_checkpoint(tmp_path / "other", spec, seed=1)
    with pytest.raises(ThresholdsError, match="checkpoint is"):
        calibrate(replace(done[0], checkpoint=other), spec, silent)


def test_a_kill_loses_one_batch_at_most(done, make_request, spec, silent, monkeypatch):
    _, outcome, _ = done
    request = make_request(promise=done[0].promise)

    def stop_after_three(stage, n, total):
        steps.append(n)
        if len(steps) == 4:  # the first says 0
            raise Cancelled

    steps = []
    with pytest.raises(Cancelled):
        calibrate(request, spec, stop_after_three)
    with request.v_path.open("ab") as file:
        file.write(b"a block that was cut off")  # killed while it wrote
    computed = []

    def count(policy, meter, metric, frames):
        computed.extend(frames)
        return measure_batch(policy, meter, metric, frames)

    monkeypatch.setattr("a1_calibration.collect.measure_batch", count)
    resumed = calibrate(request, spec, silent)
    assert len(computed) == outcome.samples - 3 * request.batch
    assert resumed.file.thresholds.eta == outcome.file.thresholds.eta
    assert resumed.samples == outcome.samples


def test_of_bags_that_were_added_only_these_are_computed(
    make_request, bags, spec, silent, monkeypatch
):
    every = [bags / f"episode_{k:03d}" for k in range(8)]
    promise = Promise(risk=0.9, tolerance=1.0, gripper=2.0, test="betting")
    fewer = make_request(fit_bags=(*every[1:3],), certify_bags=(*every[3:6],), promise=promise)
    first = calibrate(fewer, spec, silent)
    computed = []

    def count(policy, meter, metric, frames):
        computed.extend(frame.observation.stamp_ns for _, frame in frames)
        return measure_batch(policy, meter, metric, frames)

    monkeypatch.setattr("a1_calibration.collect.measure_batch", count)
    more = replace(fewer, certify_bags=(*every[3:],))
    second = calibrate(more, spec, silent)
    assert len(computed) == second.samples - first.samples > 0
    assert second.file.thresholds.exits == first.file.thresholds.exits
    assert second.file.certificate.episodes == 5
    assert second.file.certificate.evidence.test == "betting"
    assert "--tried" not in second.message  # what is added is no second choice
    anew = calibrate(replace(more, v_file=fewer.v_path.with_name("anew.v")), spec, silent)
    assert anew.samples == second.samples
    assert {name: bag.ticks for name, bag in anew.file.bags.items()} == {
        name: bag.ticks for name, bag in second.file.bags.items()
    }
    more = replace(more, fit_bags=(*every[:3],))  # in front of all others: another fit
    other = calibrate(more, spec, silent)
    assert "2 different certificates were asked of these episodes by now" in other.message
    other = calibrate(replace(more, promise=replace(promise, tolerance=0.9)), spec, silent)
    assert "3 different certificates were asked of these episodes by now" in other.message
    fresh = replace(more, fit_bags=(*every[3:],), certify_bags=(*every[:3],))
    assert "different certificates" not in calibrate(fresh, spec, silent).message


def test_too_few_episodes_are_told_and_nothing_is_written(make_request, done, spec, silent):
    request = make_request(promise=Promise(risk=0.05, tolerance=1.0), v_file=done[0].v_path)
    warned = []
    outcome = calibrate(request, spec, silent, warned.append)
    assert "4 of 8 episodes are kept for the certificate" in warned[0]
    assert "takes 45 even if none has a loss" in warned[0]
    assert outcome.file is None
    assert not request.out.exists()
    assert "41 more episodes are needed" in outcome.message
    assert outcome.message in outcome.report.read_text()


def test_a_metric_over_more_rows_than_there_are_is_refused(make_request, spec, silent):
    with pytest.raises(ThresholdsError, match=r"l2\[:99\].* 16 rows"):
        calibrate(make_request(metric="l2[:99]"), spec, silent)


def test_a_tight_tolerance_certifies_full_depth_only(make_request, done, spec, silent):
    request = make_request(promise=Promise(risk=0.5, tolerance=1e-6), v_file=done[0].v_path)
    outcome = calibrate(request, spec, silent)
    assert outcome.file is None
    assert "only full depth is certified" in outcome.message


def test_a_budget_without_a_promise(make_request, done, spec, silent):
    request = make_request(promise=None, budget=parse_budget("depth=0.5"), v_file=done[0].v_path)
    outcome = calibrate(request, spec, silent)
    assert "nothing is guaranteed" in outcome.message
    assert outcome.file.certificate is None
    rates = np.array(outcome.file.realised_rates)
    assert rates @ (np.array(outcome.file.thresholds.exits) + 1) / 8 <= 0.5


def test_thresholds_may_aim_at_the_least_loss(make_request, done, spec, silent):
    given = {"promise": None, "budget": parse_budget("depth=0.7"), "v_file": done[0].v_path}
    request = make_request(**given, fit="least_loss")
    outcome = calibrate(request, spec, silent)
    file = read_thresholds(request.out)
    assert (file.fit, file.distribution) == ("least_loss", "none")
    assert file.parameter > 0.0
    assert file.requested_rates == file.realised_rates
    rates = np.array(file.realised_rates)
    assert rates @ (np.array(file.thresholds.exits) + 1) / 8 <= 0.7
    assert "no distribution was aimed at" in outcome.report.read_text()
    with pytest.raises(ThresholdsError, match=r"parameter is 0\.5, with mode least_loss"):
        make_request(fit="least_loss", parameter=0.5)


@pytest.mark.parametrize("fit", ["mass", "least_loss"])
def test_exits_may_be_left_out(make_request, done, spec, silent, checkpoint, fit):
    request = make_request(
        promise=None,
        budget=parse_budget("flops=0.7"),
        choose_exits=True,
        fit=fit,
        v_file=done[0].v_path,
    )
    file = calibrate(request, spec, silent).file
    config = load_checkpoint(checkpoint, spec).config
    assert set(file.thresholds.exits) < set(config.exits)
    assert len(file.requested_rates) == len(file.thresholds.exits)


def test_a_budget_that_cannot_be_kept_names_what_can(make_request, done, spec, silent):
    request = make_request(promise=None, budget=parse_budget("depth=0.2"), v_file=done[0].v_path)
    with pytest.raises(ThresholdsError, match=r"the least that can be kept is 0\.4"):
        calibrate(request, spec, silent)


def test_the_unit_decides_whether_tips_or_joints_are_measured(make_request, bags, spec, silent):
    request = make_request(
        fit_bags=(bags / "episode_000", bags / "episode_001"),
        promise=Promise(risk=0.95, tolerance=0.5, unit="rad", gripper=2.0),
    )
    outcome = calibrate(request, spec, silent)
    assert "0.5 rad at a joint" in outcome.message
    evidence = outcome.file.certificate.evidence
    assert (evidence.deviation, evidence.forward_kinematics) == ("joint_rad", "")
    unknown = replace(spec, arms=(replace(spec.arms[0], chain=None),))
    with pytest.raises(SpecError, match="kinematics are GAP"):
        calibrate(replace(request, promise=replace(request.promise, unit="m")), unknown, silent)


def test_bags_named_for_the_certificate_are_used_for_nothing_else(make_request, bags, spec, silent):
    request = make_request(
        fit_bags=(bags / "episode_000", bags / "episode_002"),
        certify_bags=tuple(bags / f"episode_{k:03d}" for k in (3, 4, 5, 6)),
        promise=Promise(risk=0.5, tolerance=1.0, gripper=2.0),
    )
    file = calibrate(request, spec, silent).file
    certified = {name for name, bag in file.bags.items() if bag.certify}
    assert certified == {f"episode_{k:03d}" for k in (3, 4, 5, 6)}
    assert file.certificate.episodes == 4


def test_the_same_bag_twice_is_refused(make_request, bags, spec, silent, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (bags / "episode_000").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    request = make_request(fit_bags=(bags / "episode_000", copy))
    with pytest.raises(BagError, match="copies are no evidence"):
        calibrate(request, spec, silent)


def test_bags_without_an_observation_are_refused(make_request, bags, spec, silent, tmp_path):
    request = make_request(read=ReadSettings(event_topics=("/elsewhere",)))
    with pytest.raises(BagError, match="bag_info"):
        calibrate(request, spec, silent)


def test_a_request_that_asks_for_nothing_is_refused(make_request):
    with pytest.raises(A1Error, match="nothing is asked for"):
        make_request(promise=None)
