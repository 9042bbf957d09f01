"""The policy node under a lock-stepped clock: every camera tick is acknowledged, in order."""

import numpy as np
import pytest
from policy_rig import START_NS, TICK_NS, Stepper
from rosgraph_msgs.msg import Clock

from a1_ros.messages import msg_to_chunk
from a1_ros.times import ns_to_stamp


@pytest.fixture
def stepper(robot, make_policy_node, wait_for):
    node = make_policy_node(lockstep=True, use_sim_time=True, replan_period=0.15)
    node.trigger_configure()
    node.trigger_activate()
    stepper = Stepper(robot, wait_for)
    matched = [*robot.images.values(), *robot.states.values(), stepper.clock]
    assert wait_for(lambda: all(p.get_subscription_count() for p in matched))
    stepper.node = node
    return stepper


def test_every_tick_is_acknowledged_whether_due_or_not(stepper, policy):
    policy.observations.clear()
    assert [stepper.step()[1] for _ in range(3)] == [0, 0, 0]
    stepper.robot.ask("touch the red cube")
    assert [stepper.step()[1] for _ in range(7)] == [1, 1, 1, 2, 2, 2, 3]
    assert stepper.wait_for(lambda: len(stepper.robot.chunks) == 3)
    stamps = [msg_to_chunk(chunk).stamp_ns for chunk in stepper.robot.chunks]
    assert np.diff(stamps).tolist() == [3 * TICK_NS] * 2
    assert [o.stamp_ns for o in policy.observations] == stamps


def test_an_acknowledgement_follows_its_chunk(stepper, policy):
    policy.delay_s = 0.05
    stepper.robot.ask("touch the red cube")
    stamp_ns, seq = stepper.step()
    assert (stamp_ns, seq) == (stepper.now_ns, 1)
    assert stepper.wait_for(lambda: stepper.robot.chunks)
    assert stepper.acks == [(stepper.now_ns, 1)]


def test_a_tick_waits_for_the_joint_state_of_its_moment(stepper, policy):
    """Whatever arrives first, the state is the one of the tick."""
    stepper.robot.ask("touch the red cube")
    stepper.robot.mend(moving=True)
    rows = []
    for images_first in (True, False, True, True):
        policy.observations.clear()
        for _ in range(3):
            stepper.step(images_first)
        (observation,) = policy.observations
        rows.append(observation.state_D[0] - 0.2 * np.sin(observation.stamp_ns / 1e8))
    np.testing.assert_allclose(rows, rows[0], atol=1e-6)


def test_a_refused_tick_is_acknowledged_too(stepper):
    stepper.robot.ask("touch the red cube")
    assert stepper.step()[1] == 1
    stepper.robot.mend(silent={"wrist"})
    assert [stepper.step()[1] for _ in range(4)] == [1] * 4
    stepper.robot.mend()
    assert stepper.wait_for(lambda: stepper.step()[1] == 2)


def test_a_new_session_begins_with_one_and_the_last_number_stays_until_then(stepper):
    stepper.robot.ask("touch the red cube")
    assert [stepper.step()[1] for _ in range(4)] == [1, 1, 1, 2]
    stepper.robot.ask("")
    assert [stepper.step()[1] for _ in range(3)] == [2, 2, 2]
    stepper.robot.ask("touch the blue cube")
    assert stepper.step()[1] == 1


def test_a_clock_that_goes_back_is_followed(stepper, policy):
    stepper.robot.ask("touch the red cube")
    stepper.step()
    stepper.now_ns = START_NS - 5 * TICK_NS
    stepper.clock.publish(Clock(clock=ns_to_stamp(stepper.now_ns)))
    node = stepper.node
    assert stepper.wait_for(lambda: node.get_clock().now().nanoseconds == stepper.now_ns)
    stepper.acks.clear()
    before = len(stepper.robot.chunks)
    stepper.step()
    assert stepper.wait_for(lambda: len(stepper.robot.chunks) > before)
    assert policy.observations[-1].stamp_ns == stepper.now_ns
