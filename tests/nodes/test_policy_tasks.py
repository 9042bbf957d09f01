"""Instructions and tasks of the policy node over DDS."""

from itertools import groupby

import numpy as np
from a1_msgs.action import RunTask
from a1_msgs.msg import ChunkVerdict
from action_msgs.msg import GoalStatus
from policy_rig import result_of
from rclpy.parameter import Parameter
from std_msgs.msg import String

from a1_ros.qos import RELIABLE

Result = RunTask.Result


def outcome(handle):
    """Status and result of a goal."""
    answer = result_of(handle.get_result_async())
    return answer.status, answer.result


def test_an_idle_node_infers_nothing(active, wait_for):
    _, robot, policy = active
    assert wait_for(lambda: len(robot.sent_ns) >= 10)
    assert policy.observations == []
    assert robot.chunks == []


def test_an_empty_instruction_stops_and_a_new_one_is_a_new_session(running, wait_for):
    _, robot, policy = running
    assert wait_for(lambda: len(robot.chunks) >= 2)
    assert robot.ask("").success
    stopped = len(policy.observations)
    frames = len(robot.sent_ns)
    assert wait_for(lambda: len(robot.sent_ns) >= frames + 5)
    assert len(policy.observations) == stopped
    heard = len(robot.chunks)
    assert robot.ask("touch the blue cube").success
    assert wait_for(lambda: len(robot.chunks) > heard)
    assert len(robot.sessions()) == 2
    assert robot.chunks[heard].seq == 1
    assert policy.observations[-1].instruction == "touch the blue cube"
    assert policy.resets == 2


def test_a_task_succeeds_substep_by_substep(active, wait_for):
    _, robot, policy = active
    policy.end = 0.9
    handle, feedback = robot.run_task(substeps=["reach", "grasp"])
    status, result = outcome(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_SUCCEEDED, Result.SUCCEEDED)
    assert (result.substeps_done, result.chunks) == (2, 4)
    assert list(result.ended_by) == [2, 4]
    assert [o.instruction for o in policy.observations] == ["reach"] * 2 + ["grasp"] * 2
    assert wait_for(lambda: len(feedback) == 4)
    assert (feedback[0].seq, feedback[0].exit_layer, feedback[0].depth_fraction) == (1, 8, 1.0)
    assert [(f.seq, f.substep, f.instruction, f.substeps_done) for f in feedback] == [
        (1, 0, "reach", 0),
        (2, 0, "reach", 1),
        (3, 1, "grasp", 1),
        (4, 1, "grasp", 2),
    ]
    assert [round(f.end_of_substep, 6) for f in feedback] == [0.9] * 4
    assert [round(state.end_of_substep, 6) for state in robot.exit_states] == [0.9] * 4
    assert len(robot.sessions()) == 1
    frames = len(robot.sent_ns)
    assert wait_for(lambda: len(robot.sent_ns) >= frames + 5)
    assert len(policy.observations) == 4


def test_what_is_left_of_the_chunk_that_ends_a_substep_is_dropped(active, wait_for):
    _, robot, policy = active
    policy.end = 0.9
    outcome(robot.run_task(substeps=["reach", "grasp"])[0])
    assert wait_for(lambda: len(robot.chunks) == 4)
    full = policy.horizon
    assert [chunk.horizon == full for chunk in robot.chunks] == [True, False, True, False]
    for chunk in robot.chunks:
        rows = np.array(chunk.data).reshape(chunk.horizon, chunk.dim)
        assert 2 <= chunk.horizon <= full
        np.testing.assert_allclose(rows[:, 0] - rows[0, 0], np.arange(len(rows)) / 100, atol=1e-6)


def test_the_next_substep_begins_with_the_next_image(robot, policy, make_policy_node):
    # With the pace of the chunks alone the second observation would be due in a minute.
    node = make_policy_node(replan_period=60.0, end_votes=1)
    node.trigger_configure()
    node.trigger_activate()
    robot.start()
    policy.observations.clear()
    policy.end = 0.9
    _, result = outcome(robot.run_task(substeps=["reach", "grasp", "lift"])[0])
    assert (result.outcome, list(result.ended_by)) == (Result.SUCCEEDED, [1, 2, 3])
    assert [o.instruction for o in policy.observations] == ["reach", "grasp", "lift"]


def test_a_score_below_the_rule_ends_nothing(active, wait_for):
    node, robot, policy = active
    node.set_parameters([Parameter("end_probability", value=0.95)])
    policy.end = 0.9
    handle, feedback = robot.run_task(substeps=["reach", "grasp"])
    assert wait_for(lambda: len(feedback) >= 6)
    assert {(f.instruction, f.substeps_done) for f in feedback} == {("reach", 0)}
    result_of(handle.cancel_goal_async())
    assert list(outcome(handle)[1].ended_by) == []


def test_whoever_comes_when_ever_hears_what_is_to_be_done(active, ros, wait_for):
    _, robot, policy = active
    texts = []
    ear = ros.node("ear")
    ear.create_subscription(String, "a1/instruction", lambda msg: texts.append(msg.data), RELIABLE)
    assert wait_for(lambda: ear.count_publishers("a1/instruction"))
    assert robot.ask("touch the red cube").success
    assert wait_for(lambda: set(texts) == {"touch the red cube"})
    late = []
    other = ros.node("late")
    other.create_subscription(String, "a1/instruction", lambda msg: late.append(msg.data), RELIABLE)
    assert wait_for(lambda: late and late[-1] == "touch the red cube")
    assert robot.ask("").success
    assert wait_for(lambda: texts[-1] == "" and late[-1] == "")
    policy.end = 0.9
    texts.clear()
    outcome(robot.run_task(substeps=["reach", "grasp"])[0])
    changes = ["reach", "grasp", ""]
    assert wait_for(lambda: [text for text, _ in groupby(texts)] == changes)


def test_a_task_times_out(active):
    _, robot, _ = active
    handle, _ = robot.run_task(timeout_s=0.4, instruction="touch the red cube")
    status, result = outcome(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.TIMED_OUT)
    assert result.elapsed_s >= 0.4
    assert "0.4 s" in result.message


def test_a_task_is_cancelled_and_the_next_one_runs(active, wait_for):
    _, robot, _ = active
    handle, _ = robot.run_task(instruction="touch the red cube")
    assert wait_for(lambda: robot.chunks)
    result_of(handle.cancel_goal_async())
    status, result = outcome(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_CANCELED, Result.CANCELED)
    heard = len(robot.chunks)
    handle, _ = robot.run_task(instruction="touch the blue cube")
    assert wait_for(lambda: len(robot.chunks) >= heard + 2)
    assert len(robot.sessions()) == 2


def test_a_newer_goal_and_an_instruction_take_over(active, wait_for):
    _, robot, policy = active
    first, _ = robot.run_task(instruction="first")
    second, _ = robot.run_task(instruction="second")
    assert outcome(first)[1].outcome == Result.CANCELED
    assert wait_for(lambda: policy.observations and policy.observations[-1].instruction == "second")
    assert robot.ask("third").success
    status, result = outcome(second)
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.CANCELED)
    assert "took its place" in result.message
    assert wait_for(lambda: policy.observations[-1].instruction == "third")


def test_a_goal_must_say_one_thing(active):
    _, robot, _ = active
    assert not robot.run_task()[0].accepted
    assert not robot.run_task(instruction="x", substeps=["y"])[0].accepted
    assert not robot.run_task(substeps=["x", ""])[0].accepted


def test_a_node_that_is_not_active_says_so(robot, make_policy_node):
    make_policy_node().trigger_configure()
    answer = robot.ask("touch the red cube")
    assert not answer.success
    assert "activate it first" in answer.message
    assert not robot.run_task(instruction="touch the red cube")[0].accepted


def test_deactivation_ends_the_task(active, wait_for):
    node, robot, _ = active
    handle, _ = robot.run_task(instruction="touch the red cube")
    assert wait_for(lambda: robot.chunks)
    node.trigger_deactivate()
    status, result = outcome(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.CANCELED)
    assert "deactivated" in result.message


def test_a_broken_policy_fails_the_task(active):
    _, robot, policy = active
    policy.error = RuntimeError("out of memory")
    handle, _ = robot.run_task(instruction="touch the red cube")
    status, result = outcome(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.FAILED)
    assert "out of memory" in result.message
    assert not robot.run_task(instruction="again")[0].accepted


def refuse(robot, code, detail):
    """From now on every chunk gets that verdict."""
    verdicts = robot.node.create_publisher(ChunkVerdict, "a1/chunk_verdict", RELIABLE)

    def answer(chunk):
        verdicts.publish(
            ChunkVerdict(session_id=chunk.session_id, seq=chunk.seq, code=code, detail=detail)
        )

    robot.on_chunk = answer


def test_a_controller_that_does_not_follow_blocks_the_task(active):
    node, robot, _ = active
    node.set_parameters([Parameter("blocked_after", value=0.3)])
    refuse(robot, ChunkVerdict.NOT_ARMED, "call a1/arm")
    handle, _ = robot.run_task(instruction="touch the red cube")
    status, result = outcome(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.BLOCKED)
    assert "NOT_ARMED: call a1/arm" in result.message


def test_an_instruction_waits_for_arming_and_does_not_outlive_a_stop(active, wait_for):
    node, robot, policy = active
    node.set_parameters([Parameter("blocked_after", value=0.3)])
    refuse(robot, ChunkVerdict.NOT_ARMED, "call a1/arm")
    assert robot.ask("touch the red cube").success
    said = "the controller does not follow: NOT_ARMED: call a1/arm"
    assert wait_for(lambda: said in robot.messages("inference"))
    heard = len(robot.chunks)
    robot.on_chunk = lambda chunk: None
    assert wait_for(lambda: len(robot.chunks) >= heard + 3)
    assert policy.observations[-1].instruction == "touch the red cube"
    assert len(robot.sessions()) == 1
    refuse(robot, ChunkVerdict.STOPPED, "by hand")
    over = "(last task BLOCKED: the controller does not follow: STOPPED: by hand)"
    assert wait_for(lambda: any(over in text for text in robot.messages("inference")))
