"""Tasks and layouts: pure functions of words and seeds."""

import numpy as np
import pytest

from a1_core.errors import A1Error
from a1_world.layout import (
    AREA_LOWER_M,
    AREA_UPPER_M,
    BOWL_GAP_M,
    CUBE_GAP_M,
    make_layout,
)
from a1_world.tasks import COLOURS, KINDS, make_task, parse


@pytest.mark.parametrize("kind", KINDS)
def test_every_instruction_reads_back(kind):
    for colour in COLOURS:
        task = make_task(kind, colour)
        assert parse(task.instruction) == task
        assert parse(f"  {task.instruction.upper()}. ") == task


def test_unknown_words_are_named_with_what_is_known():
    with pytest.raises(A1Error, match="colour 'pink' is unknown; use one of red, green"):
        make_task("touch", "pink")
    with pytest.raises(A1Error, match="colour 'pink'"):
        parse("touch the pink cube")
    with pytest.raises(A1Error, match="kind 'throw' is unknown; use one of touch, bowl"):
        make_task("throw", "red")
    with pytest.raises(A1Error, match="'sing a song' is not understood; say one of: touch the"):
        parse("sing a song")
    with pytest.raises(A1Error, match="seed -1 is negative"):
        make_layout(-1)


def test_layouts_keep_objects_apart_and_in_reach():
    for seed in range(200):
        layout = make_layout(seed)
        cubes = layout.cube_xy
        assert ((cubes >= AREA_LOWER_M) & (cubes <= AREA_UPPER_M)).all()
        gaps = [np.linalg.norm(cubes[i] - cubes[j]) for i in range(3) for j in range(i)]
        assert min(gaps) >= CUBE_GAP_M >= 0.09
        assert np.linalg.norm(cubes - layout.bowl_xy, axis=1).min() >= BOWL_GAP_M
        assert len(set(layout.colours)) == 3


def test_a_layout_is_its_seed():
    first, again, other = make_layout(7), make_layout(7), make_layout(8)
    np.testing.assert_array_equal(first.cube_xy, again.cube_xy)
    np.testing.assert_array_equal(first.start_q, again.start_q)
    assert (first.colours, first.kind, first.named) == (again.colours, again.kind, again.named)
    assert not np.array_equal(first.cube_xy, other.cube_xy)
