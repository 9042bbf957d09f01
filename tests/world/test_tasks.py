"""Tasks and layouts: pure functions of words and seeds."""

import numpy as np
import pytest

from a1_core.errors import A1Error
from a1_world.layout import (
    AREA_LOWER_M,
    AREA_UPPER_M,
    BOWL_GAP_M,
    CUBE_GAP_M,
    NUM_CUBES,
    SQUARE_LOWER_M,
    SQUARE_UPPER_M,
    make_layout,
)
from a1_world.tasks import (
    COLOURS,
    KINDS,
    KINDS_WITH_TARGET,
    join_steps,
    make_task,
    parse,
    parse_steps,
    vocabulary,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_instruction_reads_back(kind):
    colours = list(COLOURS)
    for colour, other in zip(colours, colours[1:] + colours[:1], strict=True):
        task = make_task(kind, colour, other if kind in KINDS_WITH_TARGET else None)
        assert parse(task.instruction) == task
        assert parse(f"  {task.instruction.upper()}. ") == task
        assert set(task.instruction.split()) <= vocabulary()


def test_steps_are_joined_into_one_sentence_and_read_back():
    steps = (
        make_task("bowl", "red"),
        make_task("touch", "blue"),
        make_task("stack", "red", "blue"),
    )
    sentence = join_steps(steps)
    assert sentence.startswith("put the red cube in the bowl, then touch the blue cube, then stack")
    assert parse_steps(sentence) == steps
    assert parse_steps("Touch the red cube then touch the blue cube.") == (
        make_task("touch", "red"),
        make_task("touch", "blue"),
    )
    assert parse_steps("touch the red cube") == (make_task("touch", "red"),)
    with pytest.raises(A1Error, match="'sing' is not understood"):
        parse_steps("touch the red cube, then sing")


def test_unknown_words_are_named_with_what_is_known():
    with pytest.raises(A1Error, match="colour 'pink' is unknown; use one of red, green"):
        make_task("touch", "pink")
    with pytest.raises(A1Error, match="colour 'pink'"):
        parse("touch the pink cube")
    with pytest.raises(A1Error, match="kind 'throw' is unknown; use one of touch, bowl"):
        make_task("throw", "red")
    with pytest.raises(A1Error, match="'sing a song' is not understood; say one of: touch the"):
        parse("sing a song")
    with pytest.raises(A1Error, match="kind 'stack' needs a target; give the colour of another"):
        make_task("stack", "red")
    with pytest.raises(A1Error, match="kind 'push' has no target, 'blue' was given; leave it out"):
        make_task("push", "red", "blue")
    with pytest.raises(A1Error, match="target 'red' is the cube itself"):
        parse("stack the red cube on the red cube")
    with pytest.raises(A1Error, match="colour 'pink' is unknown"):
        make_task("stack", "red", "pink")
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


def test_what_came_later_left_older_draws_of_a_seed_alone():
    """Values of seed 7 from before there were targets and squares; a checkpoint rests on them."""
    layout = make_layout(7)
    assert (layout.colours, layout.kind, layout.named) == (("blue", "yellow", "red"), "bowl", 0)
    np.testing.assert_allclose(layout.cube_xy[2], [0.502493216613221, -0.19728882674866083])
    np.testing.assert_allclose(layout.bowl_xy, [0.5144545176257677, 0.18951840536708064])
    np.testing.assert_allclose(layout.start_q[:2], [-0.0038330710749987923, -0.2627215145221103])


def test_squares_lie_apart_from_their_cubes_and_mostly_free():
    free = 0
    for seed in range(100):
        layout = make_layout(seed)
        for cube in range(NUM_CUBES):
            assert layout.target_of(cube) != cube
            square = layout.square_xy[cube]
            way = np.linalg.norm(square - layout.cube_xy[cube])
            assert 0.09 <= way <= 0.15
            others = np.delete(layout.cube_xy, cube, axis=0)
            inside = ((square >= SQUARE_LOWER_M) & (square <= SQUARE_UPPER_M)).all()
            apart = np.linalg.norm(others - square, axis=1).min() > 0.08
            free += bool(inside and apart and np.linalg.norm(layout.bowl_xy - square) > 0.11)
    assert free >= 270
