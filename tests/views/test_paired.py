"""What a benchmark says of a difference: the difference, and how far it may be off."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from _paired import added


def p95(values) -> float:
    return float(np.percentile(values, 95))


def noisy_pairs(shift: float, seed: int, count: int = 24, size: int = 25):
    """Blocks on a machine whose mood changes from pair to pair by far more than `shift`."""
    rng = np.random.default_rng(seed)
    moods = rng.uniform(0.0, 20.0, count)
    return [
        (mood + rng.exponential(1.0, size), mood + shift + rng.exponential(1.0, size))
        for mood in moods
    ]


def test_the_same_shift_of_every_value_is_the_difference_and_certain():
    rng = np.random.default_rng(0)
    pairs = [(values, values + 0.4) for values in rng.exponential(5.0, (10, 30))]
    found = added(pairs, p95, draws=100)
    assert [found.value, found.low, found.high] == pytest.approx([0.4, 0.4, 0.4])


@pytest.mark.parametrize("figure", [np.median, p95])
def test_the_interval_holds_what_was_added_about_as_often_as_it_says(figure):
    runs = [added(noisy_pairs(1.0, seed), figure, draws=200) for seed in range(12)]
    assert sum(run.low <= 1.0 <= run.high for run in runs) >= 9
    assert all(run.low <= run.value <= run.high for run in runs)
    assert all(run.high - run.low < 2.0 for run in runs), "less than a tenth of the machine's moods"


def test_sides_that_are_no_pair_leave_the_moods_in_doubt():
    pairs = noisy_pairs(1.0, seed=3)
    order = np.random.default_rng(1).permutation(len(pairs))
    mixed = [(pairs[k][0], pairs[other][1]) for k, other in enumerate(order)]
    paired, doubtful = (added(each, p95, draws=200) for each in (pairs, mixed))
    assert paired.high - paired.low < 0.3 * (doubtful.high - doubtful.low)
