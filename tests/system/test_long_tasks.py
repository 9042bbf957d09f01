"""Tasks of several steps, in lockstep over DDS: the shipped policy itself says when it goes on."""

from a1_sim.plans import evaluation_plans
from a1_sim.stage import Stage, composed_stage


def test_one_thing_is_done_after_the_other(stage: Stage) -> None:
    """Layouts of the evaluation; one of two is far below what is to be expected."""
    with composed_stage(stage) as operator:
        records = [operator.run(plan) for plan in evaluation_plans("bowl_then_touch", 2)]
    done = [record for record in records if record.success]
    assert done, [(record.instruction, record.reason, record.steps) for record in records]
    for record in done:
        first, second = record.steps
        assert first.done_s < second.done_s == record.elapsed_s
        assert first.fired_s < second.fired_s
        # Not before the first thing is as good as done: it is that within a row.
        assert min(first.late_s, second.late_s) > -0.2
        assert record.refused == 0
