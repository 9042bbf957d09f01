"""A network as data: there and back, and what cannot be."""

import dataclasses
import json

import pytest

from a1_model.config import molmo_7b


def test_the_config_survives_json(network):
    config = network.config
    again = type(config).from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    seven_b = molmo_7b(dim=7, horizon=8, cameras=("front",))
    assert type(config).from_json(json.loads(json.dumps(seven_b.to_json()))) == seven_b
    wrong = seven_b.to_json()
    wrong["vision"]["connector"]["colour"] = "red"
    with pytest.raises(ValueError, match=r"vision.connector: .*\['colour'\]"):
        type(config).from_json(wrong)
    with pytest.raises(ValueError, match="does not divide"):
        dataclasses.replace(config, mlp_queries=5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_steps": 0}, "num_steps: 0; give at least 1"),
        ({"mlp_queries": 0}, "mlp_queries: 0; give at least 1"),
        ({"renoise_tau": 1.0}, "renoise_tau: 1.0; give 0 or more, and less than 1"),
        ({"metric": "euclid"}, "metric is 'euclid'"),
    ],
)
def test_what_cannot_run_is_refused_when_it_is_made(network, changes, told):
    with pytest.raises(ValueError, match=told):
        dataclasses.replace(network.config, **changes)
