"""Lifecycle, parameters, diagnostics, composition and the guard, over real DDS."""

import sys
import threading
from concurrent.futures import CancelledError

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import String

from a1_core.errors import A1Error, SpecError
from a1_ros.compose import Composition, find_node
from a1_ros.diagnostics import Level, Status
from a1_ros.executor import SpinThread, call_in, make_executor
from a1_ros.guard import refuse_foreign_endpoints
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.parameters import Change, ParameterSpec
from a1_ros.qos import BY_NAME, qos_from_spec

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
LOCAL = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}

SPECS = [
    ParameterSpec(name="file", default="", description="A file", change=Change.UNCONFIGURED),
    ParameterSpec(name="gain", default=1.0, description="A gain", range=(0.0, 2.0)),
    ParameterSpec(name="count", default=3, description="A count", range=(1, 5)),
    ParameterSpec(name="kind", default="a", description="A kind", choices=("a", "b")),
    ParameterSpec(name="fixed", default=7, description="Fixed", change=Change.NEVER),
]


class Probe(A1LifecycleNode):
    """Notes its steps; raises what `raises` holds for a step."""

    def __init__(self, **kwargs):
        super().__init__("probe", SPECS, **kwargs)
        self.steps = []
        self.raises = {}

    def note(self, step):
        self.steps.append(step)
        if step in self.raises:
            raise self.raises[step]

    def on_configured(self):
        self.note("configured")

    def on_activated(self):
        self.note("activated")

    def on_deactivated(self):
        self.note("deactivated")

    def on_cleaned_up(self):
        self.note("cleaned_up")


@pytest.fixture
def probe(ros):
    return ros.add(Probe())


def test_a_node_goes_round_and_round(probe):
    for _ in range(2):
        assert probe.trigger_configure() is SUCCESS
        assert probe.trigger_activate() is SUCCESS
        assert probe.state_label == "active"
        assert probe.trigger_deactivate() is SUCCESS
        assert probe.trigger_cleanup() is SUCCESS
    assert probe.steps == ["configured", "activated", "deactivated", "cleaned_up"] * 2


def test_the_users_mistake_fails_configure_and_can_be_mended(ros, probe, wait_for):
    heard = []
    listener = ros.node("listener")
    listener.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    probe.raises["configured"] = SpecError("robot.yaml: dim: 3; write 8")
    assert probe.trigger_configure() is FAILURE
    assert probe.steps == ["configured", "cleaned_up"]
    assert probe.state_label == "unconfigured"

    def shown():
        return any(
            status.level == Level.ERROR.value and "dim: 3; write 8" in status.message
            for msg in heard
            for status in msg.status
        )

    assert wait_for(shown)
    probe.raises.clear()
    assert probe.trigger_configure() is SUCCESS


def test_a_bug_in_a_step_takes_the_node_down_to_unconfigured(probe):
    probe.raises["activated"] = KeyError("bug")
    probe.trigger_configure()
    assert probe.trigger_activate() is TransitionCallbackReturn.ERROR
    assert probe.state_label == "unconfigured"
    assert probe.steps == ["configured", "activated", "deactivated", "cleaned_up"]


def test_a_refused_activation_is_undone(probe):
    probe.raises["activated"] = A1Error("no")
    probe.trigger_configure()
    assert probe.trigger_activate() is FAILURE
    assert probe.state_label == "inactive"
    assert probe.steps[-1] == "deactivated"


def test_destroying_an_active_node_takes_it_down(ros, probe):
    probe.trigger_configure()
    probe.trigger_activate()
    ros.remove(probe)
    assert probe.steps[-2:] == ["deactivated", "cleaned_up"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("gain", 2.5, "gain"),
        ("count", 9, "count"),
        ("kind", "c", "one of a, b"),
        ("fixed", 8, "read-only"),
    ],
)
def test_parameters_refuse_what_their_spec_forbids(probe, name, value, why):
    result = probe.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert why in result.reason


def test_some_parameters_stay_while_configured(probe):
    assert probe.set_parameters([Parameter("file", value="x")])[0].successful
    probe.trigger_configure()
    result = probe.set_parameters([Parameter("file", value="y")])[0]
    assert not result.successful and "clean up the node first" in result.reason
    assert probe.set_parameters([Parameter("gain", value=0.5)])[0].successful
    probe.trigger_cleanup()
    assert probe.set_parameters([Parameter("file", value="y")])[0].successful
    assert probe.parameters["file"] == "y"


def test_every_parameter_is_described(probe):
    for spec in SPECS:
        assert probe.describe_parameter(spec.name).description == spec.description


def test_diagnostics_come_each_second(ros, probe, wait_for):
    heard = []
    ros.node("listener").create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    probe.diagnostics.set_source(
        "x", lambda: Status(level=Level.WARN, message="do y", values={"n": 3})
    )
    assert wait_for(lambda: len(heard) >= 2)
    status = {s.name: s for s in heard[-1].status}["/probe: x"]
    assert (status.level, status.message) == (Level.WARN.value, "do y")
    assert (status.values[0].key, status.values[0].value) == ("n", "3")


def test_a_call_in_the_executor_is_made_by_the_thread_that_spins_it(ros):
    spinning = call_in(ros.executor, threading.current_thread)
    assert spinning is not threading.current_thread()


def test_a_call_in_the_executor_that_raises_ends_the_spinning_and_the_wait(ros):
    executor, heard = make_executor(), []

    def spin() -> None:
        try:
            executor.spin()
        except ValueError as error:
            heard.append(str(error))

    def fail() -> None:
        raise ValueError("no such camera")

    spinning = threading.Thread(target=spin)
    spinning.start()
    with pytest.raises(CancelledError):
        call_in(executor, fail)
    spinning.join()
    assert heard == ["no such camera"]
    executor.shutdown()


def test_a_call_in_an_executor_that_nobody_spins_ends(ros):
    with pytest.raises(TimeoutError):
        call_in(make_executor(), list, timeout_s=0.1)


def test_a_thread_that_spins_has_ended_without_an_error_when_it_is_stopped(ros, monkeypatch):
    raised, threads = [], set(threading.enumerate())
    monkeypatch.setattr(threading, "excepthook", raised.append)
    node = rclpy.create_node("heavy", use_global_arguments=False)
    for number in range(40):  # what is gathered at every turn, hence a long time to be met in it
        node.create_subscription(String, f"topic_{number}", raised.append, 1)
    node.create_timer(0.0005, lambda: None)
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for round_ in range(200):
            executor = make_executor()
            executor.add_node(node)
            spinning = SpinThread(executor)
            threading.Event().wait(round_ % 17 * 1e-3)
            spinning.stop()
            assert set(threading.enumerate()) <= threads
    finally:
        sys.setswitchinterval(usual_s)
        node.destroy_node()
    assert not raised


def test_a_callback_in_work_is_waited_for_before_the_spinning_ends(ros):
    executor, began, left = make_executor(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        threading.Timer(0.1, left.set).start()
        left.wait()

    spinning = SpinThread(executor)
    executor.create_task(work)
    began.wait()
    spinning.stop()
    assert left.is_set()


def test_a_callback_that_takes_too_long_is_not_waited_for_and_the_thread_ends_after_it(ros):
    executor, began, go_on = make_executor(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait()

    before = set(threading.enumerate())
    spinning = SpinThread(executor)
    (thread,) = set(threading.enumerate()) - before
    executor.create_task(work)
    began.wait()
    spinning.stop(timeout_s=0.05)
    assert thread.is_alive()
    go_on.set()
    thread.join(timeout=10.0)
    assert not thread.is_alive()


def test_a_composition_brings_nodes_up_with_parameters_and_namespace():
    rclpy.init()
    name = f"{Probe.__module__}:Probe"
    with Composition([name], parameters={name: {"gain": 0.25}}, namespace="left") as composition:
        composition.bring_up()
        node = composition.nodes[name]
        assert node.state_label == "active"
        assert node.parameters["gain"] == 0.25
        assert node.get_fully_qualified_name() == "/left/probe"
    assert node.steps[-2:] == ["deactivated", "cleaned_up"]
    rclpy.shutdown()


def test_a_node_that_is_not_installed_is_named():
    with pytest.raises(A1Error, match="'nothing' is not installed"):
        find_node("nothing")


def test_quality_of_service_is_chosen_by_name():
    assert qos_from_spec("sensor", where="x") is BY_NAME["sensor"]
    with pytest.raises(SpecError, match=r"franka.yaml: cameras\[0\].*'fast'.*reliable"):
        qos_from_spec("fast", where="franka.yaml: cameras[0]")


@pytest.mark.parametrize(
    ("environment", "mend"),
    [
        ({}, "set it to LOCALHOST"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "set it to LOCALHOST"),
        (LOCAL | {"ROS_STATIC_PEERS": "10.0.0.2"}, "unset it"),
    ],
)
def test_the_guard_wants_discovery_on_this_machine_only(ros, environment, mend):
    with pytest.raises(A1Error, match=mend):
        refuse_foreign_endpoints(ros.node("sim"), [], environment=environment)


def test_the_guard_refuses_a_foreign_endpoint_and_allows_ours(ros):
    sim, controller, arm = (ros.node(name) for name in ("sim", "controller", "real_arm"))
    sim.create_subscription(String, "command", lambda msg: None, 10)
    controller.create_publisher(String, "command", 10)
    refuse_foreign_endpoints(
        sim, ["command"], allowed=["controller"], settle_s=0.2, environment=LOCAL
    )
    ears = ros.node("recorder_ears")
    ears.create_subscription(String, "command", lambda msg: None, 10)
    refuse_foreign_endpoints(
        sim, ["command"], allowed=["controller"], settle_s=0.2, environment=LOCAL
    )
    arm.create_subscription(String, "command", lambda msg: None, 10)
    with pytest.raises(A1Error, match=r"/command: a foreign subscriber .*/real_arm"):
        refuse_foreign_endpoints(sim, ["command"], allowed=["controller"], environment=LOCAL)
