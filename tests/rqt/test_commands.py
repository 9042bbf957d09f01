"""What the buttons ask for, and what is said of the answers."""

import pytest
import rqt_rig as rig
from a1_msgs.msg import ControllerState

from a1_rqt.window import ExitsWidget


@pytest.fixture
def in_mode(graph, widget, wait_for):
    """`in_mode(mode)`: the window has seen the controller in that mode."""

    def make(mode: int) -> None:
        graph.mode(mode)
        state = widget.state
        assert wait_for(lambda: state.controller is not None and state.controller.mode == mode)
        widget.refresh()

    return make


def called(graph, wait_for, *calls) -> bool:
    return wait_for(lambda: graph.calls == list(calls))


def test_an_instruction_is_sent_and_the_answer_shown(graph, widget, wait_for):
    widget.bar.instruction.setText("  touch the red cube ")
    widget.bar.send.click()
    assert called(graph, wait_for, ("instruct", "touch the red cube"))
    assert wait_for(lambda: "instruction 'touch the red cube': as you say" in widget.status.text())


def test_an_empty_instruction_is_not_sent_but_idle_is(graph, widget, wait_for):
    widget.bar.send.click()
    widget.bar.idle.click()
    assert called(graph, wait_for, ("instruct", ""))


def test_stop_is_one_press_in_every_mode(graph, widget, wait_for, in_mode):
    assert widget.bar.stop.isEnabled()
    for mode in range(6):
        in_mode(mode)
        assert widget.bar.stop.isEnabled()
    widget.bar.stop.click()
    assert called(graph, wait_for, ("stop", None))


def test_arming_takes_two_presses(graph, widget, wait_for, in_mode):
    assert not widget.bar.arm.isEnabled()
    in_mode(ControllerState.DISARMED)
    widget.bar.arm.click()
    assert widget.bar.arm.text() == "Press again"
    widget.refresh()
    assert graph.calls == []
    widget.bar.arm.click()
    assert called(graph, wait_for, ("arm", True))


def test_the_first_press_is_forgotten(widget, wait_for, in_mode):
    in_mode(ControllerState.DISARMED)
    widget.bar.arm.click()
    assert wait_for(lambda: widget.bar.arm.text() == "Arm")


def test_disarming_takes_one(graph, widget, wait_for, in_mode):
    in_mode(ControllerState.TRACKING)
    assert widget.bar.arm.text() == "Disarm"
    widget.bar.arm.click()
    assert called(graph, wait_for, ("arm", False))


def test_reset_only_where_there_is_something_to_reset(graph, widget, wait_for, in_mode):
    in_mode(ControllerState.TRACKING)
    assert not widget.bar.reset.isEnabled()
    in_mode(ControllerState.STOPPED)
    assert not widget.bar.arm.isEnabled()
    widget.bar.reset.click()
    assert called(graph, wait_for, ("reset", None))


def test_full_depth_is_the_policys_parameter(graph, widget, wait_for):
    widget.bar.full.click()
    assert called(graph, wait_for, ("mode", "full"))
    assert graph.policy.get_parameter("mode").value == "full"
    assert wait_for(lambda: "full depth: done" in widget.status.text())
    graph.thresholds.publish(rig.thresholds_info(mode=rig.ThresholdsInfo.FULL))
    assert wait_for(lambda: widget.state.thresholds is not None)
    widget.refresh()
    assert widget.bar.full.isChecked()
    widget.bar.full.click()
    assert called(graph, wait_for, ("mode", "full"), ("mode", "adaptive"))


def test_shadow_starts_the_controller_anew(graph, widget, wait_for, in_mode):
    in_mode(ControllerState.TRACKING)
    assert not widget.bar.shadow.isEnabled()
    in_mode(ControllerState.DISARMED)
    widget.bar.shadow.click()
    assert called(graph, wait_for, *rig.SHADOW_TRANSITIONS)
    assert graph.controller.get_parameter("shadow").value is True
    assert wait_for(lambda: "shadow on: done" in widget.status.text())


def test_shadow_ends_at_the_first_refusal(graph, widget, wait_for, in_mode):
    in_mode(ControllerState.DISARMED)
    graph.answer = (False, "")
    widget.bar.shadow.click()
    assert wait_for(lambda: "did not change its state" in widget.status.text())
    assert graph.calls == rig.SHADOW_TRANSITIONS[:1]


def test_a_refusal_is_shown(graph, widget, wait_for, in_mode):
    in_mode(ControllerState.DISARMED)
    graph.answer = (False, "cannot arm: the joint state is 3 s old")
    widget.bar.arm.click()
    widget.bar.arm.click()
    assert wait_for(lambda: "arm: cannot arm: the joint state is 3 s old" in widget.status.text())


def test_nobody_there_is_said(ros, application):
    alone = ExitsWidget(ros.node("alone"), "nowhere")
    alone.bar.stop.click()
    alone.refresh()
    assert "stop: nobody offers /nowhere/a1/stop" in alone.status.text()
    assert "no active policy and no controller" in alone.status.text()
    alone.shut_down()


def test_a_namespace_is_listened_to_and_commanded(ros, show, wait_for, application):
    left = rig.Graph(ros, namespace="left")
    widget = show(left, namespace="left")
    left.play(widget, application, [3, 4])
    widget.bar.stop.click()
    widget.bar.full.click()
    assert wait_for(lambda: ("stop", None) in left.calls)
    assert wait_for(lambda: "stop" in widget.status.text())
