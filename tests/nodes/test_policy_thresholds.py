"""Thresholds files of the policy node: used when they fit, refused by field when they do not."""

import pytest
from a1_msgs.msg import ExitState, ThresholdsInfo
from policy_rig import CHECKPOINT_DIGEST, EXITS, certificate, write_known_thresholds
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from a1_core.spec import load_spec
from a1_ros.qos import LATCHED


def tune(node, **values):
    return node.set_parameters_atomically([Parameter(k, value=v) for k, v in values.items()])


@pytest.fixture
def spec(spec_file):
    return load_spec(spec_file)


def test_thresholds_take_effect_while_it_runs(ros, running, spec, tmp_path, wait_for):
    node, robot, policy = running
    assert wait_for(lambda: robot.chunks)
    assert policy.settings[-1].mode == "full"
    path = tmp_path / "thresholds.yaml"
    file = write_known_thresholds(path, spec, certificate=certificate())
    assert tune(node, thresholds=str(path)).successful
    assert wait_for(lambda: policy.settings[-1].mode == "adaptive")
    assert policy.settings[-1].thresholds == file.thresholds
    assert wait_for(lambda: robot.chunks[-1].thresholds_digest == file.thresholds.digest)
    assert wait_for(lambda: robot.exit_states[-1].reason == ExitState.CONVERGED)
    infos = []
    ros.node("late").create_subscription(
        ThresholdsInfo, "a1/thresholds_info", infos.append, LATCHED
    )
    assert wait_for(lambda: infos)
    info = infos[0]
    assert (info.mode, info.thresholds_digest) == (info.ADAPTIVE, file.thresholds.digest)
    assert (info.certified, info.risk, info.certificate_episodes) == (True, 0.05, 50)
    assert list(info.exits) == [block + 1 for block in EXITS]
    assert list(info.thresholds) == list(file.thresholds.eta)
    assert tune(node, mode="full").successful
    assert wait_for(lambda: robot.chunks[-1].thresholds_digest == "")


def test_exits_that_are_not_looked_at_keep_their_places(ros, running, spec, tmp_path, wait_for):
    """`exits_evaluated` and `exit_index` count all exits of the checkpoint, so the list does."""
    node, _, policy = running
    infos = []
    ros.node("late").create_subscription(
        ThresholdsInfo, "a1/thresholds_info", infos.append, LATCHED
    )
    path = tmp_path / "fewer.yaml"
    file = write_known_thresholds(path, spec, exits=(EXITS[0], EXITS[2], EXITS[-1]))
    assert tune(node, thresholds=str(path)).successful
    assert wait_for(lambda: infos and infos[-1].thresholds_digest == file.thresholds.digest)
    info = infos[-1]
    assert list(info.exits) == [block + 1 for block in EXITS]
    for told, wanted in (
        (info.thresholds, file.thresholds.eta),
        (info.requested_rates, file.requested_rates),
        (info.realised_rates, file.realised_rates),
    ):
        assert [k for k, value in enumerate(told) if value == value] == [0, 2, len(EXITS) - 1]
        assert [value for value in told if value == value] == pytest.approx(list(wanted))
    assert wait_for(lambda: policy.settings[-1].thresholds == file.thresholds)


WRONG = {
    "checkpoint": "e" * 64,
    "normaliser": "e" * 64,
    "robot_spec": "e" * 64,
    "head": "mlp",
    "num_steps": 10,
    "start": "direct",
}


@pytest.mark.parametrize(("field", "value"), WRONG.items())
def test_thresholds_for_something_else_are_refused_by_field(
    make_policy_node, spec, tmp_path, heard_lifecycle, wait_for, field, value
):
    path = tmp_path / "thresholds.yaml"
    write_known_thresholds(path, spec, **{field: value})
    node = make_policy_node(thresholds=str(path))
    assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert wait_for(
        lambda: any(f"{field} is {value}" in m and "calibrate again" in m for m in heard_lifecycle)
    ), heard_lifecycle


def test_discrepancies_are_taken_by_the_metric_of_the_file(ros, running, spec, tmp_path, wait_for):
    """Whatever the checkpoint's own is: thresholds are in units of what they were fitted in."""
    node, _, policy = running
    path = tmp_path / "cosine.yaml"
    write_known_thresholds(path, spec, metric="cosine")
    assert tune(node, thresholds=str(path)).successful
    assert wait_for(lambda: policy.settings[-1].mode == "adaptive")
    assert policy.settings[-1].thresholds.metric == "cosine"
    infos = []
    ros.node("late").create_subscription(
        ThresholdsInfo, "a1/thresholds_info", infos.append, LATCHED
    )
    assert wait_for(lambda: infos)
    assert infos[0].metric == "cosine"


def test_what_was_checked_counts_when_the_file_is_replaced_meanwhile(
    running, spec, tmp_path, wait_for, monkeypatch
):
    node, _, policy = running
    path = tmp_path / "thresholds.yaml"
    file = write_known_thresholds(path, spec)
    reads = iter([file])
    monkeypatch.setattr("a1_policy_node.exit_choice.read_thresholds", lambda name: next(reads))
    assert tune(node, thresholds=str(path)).successful
    assert wait_for(lambda: policy.settings[-1].thresholds == file.thresholds)


def test_wrong_thresholds_are_refused_while_it_runs_and_the_old_ones_stay(
    running, spec, tmp_path, wait_for
):
    node, _, policy = running
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    file = write_known_thresholds(good, spec)
    write_known_thresholds(bad, spec, checkpoint="e" * 64)
    assert tune(node, thresholds=str(good)).successful
    result = tune(node, thresholds=str(bad))
    assert not result.successful
    assert f"checkpoint is {'e' * 64}, but {CHECKPOINT_DIGEST} is in use" in result.reason
    assert node.parameters["thresholds"] == str(good)
    seen = len(policy.settings)
    assert wait_for(lambda: len(policy.settings) >= seen + 2)
    assert policy.settings[-1].thresholds == file.thresholds
