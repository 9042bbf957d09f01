"""The command line, times of another machine."""

import math

import numpy as np
import pytest

from a1_calibration.costs import read_times, write_times
from a1_calibration.main import NOTHING_CERTIFIED, main, parse, request_of
from a1_calibration.request import parse_budget, parse_promise
from a1_core.episode_loss import split_episodes
from a1_core.errors import ThresholdsError
from a1_core.p_values import p_values
from a1_core.segment_costs import SegmentCosts
from a1_core.thresholds_file import read_thresholds


def run(capsys, *arguments) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code, " ".join(capsys.readouterr().out.split())


@pytest.fixture
def arguments(spec_path, checkpoint, bags, tmp_path):
    names = (bags / "episode_000", bags / "episode_001")
    out = tmp_path / "out.yaml"
    return ["--robot", spec_path, "--checkpoint", checkpoint, "--bags", *names, "--out", out]


def test_from_bags_to_a_file_and_one_sentence(capsys, arguments):
    code, out = run(capsys, *arguments, "--budget", "depth=0.6")
    assert code == 0
    assert "nothing is guaranteed (no certificate)." in out
    assert "collect" in out
    assert read_thresholds(arguments[-1]).certificate is None
    # The same V file serves another question; too few episodes are told, nothing is written.
    before = arguments[-1].read_bytes()
    code, out = run(capsys, *arguments)
    assert code == NOTHING_CERTIFIED
    assert "44 more episodes are needed" in out
    assert "out.yaml is of an earlier calibration and stays as it is." in out
    assert arguments[-1].read_bytes() == before
    arguments[-1].unlink()
    code, out = run(capsys, *arguments, "--test", "betting")
    assert code == NOTHING_CERTIFIED
    assert "give --tried 2, or certify on fresh ones" in out
    assert "earlier calibration" not in out
    assert not arguments[-1].exists()


def test_a_mistake_is_one_line(capsys, arguments, tmp_path):
    arguments[arguments.index("--bags") + 1] = tmp_path / "nowhere"
    code, out = run(capsys, *arguments)
    assert code == 1
    assert out.startswith("calibrate: ")
    assert "nowhere" in out


def test_a_device_that_is_not_there_is_named(capsys, arguments):
    code, out = run(capsys, *arguments, "--budget", "depth=0.6", "--device", "nowhere")
    assert code == 1
    assert "device 'nowhere' cannot be used" in out


def options(*more):
    return parse(["--robot", "r", "--checkpoint", "c", "--bags", "b", "--out", "o", *more])


def test_without_a_budget_a_certificate_is_asked_for():
    assert request_of(options()).promise.risk == 0.05
    assert request_of(options("--budget", "hz=5")).promise is None
    both = request_of(options("--budget", "hz=5", "--certify"))
    assert both.promise is not None
    assert both.budget.kind == "rate_hz"


def test_a_certificate_is_for_the_least_loss_unless_a_distribution_is_aimed_at():
    def how(*more):
        request = request_of(options(*more))
        return request.fit, request.distribution

    assert how() == how("--certify", "--budget", "hz=5") == ("least_loss", "none")
    assert how("--budget", "hz=5") == ("mass", "exponential")
    assert how("--certify", "--parameter", "0.5") == ("mass", "exponential")
    assert how("--distribution", "gamma") == ("mass", "gamma")
    assert how("--mode", "eq9") == ("eq9", "exponential")
    with pytest.raises(ThresholdsError, match="distribution is gamma, with mode least_loss"):
        how("--mode", "least_loss", "--distribution", "gamma")


def test_of_two_hundred_episodes_enough_certify_for_two_bad_ones():
    share = request_of(options()).certify_share
    _, held_out = split_episodes([str(k) for k in range(200)], share)
    bad = np.zeros((2, len(held_out)))
    bad[0, :2], bad[1, :3] = 1.0, 1.0
    assert [p <= 0.1 for p in p_values(bad, 0.05, "binomial")] == [True, False]
    assert not p_values(bad[0, :-1], 0.05, "binomial") <= 0.1


def test_the_test_is_the_strongest_unless_one_is_named():
    def used(*more):
        return request_of(options(*more)).promise.used_test

    assert used() == used("--test", "binomial") == "binomial"
    assert used("--episode-loss", "mean") == used("--test", "betting") == "betting"
    with pytest.raises(ThresholdsError, match="test is 'binomial', for losses binary, mean"):
        used("--episode-loss", "mean", "--test", "binomial")


def test_exits_are_chosen_for_a_certificate_of_least_loss():
    def chooses(*more, possible=True):
        return request_of(options(*more)).chooses_exits(possible=possible)

    assert chooses()
    assert not chooses(possible=False)
    assert chooses("--choose-exits", possible=False)  # and is refused where it is tried
    assert not chooses("--no-choose-exits")
    assert not chooses("--budget", "hz=5")
    assert chooses("--budget", "hz=5", "--choose-exits")
    assert not chooses("--mode", "mass")
    with pytest.raises(ThresholdsError, match="a budget, or a certificate by mode least_loss"):
        chooses("--mode", "mass", "--choose-exits")


def test_several_tries_are_told_and_counted():
    assert request_of(options()).promise.tried == 1
    assert request_of(options("--certify", "0.05,0.1,10mm", "--tried", "3")).promise.tried == 3
    with pytest.raises(ThresholdsError, match="tried is 0"):
        request_of(options("--tried", "0"))


@pytest.mark.parametrize(
    ("option", "value"),
    [("--gripper-tolerance", "0.2"), ("--tick-loss", "binary"), ("--episode-loss", "mean"),
     ("--test", "betting"), ("--tried", "2")],
)  # fmt: skip
def test_what_belongs_to_a_certificate_is_refused_without_one(option, value):
    for aim in (("--budget", "hz=5"), ("--parameter", "0.5")):
        with pytest.raises(ThresholdsError, match=f"{option} is {value}.*add --certify"):
            request_of(options(*aim, option, value))
        assert request_of(options(*aim, option, value, "--certify")).promise is not None


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("10mm", 0.01, "m"), ("0.02", 0.02, ""), ("0.5rad", 0.5, "rad"), ("0.1m", 0.1, "m")],
)
def test_tolerances_have_units(text, value, unit):
    promise = parse_promise(f"0.05,0.1,{text}")
    assert (promise.tolerance, promise.unit) == (pytest.approx(value), unit)


def test_degrees_become_radians():
    assert parse_promise("0.05,0.1,90deg").tolerance == pytest.approx(math.pi / 2)


@pytest.mark.parametrize(
    ("text", "match"),
    [("0.05,0.1", "risk,failure,tolerance"), ("a,0.1,1", "'a'"), ("0.05,0.1,-1mm", "above 0")],
)
def test_promises_that_cannot_be_are_refused(text, match):
    with pytest.raises(ThresholdsError, match=match):
        parse_promise(text)


def test_budgets_that_cannot_be_are_refused():
    with pytest.raises(ThresholdsError, match="depth is 2"):
        parse_budget("depth=2")


def test_times_of_another_machine(tmp_path):
    path = tmp_path / "times.yaml"
    costs = SegmentCosts(reach_K=[1.0, 2.5], check_K=[0.25, 0.125])
    write_times(path, costs, (3, 7))
    assert read_times(path, (3, 7)).of_plan([0, 1]).tolist() == costs.of_plan([0, 1]).tolist()
    with pytest.raises(ThresholdsError, match="exits"):
        read_times(path, (3, 5))
