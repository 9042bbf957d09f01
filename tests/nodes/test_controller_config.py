"""The files that ship with the controller say what the code and the robot's spec say."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from a1_controllers.kinematics import load_kinematics
from a1_controllers.parameters import SPECS
from a1_core.errors import A1Error
from a1_core.spec import load_spec

CONFIG = Path(__file__).parents[2] / "config"


def test_controller_yaml_names_every_parameter_with_its_default():
    content = yaml.safe_load((CONFIG / "controller.yaml").read_text())
    assert content["/**/controller"]["ros__parameters"] == {
        spec.name: spec.default for spec in SPECS
    }


def test_jtc_yaml_holds_what_the_spec_requires():
    spec = load_spec(CONFIG / "robots/franka.yaml")
    content = yaml.safe_load((CONFIG / "controllers/franka_jtc.yaml").read_text())
    shipped = content[spec.command.controller.lstrip("/")]["ros__parameters"]
    required = dict(spec.command.required_parameters)
    assert required
    assert {name: shipped[name] for name in required} == required


def test_kinematics_come_from_the_spec_or_by_name():
    spec = load_spec(CONFIG / "robots/franka.yaml")
    own = load_kinematics("", spec, hardware=True)
    named = load_kinematics("a1_world.kinematics:forward_kinematics", spec, hardware=True)
    limits = spec.operating_limits
    for q_J in np.random.default_rng(0).uniform(
        limits.position_lower, limits.position_upper, (20, 7)
    ):
        np.testing.assert_allclose(own(q_J)[0], named(q_J), atol=1e-9)
    with pytest.raises(A1Error, match="nowhere"):
        load_kinematics("nowhere:f", spec, hardware=False)


def test_without_kinematics_there_is_no_hardware():
    spec = load_spec(CONFIG / "robots/agibot_a2.yaml")
    assert load_kinematics("", spec, hardware=False) is None
    with pytest.raises(A1Error, match=r"agibot_a2\.yaml: kinematics are GAP"):
        load_kinematics("", spec, hardware=True)
