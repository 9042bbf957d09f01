import math

import numpy as np
import pytest

from a1_core.episode_loss import episode_losses, family_losses, split_episodes, tick_losses
from a1_core.errors import ThresholdsError

INF = math.inf


def test_a_tick_is_lost_past_any_tolerance() -> None:
    deviations = [[0.01, 0.1], [0.0101, 0.0], [0.0, 0.11], [0.0, 0.0]]
    assert tick_losses(deviations, (0.01, 0.1), "binary").tolist() == [0.0, 1.0, 1.0, 0.0]
    clipped = tick_losses(deviations, (0.01, 0.1), "clipped")
    assert clipped.tolist() == [1.0, 1.0, 1.0, 0.0]
    np.testing.assert_allclose(tick_losses([[0.002, 0.05]], (0.01, 0.1), "clipped"), [0.5])


def test_the_tolerance_itself_is_tolerated_to_the_last_bit() -> None:
    tolerance = 0.1 + 0.2
    above = np.nextafter(tolerance, 1.0)
    assert tick_losses([[tolerance], [above]], (tolerance,), "binary").tolist() == [0.0, 1.0]


def test_an_episode_is_its_mean_or_its_worst_tick() -> None:
    names = ["b", "b", "a", "b", "a"]
    losses = np.array([[0.0, 1.0, 0.0, 0.5, 0.0], [1.0] * 5])
    episodes, mean = episode_losses(losses, names, "mean")
    assert episodes == ("b", "a")
    assert mean.tolist() == [[0.5, 0.0], [1.0, 1.0]]
    assert episode_losses(losses, names, "max")[1].tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_each_setting_is_judged_by_the_exits_it_takes() -> None:
    V = np.array([[math.nan] * 4, [0.1, 0.3, 0.1, 0.9], [0.0] * 4])
    deviation = np.array([[9.0] * 4, [0.5, 2.0, 0.2, 3.0], [0.0] * 4])[..., None]
    family = [np.array([-INF, eta, INF]) for eta in (-INF, 0.1, 0.3, INF)]
    episodes, losses = family_losses(
        V,
        deviation,
        ["x", "x", "y", "y"],
        family,
        tolerance_C=[1.0],
        tick_loss="binary",
        episode_loss="mean",
    )
    assert episodes == ("x", "y")
    assert losses.tolist() == [[0.0, 0.0], [0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("deviation", "tolerance", "kind", "named"),
    [
        ([[math.nan]], [1.0], "binary", "nan"),
        ([[INF]], [1.0], "clipped", "inf"),
        ([[-1.0]], [1.0], "binary", "-1.0"),
        ([[1.0]], [0.0], "binary", "tolerance"),
        ([[1.0]], [], "binary", "tolerance"),
        ([[1.0]], [1.0, 2.0], "binary", "shape"),
        ([[1.0]], [1.0], "squared", "squared"),
    ],
)
def test_refused_deviations(deviation: list, tolerance: list, kind: str, named: str) -> None:
    with pytest.raises(ThresholdsError, match=named):
        tick_losses(deviation, tolerance, kind)


def test_refused_episodes() -> None:
    with pytest.raises(ThresholdsError, match="median"):
        episode_losses(np.zeros(2), ["a", "b"], "median")
    for losses, names in ((np.zeros(2), ["a"]), (np.zeros(0), [])):
        with pytest.raises(ThresholdsError, match="N >= 1"):
            episode_losses(losses, names, "mean")
    with pytest.raises(ThresholdsError, match="K, N, C"):
        family_losses(
            np.zeros((2, 3)),
            np.zeros((2, 3)),
            ["a"] * 3,
            [np.array([-INF, INF])],
            tolerance_C=[1.0],
            tick_loss="binary",
            episode_loss="max",
        )


def test_the_split_depends_on_names_alone() -> None:
    names = [f"bag/{n}" for n in range(21)]
    fit, certify = split_episodes(names, 0.4)
    assert len(certify) == 8
    assert sorted(fit + certify) == sorted(names)
    assert [n for n in names if n in certify] == list(certify)
    assert set(split_episodes(names[::-1], 0.4)[1]) == set(certify)
    assert split_episodes(names, 0.4)[1] != tuple(names[:8])
    with pytest.raises(ThresholdsError, match="'a' is given twice"):
        split_episodes(["a", "b", "a"], 0.5)
    for some, share in ((["a"], 0.5), (names, 0.0), (names, 1.0)):
        with pytest.raises(ThresholdsError, match="one side empty"):
            split_episodes(some, share)
