import json

import numpy as np
import pytest

from a1_core.errors import CheckpointError
from a1_core.normaliser import Normaliser

NORMALISER = Normaliser(
    names=("a", "b", "gripper"),
    state_low_D=np.array([-1.0, 2.0, 0.0]),
    state_high_D=np.array([3.0, 2.0, 1.0]),
    action_low_D=np.array([-0.1, -0.2, 0.0]),
    action_high_D=np.array([0.3, 0.2, 1.0]),
)


def test_bounds_go_to_plus_and_minus_one() -> None:
    np.testing.assert_allclose(NORMALISER.encode_state(NORMALISER.state_low_D), [-1, 0, -1])
    np.testing.assert_allclose(NORMALISER.encode_state(NORMALISER.state_high_D), [1, 0, 1])
    np.testing.assert_allclose(NORMALISER.encode_actions(NORMALISER.action_high_D), [1, 1, 1])


def test_nothing_is_clipped() -> None:
    np.testing.assert_allclose(NORMALISER.encode_state(np.array([7.0, 2.5, 2.0])), [3, 0.5, 3])


def test_actions_come_back() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 16, 3))
    np.testing.assert_allclose(
        NORMALISER.decode_actions(NORMALISER.encode_actions(rows)), rows, rtol=0, atol=1e-12
    )


def test_arrays_survive_json_exactly() -> None:
    again = Normaliser.from_arrays(json.loads(json.dumps(NORMALISER.to_arrays())))
    assert again.digest == NORMALISER.digest
    assert again.to_arrays() == NORMALISER.to_arrays()


def test_digest_sees_every_field() -> None:
    arrays = NORMALISER.to_arrays()
    digests = {NORMALISER.digest}
    for name, value in arrays.items():
        changed = ["x", *value[1:]] if name == "names" else [value[0] - 1e-12, *value[1:]]
        digests.add(Normaliser.from_arrays({**arrays, name: changed}).digest)
    assert len(digests) == 6


@pytest.mark.parametrize("value", [[0.0, 0.0], [np.nan, 0.0, 0.0], [9.0, 2.0, 0.0]])
def test_impossible_bounds(value: list[float]) -> None:
    with pytest.raises(CheckpointError, match="normaliser"):
        Normaliser.from_arrays({**NORMALISER.to_arrays(), "state_low_D": value})


def test_unknown_and_missing_keys() -> None:
    with pytest.raises(CheckpointError, match="scale"):
        Normaliser.from_arrays({**NORMALISER.to_arrays(), "scale": [1]})
    with pytest.raises(CheckpointError, match="names"):
        Normaliser.from_arrays({})
