import copy
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.optimize import least_squares

from a1_core.chunk import ActionSpace, DeltaBase, RotationKind
from a1_core.errors import SpecError
from a1_core.spec import RobotSpec, load_spec


@pytest.fixture
def content(franka_path: Path) -> dict:
    return copy.deepcopy(yaml.safe_load(franka_path.read_text()))


def _load(tmp_path: Path, content: object) -> RobotSpec:
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_spec(path)


def test_the_shipped_spec(spec: RobotSpec) -> None:
    assert spec.dim == 8
    assert spec.action_names == (*(f"fr3_joint{i}" for i in range(1, 8)), "gripper")
    assert spec.camera_names == ("front", "wrist")
    assert spec.policy.action_space is ActionSpace.JOINT_DELTA
    assert spec.policy.delta_base is DeltaBase.OBSERVED
    assert (spec.policy.horizon, spec.policy.period_ns) == (16, 100_000_000)
    assert spec.command.required_parameters == {
        "interpolate_from_desired_state": True,
        "allow_nonzero_velocity_at_trajectory_end": False,
    }
    np.testing.assert_allclose(
        spec.home, np.pi * np.array([0, -0.25, 0, -0.75, 0, 0.5, 0.25]), atol=1e-15
    )


def test_arrays_are_read_only(spec: RobotSpec) -> None:
    with pytest.raises(ValueError, match="read-only"):
        spec.operating_limits.velocity[0] = 100.0


def test_every_number_has_a_source(content: dict) -> None:
    def walk(value: object, where: str) -> None:
        if isinstance(value, dict):
            if "value" in value or "topic" in value or "lower" in value:
                assert value.get("source"), where
            for key, item in value.items():
                walk(item, f"{where}.{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, f"{where}[{index}]")

    walk(content, "franka.yaml")


def test_gripper_units(spec: RobotSpec) -> None:
    gripper = spec.gripper
    assert [gripper.to_unit(x) for x in (-0.01, 0.0, 0.01, 0.04, 0.05)] == [0, 0, 0.25, 1, 1]
    assert gripper.from_unit(0.25) == pytest.approx(0.01)
    assert gripper.command.from_unit(2.0) == pytest.approx(0.04)
    assert np.isnan(gripper.to_unit(float("nan")))


def test_digest_is_of_the_facts_alone(tmp_path: Path, spec: RobotSpec, content: dict) -> None:
    content["home"]["source"] = "said otherwise"
    assert _load(tmp_path, content).digest == spec.digest
    content["policy"]["horizon"] = 17
    assert _load(tmp_path, content).digest != spec.digest


def _set(content: dict, path: str, value: object) -> None:
    *parents, last = path.split(".")
    for key in parents:
        content = content[int(key)] if key.isdigit() else content[key]  # type: ignore[index]
    content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", "white", "key 'colour' is unknown; allowed: arms, base_frame"),
        ("cameras.1.focus", 1, r"cameras\[1\]: key 'focus' is unknown"),
        ("cameras.1.name", "front", "names .* repeat"),
        ("cameras.0.qos", "fast", "write one of reliable"),
        ("cameras.0.rate_hz", 0, "above 0"),
        ("cameras.0.rate_hz", True, "finite number"),
        ("cameras.0.width", 1.5, "whole number"),
        ("policy.period_s", "0.1", "finite number"),
        ("policy.action_space", "joints", "write one of joint_position"),
        ("policy.action_space", "ee_pose", "key 'rotation' is missing"),
        ("policy.rotation", "rotvec", "key 'rotation' is unknown"),
        ("operating_limits.velocity.value", "GAP", "write 7 numbers"),
        ("operating_limits.velocity.value", [3.0] * 7, "stay inside the vendor's"),
        ("operating_limits.velocity.value", [0.0] * 7, "positive"),
        ("operating_limits.velocity.value", [float("nan")] * 7, "finite"),
        ("operating_limits.position_upper.value", [-2.5] * 7, "below position_upper"),
        ("operating_limits.workspace.lower", [0.9, 0.0, 0.0], "below `upper`"),
        ("home.value", [0.0] * 7, "fr3_joint4 is outside"),
        ("state_sources.1.joints", ["finger"], "missing, repeated or unknown"),
        ("gripper.open", 0.0, "differs from `closed`"),
        ("joint_names", ["a", "a"], "different names"),
        ("command.required_parameters", [], "mapping"),
        ("command.error_state", "none", "list of mappings"),
    ],
)
def test_what_cannot_be_is_named(
    tmp_path: Path, content: dict, path: str, value: object, message: str
) -> None:
    _set(content, path, value)
    with pytest.raises(SpecError, match=message) as caught:
        _load(tmp_path, content)
    assert "robot.yaml" in str(caught.value)


@pytest.mark.parametrize("key", ["robot", "operating_limits", "home", "policy"])
def test_missing_key_is_named(tmp_path: Path, content: dict, key: str) -> None:
    del content[key]
    with pytest.raises(SpecError, match=f"key '{key}' is missing"):
        _load(tmp_path, content)


def test_a_gap_is_allowed_at_the_vendor_only(tmp_path: Path, content: dict) -> None:
    content["vendor_limits"]["jerk"]["value"] = "GAP"
    assert _load(tmp_path, content).vendor_limits.jerk is None


def test_a_key_written_twice(tmp_path: Path, franka_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(franka_path.read_text() + "\nrobot: other\n")
    with pytest.raises(SpecError, match="written twice"):
        load_spec(path)


def test_no_file_and_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        load_spec(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(SpecError, match="write a mapping"):
        load_spec(tmp_path / "list.yaml")


# Kinematics of the FR3 from its published Denavit-Hartenberg parameters (a, d, alpha).
DH = [
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.316, np.pi / 2),
    (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0.0, 0.0, np.pi / 2),
    (0.088, 0.0, np.pi / 2),
]


def _hand(q: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    for (a, d, alpha), theta in zip(DH, q, strict=True):
        ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
        pose = pose @ np.array(
            [
                [ct, -st, 0, a],
                [st * ca, ct * ca, -sa, -d * sa],
                [st * sa, ct * sa, ca, d * ca],
                [0, 0, 0, 1],
            ]
        )
    turn = np.eye(4)
    c = np.sqrt(0.5)
    turn[:2, :2] = [[c, c], [-c, c]]
    turn[2, 3] = 0.107 + 0.1034
    return pose @ turn


@pytest.mark.parametrize("x", [0.35, 0.65])
@pytest.mark.parametrize("y", [-0.25, 0.25])
@pytest.mark.parametrize("z", [0.0, 0.5])
def test_operating_box_holds_the_table_top(spec: RobotSpec, x: float, y: float, z: float) -> None:
    limits = spec.operating_limits
    down = np.diag([1.0, -1.0, -1.0])

    def away(q: np.ndarray) -> np.ndarray:
        pose = _hand(q)
        return np.r_[pose[:3, 3] - [x, y, z], (pose[:3, :3] - down).ravel() / 10, 1e-6 * q]

    found = least_squares(away, spec.home, bounds=(limits.position_lower, limits.position_upper))
    pose = _hand(found.x)
    np.testing.assert_allclose(pose[:3, 3], [x, y, z], atol=1e-3)
    np.testing.assert_allclose(pose[:3, :3], down, atol=1e-2)
    assert (limits.workspace.lower <= [x, y, z]).all()
    assert (limits.workspace.upper >= [x, y, z]).all()


def test_poses_have_columns_of_their_own_by_the_form_of_their_rotations(
    tmp_path: Path, spec: RobotSpec, content: dict
) -> None:
    assert spec.policy_names == spec.action_names
    content["policy"] |= {"action_space": "ee_delta", "rotation": "rot6d"}
    robot = _load(tmp_path, content)
    columns = ("x", "y", "z", "r11", "r21", "r31", "r12", "r22", "r32", "gripper")
    assert robot.policy_names == columns
    assert robot.pose_frames == ("fr3_link0", "fr3_hand_tcp")
    assert robot.action_names == spec.action_names
    two = load_spec(Path(__file__).parents[2] / "config/robots/aloha.yaml")
    names = two.pose_names(RotationKind.ROTVEC)
    assert names[5:7] == ("left_rz", "right_x")
    assert names[12:] == ("left_gripper", "right_gripper")
    assert two.pose_frames == ("world", "")
