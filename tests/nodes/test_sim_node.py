"""The simulator on its topics: what it publishes, takes, refuses and does on a reset."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from a1_msgs.msg import ActionChunk, EpisodeState, LockstepAck
from a1_msgs.srv import ResetWorld
from control_msgs.action import GripperCommand
from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.srv import GetParameters
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_ros.images import raw_to_rgb
from a1_ros.qos import RELIABLE, SENSOR
from a1_ros.times import stamp_to_ns
from a1_sim.jtc import TrajectoryController
from a1_sim.node import SimNode
from a1_sim.robot import SimulatedRobot
from a1_sim.trajectory import JtcParameters
from a1_world.layout import READY_Q, make_layout
from a1_world.world import World

ROBOT = Path("config/robots/franka.yaml").resolve()


def simulator(ros, **parameters) -> SimNode:
    overrides = {"robot": str(ROBOT), "image_size": 64, **parameters}
    node = SimNode(
        parameter_overrides=[Parameter(key, value=value) for key, value in overrides.items()],
        use_global_arguments=False,
    )
    ros.add(node)
    assert node.trigger_configure().name == "SUCCESS"
    assert node.trigger_activate().name == "SUCCESS"
    return node


class Ears:
    """Everything heard on a topic."""

    def __init__(self, node: Node, kind: type, topic: str, qos=RELIABLE) -> None:
        self.heard: list = []
        node.create_subscription(kind, topic, self.heard.append, qos)

    @property
    def last(self):
        return self.heard[-1]


def call(client, request, wait_for: Callable):
    assert wait_for(client.service_is_ready)
    future = client.call_async(request)
    assert wait_for(future.done)
    return future.result()


def test_plays_the_robot_of_the_spec_in_real_time(ros, wait_for) -> None:
    spec = load_spec(ROBOT)
    me = ros.node("ears")
    arm = Ears(me, JointState, spec.state_sources[0].topic, SENSOR)
    hand = Ears(me, JointState, spec.state_sources[1].topic, SENSOR)
    cameras = {c.name: Ears(me, Image, c.topic, SENSOR) for c in spec.cameras}
    clock = Ears(me, Clock, "/clock")
    episode = Ears(me, EpisodeState, "sim/episode")
    simulator(ros)
    assert wait_for(lambda: len(arm.heard) > 10)
    arm.heard.clear(), hand.heard.clear(), clock.heard.clear()
    for camera in cameras.values():
        camera.heard.clear()

    def simulated_s() -> float:
        return (stamp_to_ns(clock.last.clock) - stamp_to_ns(clock.heard[0].clock)) * 1e-9

    assert wait_for(lambda: clock.heard and simulated_s() > 2.0, 60.0)
    seconds = simulated_s()
    assert len(arm.heard) / seconds > 100
    assert len(hand.heard) / seconds > 13
    for camera in cameras.values():
        assert len(camera.heard) / seconds > 9
        assert raw_to_rgb(camera.last).shape == (64, 64, 3)
        assert camera.last.encoding == "rgb8"
    assert tuple(arm.last.name) == spec.joint_names
    np.testing.assert_allclose(arm.last.position, READY_Q, atol=0.1)
    assert hand.last.position[0] == pytest.approx(0.04, abs=0.002)
    # A picture's stamp is that of a joint state: both show the same instant.
    states = {stamp_to_ns(msg.header.stamp) for msg in arm.heard}
    pictures = [stamp_to_ns(msg.header.stamp) for msg in cameras["front"].heard[1:-1]]
    assert pictures
    assert sum(stamp in states for stamp in pictures) >= 0.7 * len(pictures)
    assert not episode.last.running


def test_trajectory_controller_moves_replaces_refuses_and_tells_its_parameters(
    ros, wait_for
) -> None:
    spec = load_spec(ROBOT)
    me = ros.node("ears")
    state = Ears(me, JointTrajectoryControllerState, f"{spec.command.controller}/controller_state")
    arm = Ears(me, JointState, spec.state_sources[0].topic, SENSOR)
    node = simulator(ros)
    asked = call(
        me.create_client(GetParameters, f"{spec.command.controller}/get_parameters"),
        GetParameters.Request(names=list(spec.command.required_parameters)),
        wait_for,
    )
    wanted = list(spec.command.required_parameters.values())
    assert [value.bool_value for value in asked.values] == wanted
    out = me.create_publisher(JointTrajectory, spec.command.topic, RELIABLE)
    assert wait_for(lambda: out.get_subscription_count() > 0 and arm.heard)
    start = np.array(arm.last.position)
    goal = start.copy()
    goal[0] += 0.3
    point = JointTrajectoryPoint(positions=goal.tolist(), velocities=[0.0] * 7)
    point.time_from_start.nanosec = 500_000_000
    refused = JointTrajectory(joint_names=list(spec.joint_names)[:6], points=[point])
    out.publish(refused)
    assert wait_for(lambda: node._robot.controller.refused == 1)
    out.publish(JointTrajectory(joint_names=list(spec.joint_names), points=[point]))
    assert wait_for(lambda: abs(arm.last.position[0] - goal[0]) < 0.01, 20.0)
    assert node._robot.controller.accepted == 1
    assert wait_for(lambda: abs(state.last.reference.positions[0] - goal[0]) < 1e-6)
    assert state.last.output.velocities[0] == 0.0


def test_gripper_reaches_stalls_and_refuses(ros, wait_for) -> None:
    spec = load_spec(ROBOT)
    me = ros.node("ears")
    client = ActionClient(me, GripperCommand, spec.gripper.command.action)
    node = simulator(ros)
    assert wait_for(client.server_is_ready)

    def drive(position_m: float):
        goal = GripperCommand.Goal()
        goal.command.position = position_m
        sent = client.send_goal_async(goal)
        assert wait_for(sent.done)
        result = sent.result().get_result_async()
        assert wait_for(result.done, 20.0)
        return result.result().status, result.result().result

    status, result = drive(0.01)
    assert (status, result.reached_goal, result.stalled) == (4, True, False)
    assert result.position == pytest.approx(0.01, abs=0.002)
    assert drive(0.2)[0] == 6
    node._robot.gripper_unit = 0.25
    # A hand that is held where it is: something is between its fingers.
    step = node._robot.world.step
    node._robot.world.step = lambda dt: None
    status, result = drive(0.0)
    node._robot.world.step = step
    assert (status, result.reached_goal, result.stalled) == (4, False, True)


def test_reset_poses_anew_keeps_the_clock_and_refuses_nonsense(ros, wait_for) -> None:
    me = ros.node("ears")
    clock = Ears(me, Clock, "/clock")
    episode = Ears(me, EpisodeState, "sim/episode")
    simulator(ros)
    client = me.create_client(ResetWorld, "sim/reset")
    first = call(client, ResetWorld.Request(seed=1_000_003, kind="touch"), wait_for)
    assert first.success and first.instruction.startswith("touch the ")
    assert wait_for(lambda: episode.heard and episode.last.running)
    assert (episode.last.episode, episode.last.seed) == (1, 1_000_003)
    nonsense = call(client, ResetWorld.Request(seed=1, kind="juggle"), wait_for)
    assert not nonsense.success and "juggle" in nonsense.message
    again = call(client, ResetWorld.Request(seed=1_000_003, kind="bowl"), wait_for)
    assert again.success and wait_for(lambda: episode.last.episode == 2)
    assert episode.last.kind == "bowl" and episode.last.elapsed_s < 1.0
    stamps = [stamp_to_ns(msg.clock) for msg in clock.heard]
    assert stamps == sorted(set(stamps))


def test_several_tasks_are_asked_for_in_order(ros, wait_for) -> None:
    me = ros.node("ears")
    episode = Ears(me, EpisodeState, "sim/episode")
    node = simulator(ros)
    client = me.create_client(ResetWorld, "sim/reset")
    red, blue = make_layout(1_000_003).colours[:2]
    asked = [f"touch the {red} cube", f"put the {blue} cube in the bowl"]
    done = call(client, ResetWorld.Request(seed=1_000_003, steps=asked), wait_for)
    assert (done.success, list(done.steps)) == (True, asked)
    assert done.instruction == f"{asked[0]}, then {asked[1]}"
    assert wait_for(lambda: episode.heard and episode.last.running)
    assert (list(episode.last.steps), episode.last.steps_done) == (asked, 0)
    assert (episode.last.kind, episode.last.colour) == ("touch", red)
    world = node._robot.world
    # A finger is put into the first cube: what the world sees done moves the episode on.
    position, rotation = world.tip_pose
    world.pose_cube(world.named, position + 0.04 * rotation[:, 1], np.array([1.0, 0.0, 0.0, 0.0]))
    assert wait_for(lambda: episode.last.steps_done == 1)
    assert (episode.last.kind, episode.last.colour, episode.last.running) == ("bowl", blue, True)
    assert episode.last.instruction == done.instruction


@pytest.mark.parametrize(
    ("steps", "kind", "said"),
    [
        (["touch the red cube"], "bowl", "give either"),
        (["touch the red cube", "juggle"], "", "juggle"),
        (["touch the plaid cube"], "", "plaid"),
        (["touch the red cube, then sing"], "", "sing"),
    ],
)
def test_steps_that_cannot_be_asked_for_are_refused(steps, kind, said) -> None:
    with World(image_size=32, render=False) as world:
        controller = TrajectoryController(JtcParameters(joints=tuple("abcdefg")), 1_000_000)
        robot = SimulatedRobot(world, controller)
        with pytest.raises(A1Error, match=said):
            robot.reset(1_000_003, kind, "", steps)


def test_what_was_sent_before_a_reset_does_not_move_the_arm_after_it(ros, wait_for) -> None:
    spec = load_spec(ROBOT)
    me = ros.node("ears")
    clock = Ears(me, Clock, "/clock")
    node = simulator(ros)
    out = me.create_publisher(JointTrajectory, spec.command.topic, RELIABLE)
    assert wait_for(lambda: out.get_subscription_count() > 0 and clock.heard)
    late = JointTrajectory(joint_names=list(spec.joint_names))
    late.header.stamp = clock.last.clock
    point = JointTrajectoryPoint(positions=[0.0] * 7, velocities=[0.0] * 7)
    point.time_from_start.sec = 60
    late.points = [point]
    client = me.create_client(ResetWorld, "sim/reset")
    assert call(client, ResetWorld.Request(seed=1_000_003, kind="touch"), wait_for).success
    out.publish(late)
    # Messages of one publisher keep their order: when this one is refused, the other was heard.
    out.publish(JointTrajectory(joint_names=list(spec.joint_names)[:6], points=[point]))
    assert wait_for(lambda: node._robot.controller.refused == 1)
    assert node._robot.controller.accepted == 0


def test_faults_freeze_and_silence(ros, wait_for) -> None:
    spec = load_spec(ROBOT)
    me = ros.node("ears")
    front, wrist = (Ears(me, Image, c.topic, SENSOR) for c in spec.cameras)
    node = simulator(ros)
    assert wait_for(lambda: front.heard and wrist.heard)
    node.set_parameters(
        [
            Parameter("fault.cameras_frozen", value=["front"]),
            Parameter("fault.cameras_silent", value=["wrist"]),
        ]
    )
    time.sleep(0.3)
    front.heard.clear(), wrist.heard.clear()
    node._robot.gripper_unit = 0.0
    assert wait_for(lambda: len(front.heard) >= 3)
    a, b = front.heard[0], front.last
    assert bytes(a.data) == bytes(b.data) and a.header.stamp != b.header.stamp
    assert not wrist.heard
    node.set_parameters([Parameter("fault.cameras_silent", value=[""])])
    assert wait_for(lambda: wrist.heard)


def test_a_clock_that_is_set_jumps_for_everybody_and_the_episode_does_not_notice(
    ros, wait_for
) -> None:
    me, topic = ros.node("ears"), load_spec(ROBOT).state_sources[0].topic
    clock, states = Ears(me, Clock, "/clock"), Ears(me, JointState, topic, SENSOR)
    node = simulator(ros)
    assert wait_for(lambda: clock.heard and states.heard)
    before_ns, elapsed_s = stamp_to_ns(clock.last.clock), node._episode.elapsed_s
    before_s = elapsed_s(node._robot.now_ns)
    node.set_parameters([Parameter("fault.clock_offset_s", value=100.0)])
    assert wait_for(lambda: stamp_to_ns(clock.last.clock) > before_ns + 100_000_000_000)
    assert wait_for(lambda: stamp_to_ns(states.last.header.stamp) > before_ns + 100_000_000_000)
    assert node._episode.elapsed_s(node._robot.now_ns) < before_s + 50.0
    node.set_parameters([Parameter("fault.clock_offset_s", value=0.0)])
    assert wait_for(lambda: stamp_to_ns(clock.last.clock) < before_ns + 50_000_000_000)


def test_lockstep_waits_for_acknowledgements(ros, wait_for) -> None:
    me = ros.node("ears")
    clock = Ears(me, Clock, "/clock")
    acks = me.create_publisher(LockstepAck, "sim/lockstep_ack", RELIABLE)
    simulator(ros, lockstep=True, lockstep_timeout=1.5)
    assert wait_for(lambda: clock.heard)
    assert wait_for(lambda: acks.get_subscription_count() > 0)
    stood = stamp_to_ns(clock.last.clock)
    time.sleep(0.3)
    assert stamp_to_ns(clock.last.clock) == stood
    for name in ("controller", "policy"):
        acks.publish(LockstepAck(stamp=clock.last.clock, node=name))
    assert wait_for(lambda: stamp_to_ns(clock.last.clock) == stood + 20_000_000)
    # Nobody answers any more: after the timeout time goes on all the same.
    assert wait_for(lambda: stamp_to_ns(clock.last.clock) > stood + 40_000_000, 5.0)


def test_expert_sends_chunks_of_the_policys_kind(ros, wait_for) -> None:
    spec = load_spec(ROBOT)
    me = ros.node("ears")
    chunks = Ears(me, ActionChunk, "a1/chunk")
    simulator(ros, expert=True)
    client = me.create_client(ResetWorld, "sim/reset")
    assert call(client, ResetWorld.Request(seed=1_000_000, kind="touch"), wait_for).success
    assert wait_for(lambda: len(chunks.heard) >= 2)
    chunk = chunks.last
    assert (chunk.source, chunk.horizon, chunk.dim) == (3, spec.policy.horizon, spec.dim)
    assert tuple(chunk.names) == spec.action_names
    rows = np.array(chunk.data).reshape(chunk.horizon, chunk.dim)
    assert np.abs(rows[0, :7]).max() < 1e-3
    assert np.isfinite(rows).all()


def test_refuses_to_share_a_network_with_a_stranger(ros, monkeypatch) -> None:
    stranger = ros.node("somebody_elses_robot")
    topic = load_spec(ROBOT).command.topic
    stranger.create_subscription(JointTrajectory, topic, lambda msg: None, RELIABLE)
    node = SimNode(
        parameter_overrides=[Parameter("robot", value=str(ROBOT))], use_global_arguments=False
    )
    ros.add(node)
    assert node.trigger_configure().name == "FAILURE"
    ros.remove(stranger)
    monkeypatch.setitem(os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert node.trigger_configure().name == "FAILURE"
