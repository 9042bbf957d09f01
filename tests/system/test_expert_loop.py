"""The scripted expert's chunks through the real controller over DDS: every task is solved.

This is what shows that controller and simulated robot can do the tasks, whatever the policy does.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from a1_sim.operator_node import Operator
from a1_sim.plans import TASKS, evaluation_plans
from a1_sim.stage import expert_stage


@pytest.fixture(scope="module")
def operator(robot: Path) -> Iterator[Operator]:
    with expert_stage(robot) as running:
        yield running


@pytest.mark.parametrize("task", list(TASKS))
def test_expert_solves(operator: Operator, task: str) -> None:
    for plan in evaluation_plans(task, 3 if len(TASKS[task]) == 1 else 1):
        record = operator.run(plan, policy=False)
        assert record.success, record
        assert record.refused == 0
        assert record.colour == plan.colour or plan.steps
        asked = plan.steps or (record.instruction,)
        assert tuple(step.instruction for step in record.steps) == asked
        assert record.steps_done == len(record.steps)


def test_episodes_are_the_same_every_time(operator: Operator) -> None:
    plan = next(evaluation_plans("bowl", 1))
    first, second = (operator.run(plan, policy=False) for _ in range(2))
    assert abs(first.elapsed_s - second.elapsed_s) < 0.25
