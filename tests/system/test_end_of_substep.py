"""A policy that says at once that a step is done: what it is told next, and what is recorded."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import groupby

import pytest
import torch
from a1_msgs.action import RunTask
from a1_msgs.msg import ActionChunk, ChunkVerdict
from std_msgs.msg import String

from a1_core.spec import load_spec
from a1_model.checkpoint import load_checkpoint, save_checkpoint
from a1_ros.qos import RELIABLE
from a1_sim.operator_node import Operator
from a1_sim.plans import evaluation_plans
from a1_sim.stage import Stage, composed_stage


@pytest.fixture(scope="module")
def hasty(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The shipped network, but for an end readout that says at once that every step is done."""
    spec = load_spec(stage.robot)
    loaded = load_checkpoint(stage.checkpoint, spec)
    network = deepcopy(loaded.network)
    with torch.no_grad():
        for readout in network.expert.ends:
            readout.bias.fill_(30.0)
    folder = tmp_path_factory.mktemp("hasty") / "checkpoint"
    save_checkpoint(
        folder,
        network=network,
        tokenizer=loaded.tokenizer,
        normaliser=loaded.normaliser,
        spec=spec,
        metadata={},
    )
    return replace(stage, checkpoint=folder, thresholds=None)


class Wire:
    """What goes over DDS while an operator runs an episode."""

    def __init__(self, operator: Operator) -> None:
        self.chunks: list[ActionChunk] = []
        self.verdicts: list[ChunkVerdict] = []
        self.instructions: list[str] = []
        self._subscriptions = [
            operator.create_subscription(ActionChunk, "a1/chunk", self.chunks.append, RELIABLE),
            operator.create_subscription(
                ChunkVerdict, "a1/chunk_verdict", self.verdicts.append, RELIABLE
            ),
            operator.create_subscription(
                String, "a1/instruction", lambda msg: self.instructions.append(msg.data), RELIABLE
            ),
        ]


@pytest.fixture(scope="module")
def hasty_operator(hasty: Stage) -> Iterator[Operator]:
    with composed_stage(hasty) as running:
        yield running


def test_a_policy_that_calls_everything_done_is_seen_to_be_too_early(
    hasty_operator: Operator,
) -> None:
    wire = Wire(hasty_operator)
    plan = next(evaluation_plans("bowl_then_touch", 1))
    record = hasty_operator.run(plan)
    first, second = plan.steps
    assert not record.success
    assert record.reason.startswith("the policy called it done")
    assert [step.instruction for step in record.steps] == [first, second]
    assert [step.done_s for step in record.steps] == [None, None]
    fired_s = [step.fired_s for step in record.steps]
    # Two chunks a step; the first of the second step is made from the image after the last vote.
    assert fired_s == [pytest.approx(record.exits[i].time_s) for i in (1, 3)]
    assert record.exits[2].time_s - record.exits[1].time_s == pytest.approx(0.1)
    assert record.exits[1].time_s - record.exits[0].time_s == pytest.approx(0.3)
    assert all(sample.end_of_substep > 0.99 for sample in record.exits)
    chunks = [chunk for chunk in wire.chunks if chunk.seq <= 4]
    assert [chunk.seq for chunk in chunks] == [1, 2, 3, 4]
    assert [chunk.horizon for chunk in chunks] == [16, 2, 16, 2]
    assert {verdict.code for verdict in wire.verdicts} == {ChunkVerdict.ACCEPTED}
    told = [text for text, _ in groupby(wire.instructions)]
    assert [text for text in told if text] == [first, second]


def test_feedback_and_result_name_the_substep(hasty_operator: Operator) -> None:
    operator = hasty_operator
    plan = next(evaluation_plans("touch_then_bowl", 1))
    operator.disarm()
    operator.let_the_policy_judge()
    operator.reset(plan)
    operator.arm()
    heard: list[RunTask.Feedback] = []
    handle = operator.begin(*plan.steps, heard=heard.append)
    result = operator.answer(handle.get_result_async(), "policy").result
    assert (result.outcome, result.substeps_done) == (RunTask.Result.SUCCEEDED, 2)
    assert list(result.ended_by) == [2, 4]
    operator.wait_for(lambda: len(heard) == 4, "feedback of every chunk", 10.0)
    assert [(f.substep, f.instruction) for f in heard] == [
        (0, plan.steps[0]), (0, plan.steps[0]), (1, plan.steps[1]), (1, plan.steps[1]),
    ]  # fmt: skip
    assert [f.substeps_done for f in heard] == [0, 1, 1, 2]
    operator.disarm()


def test_the_world_judges_what_is_one_task(hasty_operator: Operator) -> None:
    """The end readout, which fires at once, ends nothing where the world alone judges."""
    plan = replace(next(evaluation_plans("touch", 1)), timeout_s=1.5)
    record = hasty_operator.run(plan)
    assert record.reason in ("timeout", "success")
    assert len(record.exits) >= 4
    assert [step.fired_s for step in record.steps] == [None]
