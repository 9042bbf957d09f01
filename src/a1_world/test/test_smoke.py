"""The package imports and its tasks read back."""

from a1_world.tasks import make_task, parse


def test_instruction_reads_back() -> None:
    task = make_task("touch", "red")
    assert parse(task.instruction) == task
