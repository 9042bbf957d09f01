"""The lifecycle manager brings nodes to active in order and names who does not get there."""

import pytest
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from a1_core.errors import A1Error
from a1_ros.lifecycle_manager import LifecycleManager


class Managed(LifecycleNode):
    """Notes its transitions; fails the one called `fails`."""

    def __init__(self, name, notes, fails=""):
        super().__init__(name, use_global_arguments=False)
        self._notes, self._fails = notes, fails

    def on_configure(self, state):
        return self._note("configure")

    def on_activate(self, state):
        super().on_activate(state)
        return self._note("activate")

    def _note(self, step):
        self._notes.append(f"{step} {self.get_name()}")
        kinds = TransitionCallbackReturn
        return kinds.FAILURE if step == self._fails else kinds.SUCCESS


def manager(nodes, *, arm=False, sim_time=False, step_timeout=10.0):
    values = {
        "nodes": " ".join(nodes),
        "arm": arm,
        "use_sim_time": sim_time,
        "step_timeout": step_timeout,
    }
    return LifecycleManager(
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        use_global_arguments=False,
    )


@pytest.fixture
def up():
    """Bring nodes up with a manager that is destroyed afterwards."""

    def up(nodes, **options):
        node = manager(nodes, **options)
        try:
            node.bring_up()
        finally:
            node.destroy_node()

    return up


def test_all_are_configured_then_all_activated(ros, up):
    notes = []
    for name in ("first", "second"):
        ros.add(Managed(name, notes))
    up(["first", "second"])
    assert notes == ["configure first", "configure second", "activate first", "activate second"]
    up(["first", "second"])
    assert len(notes) == 4, "what is active stays as it is"


@pytest.mark.parametrize("step", ["configure", "activate"])
def test_who_fails_a_step_is_named(ros, up, step):
    ros.add(Managed("good", []))
    ros.add(Managed("bad", [], fails=step))
    with pytest.raises(A1Error, match=f"node 'bad' did not {step}"):
        up(["good", "bad"])


def test_who_is_not_there_is_named(ros, up):
    with pytest.raises(A1Error, match="nobody offers service 'absent/get_state'"):
        up(["absent"], step_timeout=0.5)


def test_without_nodes_it_says_so(ros, up):
    with pytest.raises(A1Error, match="'nodes' is empty"):
        up([])


def test_arming_is_for_the_simulation_on_this_machine_only(ros, up, monkeypatch):
    calls = []

    def arm(request, response):
        calls.append(request.data)
        response.success = len(calls) > 1
        return response

    ros.add(Managed("one", []))
    ros.node("controller").create_service(SetBool, "a1/arm", arm)
    with pytest.raises(A1Error, match="a real arm is armed by a person"):
        up(["one"], arm=True, sim_time=False)
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    with pytest.raises(A1Error, match="could reach a real robot"):
        up(["one"], arm=True, sim_time=True)
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    assert calls == []
    up(["one"], arm=True, sim_time=True)
    assert calls == [True, True], "it asks again while the controller refuses"
