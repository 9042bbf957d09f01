"""The state of robots with several arms, with the same names twice, and with no names at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a1_core.assembler import Assembler
from a1_core.errors import ObservationRefused, SpecError
from a1_core.spec import load_spec

ROBOTS = Path(__file__).parents[2] / "config" / "robots"
MS = 1_000_000


def test_two_arms_whose_messages_carry_the_same_names() -> None:
    spec = load_spec(ROBOTS / "aloha.yaml")
    assembler = Assembler(spec)
    names = ["gripper", "wrist_rotate", "waist", "shoulder", "elbow", "forearm_roll", "wrist_angle"]
    fingers = ["left_finger", "right_finger"]
    for index, offset in enumerate((0.0, 10.0)):
        grip = 0.6197 if index else 1.6214
        positions = [grip, *(offset + np.array([5, 0, 1, 2, 3, 4])), 0.05, -0.05]
        assert assembler.push_state(MS, [*names, *fingers], positions, [index])
    state_D = assembler.state_at(MS)
    np.testing.assert_allclose(state_D, [*range(6), *range(10, 16), 1.0, 0.0])
    assert spec.action_names[-2:] == ("left_gripper", "right_gripper")


def test_arm_and_gripper_in_one_topic_together_or_apart() -> None:
    spec = load_spec(ROBOTS / "ur5e.yaml")
    knuckle = spec.gripper.joint
    assert [source.topic for source in spec.state_sources] == ["/joint_states"] * 2
    together, apart = Assembler(spec), Assembler(spec)
    q = np.linspace(-1.0, 1.0, 6)
    assert together.push_state(MS, [knuckle, *spec.joint_names], [0.4, *q], [0, 1])
    assert apart.push_state(MS, spec.joint_names, q, [0, 1])
    with pytest.raises(ObservationRefused, match="JOINT_MISSING"):
        apart.state_at(MS)
    assert apart.push_state(MS, [knuckle], [0.4], [0, 1])
    for assembler in (together, apart):
        np.testing.assert_allclose(assembler.state_at(MS), [*q, 0.5])


def test_positions_are_read_by_place_where_names_mean_nothing() -> None:
    spec = load_spec(ROBOTS / "agibot.yaml")
    known = tuple(replace(gripper, closed=120.0, open=0.0) for gripper in spec.grippers)
    assembler = Assembler(replace(spec, grippers=known))
    q = np.arange(20.0)
    assert assembler.push_state(MS, ["joint1", "joint2"], q, [0])
    assert assembler.push_state(MS, ["left_gripper_joint1"], [0.0], [1])
    assert assembler.push_state(MS, ["right_gripper_joint1"], [90.0], [2])
    np.testing.assert_allclose(assembler.state_at(MS), [*range(14), 1.0, 0.25])
    with pytest.raises(ObservationRefused, match="right_arm_joint7"):
        assembler.push_state(2 * MS, [], np.arange(13.0), [0])


def test_names_on_the_wire_are_not_those_of_the_columns() -> None:
    spec = load_spec(ROBOTS / "agibot_a2.yaml")
    source = spec.state_sources[0]
    places = source.places(source.wire_names[::-1], 14)
    assert places["right_arm_joint7"] == 0
    assert places["left_arm_joint1"] == 13
    assert source.places(spec.joint_names, 14) == {}
    assert source.places(source.wire_names, 3) == {f"left_arm_joint{i + 1}": i for i in range(3)}


def test_a_robot_of_several_has_no_one_gripper() -> None:
    spec = load_spec(ROBOTS / "openarm.yaml")
    for ask in ("gripper", "command", "tip_frame"):
        with pytest.raises(SpecError, match="has 2, and what was asked for serves robots with one"):
            getattr(spec, ask)
    with pytest.raises(SpecError, match="has 2"):
        _ = spec.operating_limits.workspace
