"""The teleop node over DDS: joystick and leader in, the controller's rules out."""

import uuid

import numpy as np
import pytest
from a1_msgs.msg import ActionChunk, ChunkVerdict, ControllerState
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState, Joy

from a1_core.chunk import Source
from a1_core.spec import load_spec
from a1_recorder.teleop.node import TeleopNode
from a1_recorder.teleop.pilot import WAITING
from a1_ros.messages import to_joint_state
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns

DEADMAN, TAKE_OVER = 4, 5
# A busy machine must not pass for a person who let go.
PATIENT = {"joy.timeout": 2.0, "leader.timeout": 2.0}
HOLD, TRACKING = ControllerState.HOLD, ControllerState.TRACKING


def teleop_node(robot_file: str, **parameters) -> TeleopNode:
    values = {"robot": robot_file, **parameters}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    return TeleopNode(parameter_overrides=overrides, use_global_arguments=False)


class Person:
    """Holds a joystick, which publishes 20 times a second until it is switched off."""

    def __init__(self, ros) -> None:
        self.node = ros.node("person")
        self.axes, self.buttons = [0.0] * 8, [0] * 8
        self.told: list[str] = []
        self.chunks: list[ActionChunk] = []
        self._joy = self.node.create_publisher(Joy, "joy", RELIABLE)
        self._timer = self.node.create_timer(0.05, self._send)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._hear, RELIABLE)
        self.node.create_subscription(ActionChunk, "a1/chunk", self.chunks.append, RELIABLE)

    def hold(self, *buttons: int, **axes: float) -> None:
        self.axes = [axes.get(f"axis{number}", 0.0) for number in range(8)]
        self.buttons = [int(number in buttons) for number in range(8)]

    def switch_off(self) -> None:
        self._timer.cancel()

    def _send(self) -> None:
        self._joy.publish(Joy(axes=self.axes, buttons=self.buttons))

    def _hear(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name in ("/teleop: teleop", "/teleop: lifecycle"):
                self.told.append(status.message)

    def of(self, source: Source) -> list[ActionChunk]:
        return [chunk for chunk in self.chunks if chunk.source == source]


@pytest.fixture
def spec(parts):
    return load_spec(parts.parameters["robot"])


@pytest.fixture
def person(ros) -> Person:
    return Person(ros)


@pytest.fixture
def make_teleop(ros, parts):
    def make(**parameters) -> TeleopNode:
        node = teleop_node(parts.parameters["robot"], **PATIENT | parameters)
        node.trigger_configure()
        node.trigger_activate()
        assert node.state_label == "active"
        return ros.add(node)

    return make


def test_the_deadman_drives_the_tip_and_letting_go_stops_it(rig, person, make_teleop, spec):
    make_teleop()

    def tip(q_J):
        return spec.kinematics(np.array(q_J))[0]

    rig.armed()
    assert rig.wait_for(lambda: WAITING in person.told)
    before = tip(rig.robot.q)
    person.hold(DEADMAN, axis1=1.0)
    assert rig.wait_for(lambda: tip(rig.robot.q)[0] > before[0] + 0.08)
    assert rig.operator.states[-1].source == Source.TELEOP
    person.hold()
    assert rig.wait_for(lambda: rig.operator.mode == HOLD)
    assert rig.rests()
    assert abs(tip(rig.robot.q)[1] - before[1]) < 0.01
    assert {verdict.code for verdict in rig.operator.verdicts} == {ChunkVerdict.ACCEPTED}
    assert rig.robot.refusals == []
    assert {chunk.action_space for chunk in person.chunks} == {ActionChunk.JOINT_POSITION}


def codes_of(operator) -> list[int]:
    """Of the verdicts on its own chunks."""
    own = uuid.UUID(operator.session).bytes
    return [v.code for v in operator.verdicts if bytes(v.session_id.uuid) == own]


def test_a_correction_takes_the_arm_from_a_policy_and_gives_it_back(rig, person, make_teleop):
    make_teleop()
    operator = rig.tracking().operator
    assert rig.wait_for(lambda: WAITING in person.told)
    person.hold(TAKE_OVER, axis4=1.0)
    taken = Source.TAKEOVER
    assert rig.wait_for(lambda: operator.states[-1].source == taken)
    height = operator.states[-1].position[3]
    assert rig.wait_for(lambda: abs(operator.states[-1].position[3] - height) > 0.1)
    assert rig.wait_for(lambda: ChunkVerdict.NOT_SOURCE in codes_of(operator))
    person.hold()
    assert rig.wait_for(lambda: operator.states[-1].source == Source.POLICY)
    assert rig.wait_for(lambda: "given back" in person.told)
    assert rig.wait_for(lambda: rig.robot.speed > 0.05)
    operator.drive(False)
    # Whose every commanded tick was, is in what the controller says.
    played = {state.source for state in operator.states if state.mode == TRACKING}
    assert played == {Source.POLICY, taken}
    assert rig.robot.refusals == []


def test_a_joystick_that_is_switched_off_stops_the_arm_and_keeps_it(rig, person, make_teleop):
    make_teleop(**{"joy.timeout": 0.5})
    operator = rig.tracking().operator
    assert rig.wait_for(lambda: WAITING in person.told)
    person.hold(TAKE_OVER, axis1=1.0)
    assert rig.wait_for(lambda: operator.states[-1].source == Source.TAKEOVER)
    person.switch_off()
    assert rig.wait_for(lambda: any("joystick is silent" in text for text in person.told))
    assert rig.wait_for(lambda: operator.mode == HOLD)
    judged = len(codes_of(operator))
    assert rig.wait_for(lambda: len(codes_of(operator)) > judged + 1)
    assert set(codes_of(operator)[judged:]) == {ChunkVerdict.NOT_SOURCE}
    assert operator.call("give_back").success
    assert rig.wait_for(lambda: operator.mode == TRACKING)


def test_an_arm_mirrors_its_leader(rig, ros, person, make_teleop, spec):
    leader = ros.node("leader")
    out = leader.create_publisher(JointState, "leader/joint_states", RELIABLE)
    pose = {"q": np.zeros(8)}
    names = [f"leader_{number}" for number in range(7)]

    def publish() -> None:
        stamp_ns = node_now_ns(leader)
        out.publish(to_joint_state(["finger", *names[::-1]], pose["q"][::-1], stamp_ns))

    leader.create_timer(0.01, publish)
    make_teleop(
        steer="leader",
        **{
            "leader.topic": "leader/joint_states",
            "leader.joints": names,
            "leader.signs": [-1.0, *[1.0] * 6],
            "leader.gripper": ["finger"],
        },
    )
    rig.armed()
    assert rig.wait_for(lambda: WAITING in person.told)
    pose["q"] = np.append(np.full(7, 0.2), 1.0)
    person.hold(DEADMAN)
    assert rig.wait_for(lambda: person.of(Source.TELEOP))
    pose["q"] = pose["q"] + [0.3, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0, -1.0]
    wanted = spec.home + [-0.3, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0]
    assert rig.wait_for(lambda: np.abs(rig.robot.q - wanted).max() < 5e-3), rig.robot.q - wanted
    assert rig.wait_for(lambda: rig.robot.goals == [spec.gripper.command.closed])


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"robot": ""}, "robot is empty"),
        ({"inverse_kinematics": "nowhere:f"}, "nowhere:f"),
        ({"keyboard": True}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
    ],
)
def test_what_is_wrong_is_said_at_configure(
    ros, wait_for, person, parts, monkeypatch, parameters, text
):
    values = {"robot": parts.parameters["robot"]} | parameters
    node = ros.add(teleop_node(values.pop("robot"), **values))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    node.trigger_configure()
    assert node.state_label == "unconfigured"
    assert wait_for(lambda: any(text in told for told in person.told)), person.told
