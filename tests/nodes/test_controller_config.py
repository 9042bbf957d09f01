"""The files that ship with the controller say what the code and the robot's spec say."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from a1_controllers.adapters import refuse_unserved
from a1_controllers.settings import ControllerSettings
from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_ros.parameters import specs_of

CONFIG = Path(__file__).parents[2] / "config"


def test_controller_yaml_names_every_parameter_with_its_default():
    content = yaml.safe_load((CONFIG / "controller.yaml").read_text())
    assert content["/**/controller"]["ros__parameters"] == {
        spec.name: spec.default for spec in specs_of(ControllerSettings)
    }


def test_jtc_yaml_holds_what_the_spec_requires():
    spec = load_spec(CONFIG / "robots/franka.yaml")
    content = yaml.safe_load((CONFIG / "controllers/franka_jtc.yaml").read_text())
    shipped = content[spec.command.controller.lstrip("/")]["ros__parameters"]
    required = dict(spec.command.required_parameters)
    assert required
    assert {name: shipped[name] for name in required} == required


def test_without_kinematics_there_is_no_hardware():
    spec = load_spec(CONFIG / "robots/franka.yaml")
    refuse_unserved(spec, hardware=True)
    unknown = replace(spec, arms=(replace(spec.arms[0], chain=None),))
    refuse_unserved(unknown, hardware=False)
    with pytest.raises(A1Error, match=r"franka\.yaml: kinematics are GAP"):
        refuse_unserved(unknown, hardware=True)
