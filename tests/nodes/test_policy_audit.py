"""The online audit on a running node: a shift of the inputs raises the alarm, and it steps back."""

import math
import re
from dataclasses import replace

import pytest
from a1_msgs.msg import ExitState, ThresholdsInfo
from diagnostic_msgs.msg import DiagnosticStatus
from policy_rig import KnownPolicy, certificate, write_known_thresholds
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from a1_core.spec import load_spec
from a1_policy_node.coverage import not_covered
from a1_policy_node.settings import Settings
from a1_ros.qos import LATCHED

KNOWN_TASK = "touch the red cube"
OTHER_TASK = "fold the towel"
BRIGHT = 250
SAFER = ((*[-math.inf] * 6, math.inf), (*[0.05] * 6, math.inf))


class UnsettledPolicy(KnownPolicy):
    """Its early chunks are right on what it knows, 0.5 rad off on bright images and new tasks."""

    def act(self, observation, *, setting, deadline_s=None, prefix=None):
        output = super().act(observation, setting=setting, deadline_s=deadline_s)
        bright = min(image.min() for image in observation.images.values()) > BRIGHT
        strange = bright or observation.instruction not in (KNOWN_TASK, "warm up")
        if setting.mode == "adaptive" and strange:
            output.actions_HD[:, 0] += 0.5
        return output


@pytest.fixture
def spec(spec_file):
    return load_spec(spec_file)


@pytest.fixture
def policy():
    return UnsettledPolicy()


@pytest.fixture
def thresholds(spec, tmp_path):
    path = tmp_path / "thresholds.yaml"
    return path, write_known_thresholds(path, spec, certificate=certificate(), safer=SAFER)


@pytest.fixture
def audited(robot, make_policy_node, thresholds):
    """(node, robot) with every chunk audited; thresholds are in force, the robot streams."""
    node = make_policy_node(thresholds=str(thresholds[0]), audit_fraction=1.0)
    assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() is TransitionCallbackReturn.SUCCESS
    robot.start()
    return node, robot


@pytest.fixture
def infos(ros):
    """Latched thresholds infos, as they come."""
    heard = []
    ros.node("listener").create_subscription(
        ThresholdsInfo, "a1/thresholds_info", heard.append, LATCHED
    )
    return heard


def audit_status(node, robot, wait_for):
    """The newest status `audit`, asked for before the second is over."""
    before = len(robot.messages("audit"))
    node.diagnostics.publish()
    assert wait_for(lambda: len(robot.messages("audit")) > before)
    return [s for s in list(robot.diagnostics) if s.name == "/policy: audit"][-1]


def audit_values(node, robot, wait_for) -> dict[str, str]:
    return {pair.key: pair.value for pair in audit_status(node, robot, wait_for).values}


class Episodes:
    """Plays short tasks, each until /diagnostics says that it was counted."""

    def __init__(self, node, robot, wait_for) -> None:
        self.node, self.robot, self.wait_for = node, robot, wait_for
        self.played = 0

    def play(self, instruction: str) -> None:
        before = len(self.robot.chunks)
        assert self.robot.ask(instruction).success
        assert self.wait_for(lambda: len(self.robot.chunks) >= before + 2)
        assert self.robot.ask("").success
        self.played += 1
        assert self.wait_for(lambda: self.counted() == self.played), self.values()

    def values(self) -> dict[str, str]:
        """Values of the audit's status, as they come over the wire now."""
        return audit_values(self.node, self.robot, self.wait_for)

    def counted(self) -> int:
        values = self.values()
        return int(values["episodes audited"]) + int(values["episodes without an audited tick"])

    def play_until(self, instruction: str, alarms: int) -> None:
        for _ in range(12):
            if self.values()["alarms"] == str(alarms):
                return
            self.play(instruction)
        raise AssertionError(f"no alarm in {self.played} episodes: {self.values()}")


@pytest.mark.parametrize("shift", ["exposure", "task"])
def test_a_shift_of_the_inputs_raises_the_alarm(audited, thresholds, infos, wait_for, shift):
    node, robot = audited
    episodes = Episodes(node, robot, wait_for)
    for _ in range(4):
        episodes.play(KNOWN_TASK)
    values = episodes.values()
    assert (values["episodes audited"], values["alarms"]) == ("4", "0")
    assert int(values["ticks audited"]) >= 8
    assert values["loss of the last audited episode"] == "0"
    assert robot.exit_states[-1].reason == ExitState.CONVERGED
    assert infos[-1].certified

    if shift == "exposure":
        robot.mend(bright=True)
    instruction = OTHER_TASK if shift == "task" else KNOWN_TASK
    episodes.play_until(instruction, alarms=1)
    assert wait_for(lambda: not infos[-1].certified)
    assert list(infos[-1].thresholds) == list(SAFER[1])
    assert infos[-1].mode == ThresholdsInfo.ADAPTIVE
    assert wait_for(
        lambda: any("(alarms: 1): setting 1 of 2" in m for m in robot.messages("audit"))
    )
    episodes.play(instruction)
    assert robot.chunks[-1].thresholds_digest == thresholds[1].thresholds.digest

    # It goes on until nothing leaves early: then there is nothing left to audit.
    episodes.play_until(instruction, alarms=2)
    assert wait_for(lambda: infos[-1].mode == ThresholdsInfo.FULL)
    before = len(robot.chunks)
    assert robot.ask(instruction).success
    assert wait_for(lambda: len(robot.chunks) > before)
    assert robot.chunks[-1].thresholds_digest == ""
    assert robot.exit_states[-1].reason == ExitState.FULL


def test_an_alarm_outlasts_a_restart(
    robot, policy, make_policy_node, thresholds, tmp_path, wait_for
):
    settings = {
        "thresholds": str(thresholds[0]),
        "audit_fraction": 1.0,
        "audit_folder": str(tmp_path / "audits"),
    }
    node = make_policy_node(**settings)
    node.trigger_configure()
    node.trigger_activate()
    robot.mend(bright=True)
    robot.start()
    Episodes(node, robot, wait_for).play_until(KNOWN_TASK, alarms=1)
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.trigger_configure()
    node.trigger_activate()
    assert "(alarms: 1): setting 1 of 2" in audit_status(node, robot, wait_for).message
    # Switching the audit off does not bring the bolder setting back.
    node.set_parameters_atomically([Parameter("audit_fraction", value=0.0)])
    values = audit_values(node, robot, wait_for)
    assert values["setting in force (0: full depth)"] == "1 of 2"
    assert robot.ask(KNOWN_TASK).success
    assert wait_for(lambda: policy.settings[-1].mode == "adaptive")
    assert policy.settings[-1].thresholds.eta == SAFER[1]


def test_a_pass_never_takes_the_place_of_an_observation(
    robot, policy, make_policy_node, thresholds, wait_for
):
    """Full depth takes 0.05 s of the 0.06 s between observations: passes wait for the end."""
    policy.delay_s = 0.05
    node = make_policy_node(thresholds=str(thresholds[0]), audit_fraction=1.0, replan_period=0.06)
    node.trigger_configure()
    node.trigger_activate()
    robot.start()
    policy.settings.clear()
    assert robot.ask(KNOWN_TASK).success
    assert wait_for(lambda: len(robot.chunks) >= 5)
    assert {setting.mode for setting in list(policy.settings)} == {"adaptive"}
    assert robot.ask("").success
    assert wait_for(lambda: audit_values(node, robot, wait_for)["episodes audited"] == "1")
    assert "full" in {setting.mode for setting in policy.settings}


def test_a_certificate_is_audited_by_the_kinematics_it_was_made_with_or_refused(
    make_policy_node, spec, tmp_path, heard_lifecycle, wait_for
):
    own, other = tmp_path / "own.yaml", tmp_path / "other.yaml"
    digest = spec.kinematics.digest
    write_known_thresholds(own, spec, certificate=certificate(digest), safer=SAFER)
    write_known_thresholds(other, spec, certificate=certificate("0123456789abcdef"), safer=SAFER)
    node = make_policy_node(thresholds=str(other))
    assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
    said = f"kinematics 0123456789ab, those of {spec.path} are {digest[:12]}"
    assert wait_for(lambda: any(said in message for message in heard_lifecycle))
    for mended in ({"thresholds": str(own)}, {"thresholds": str(other), "audit_fraction": 0.0}):
        node.set_parameters_atomically([Parameter(k, value=v) for k, v in mended.items()])
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        node.trigger_cleanup()


def test_a_certificate_does_not_hold_for_more_ticks_than_it_counted(
    robot, make_policy_node, spec, tmp_path, infos, wait_for
):
    path = tmp_path / "slow.yaml"
    write_known_thresholds(path, spec, certificate=certificate(period_s=0.3), safer=SAFER)
    node = make_policy_node(thresholds=str(path))  # with a chunk every 0.05 s
    assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() is TransitionCallbackReturn.SUCCESS
    assert wait_for(lambda: infos and not infos[-1].certified)
    told = audit_status(node, robot, wait_for)
    assert told.level == DiagnosticStatus.WARN
    assert "a tick every 0.3 s" in told.message
    node.set_parameters_atomically([Parameter("replan_period", value=0.3)])
    assert wait_for(lambda: infos[-1].certified)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"replan_period": 0.5}, ""),
        ({"execution": "real_time"}, ""),
        ({"execution": "synchronous", "executed_rows": 5}, ""),
        ({"replan_period": 0.6}, r"replan_period is 0\.6 s, .* the first 0\.5 s"),
        ({"replan_period": 0.1}, r"a chunk is made every 0\.1 s, .* a tick every 0\.3 s"),
        ({"execution": "synchronous"}, r"plays 16 rows of a chunk, .* the first 5"),
        ({"execution": "synchronous", "executed_rows": 6}, r"plays 6 rows"),
        ({"execution": "synchronous", "executed_rows": 2}, r"every 0\.1 s"),
        ({"execution": "ensemble"}, r"all 16 rows of a chunk in part"),
    ],
)
def test_a_certificate_is_about_the_rows_and_ticks_it_counted(spec, changes, said):
    evidence = certificate(period_s=0.3).evidence
    settings = replace(Settings(), **changes)
    assert re.search(said, not_covered(settings, spec, evidence))
    assert bool(not_covered(settings, spec, evidence)) == bool(said)
    # The mean of more ticks is no larger, and all of the camera's are the most there can be.
    if "every" in said:
        mean = replace(evidence, test="betting", episode_loss="mean")
        assert not not_covered(settings, spec, mean)
        assert not not_covered(settings, spec, replace(evidence, period_s=0.0))
    for unknown in (None, replace(evidence, period_s=None)):
        assert "older version" in not_covered(settings, spec, unknown)


def test_what_is_not_audited_says_why(robot, make_policy_node, spec, tmp_path, wait_for):
    plain = tmp_path / "plain.yaml"
    write_known_thresholds(plain, spec)
    expected = {
        "": "nothing leaves early by thresholds",
        str(plain): "calibrate again",
    }
    for name, reason in expected.items():
        node = make_policy_node(thresholds=name)
        node.trigger_configure()
        node.trigger_activate()
        assert reason in audit_status(node, robot, wait_for).message
        node.trigger_deactivate()
        node.trigger_cleanup()
