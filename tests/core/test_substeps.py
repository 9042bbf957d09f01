import pytest

from a1_core.substeps import join_steps, split_steps

STEPS = ("put the red cube in the bowl", "touch the blue cube", "wave")


@pytest.mark.parametrize("seam", [", then ", " then ", ",  then\n"])
def test_a_sentence_is_taken_apart_where_it_says_then(seam):
    assert split_steps(seam.join(STEPS)) == STEPS
    assert split_steps(f" {join_steps(STEPS)} ") == STEPS


def test_one_thing_is_one_step():
    assert split_steps("strengthen the frame") == ("strengthen the frame",)
    assert split_steps("") == ("",)
