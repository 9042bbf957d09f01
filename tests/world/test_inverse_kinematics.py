"""End-effector rows: poses asked for are poses reached, within the limits, or refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from robot_chunks import chunk_of
from scipy.spatial.transform import Rotation

from a1_core.chunk import ActionChunk, ActionSpace, DeltaBase, RotationKind
from a1_core.errors import SpecError
from a1_core.limits import SafetyGate
from a1_core.spec import RobotSpec, load_spec
from a1_core.verdict import Verdict, VerdictCode
from a1_world.inverse_kinematics import InverseKinematics
from a1_world.kinematics import ArmKinematics

ROBOTS = Path(__file__).parents[2] / "config/robots"
NAMES = ["franka", "openarm", "openarm_v2", "ur5e", "aloha", "wxai", "agibot", "dobot", "arx5"]
H = 12
WRITTEN = {
    RotationKind.QUATERNION_XYZW: lambda turns: turns.as_quat(),
    RotationKind.ROTVEC: lambda turns: turns.as_rotvec(),
    RotationKind.RPY: lambda turns: turns.as_euler("xyz"),
    RotationKind.ROT6D: lambda turns: turns.as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(-1, 6),
}


@pytest.fixture(scope="module")
def franka() -> RobotSpec:
    return load_spec(ROBOTS / "franka.yaml")


@pytest.fixture(scope="module")
def solver(franka: RobotSpec) -> InverseKinematics:
    return InverseKinematics(franka)


@pytest.fixture(scope="module")
def arm() -> ArmKinematics:
    """The simulator's model, which knows nothing of the chains in the specs."""
    return ArmKinematics()


def poses_of(arm: ArmKinematics, q_NJ: np.ndarray) -> tuple[np.ndarray, Rotation]:
    places, turns = zip(*(arm.tip_pose(q_J) for q_J in q_NJ), strict=True)
    return np.array(places), Rotation.from_matrix(np.array(turns))


def pose_chunk(
    spec: RobotSpec,
    space: ActionSpace,
    kind: RotationKind,
    places: list[np.ndarray],
    turns: list[Rotation],
    **changes: object,
) -> ActionChunk:
    """Rows of the arms' positions and rotations, grippers half open."""
    parts = [np.hstack([p, WRITTEN[kind](r)]) for p, r in zip(places, turns, strict=True)]
    openings = np.full((len(parts[0]), len(spec.grippers)), 0.5)
    base, tip = spec.pose_frames
    given = {
        "action_space": space,
        "rotation": kind,
        "base_frame": base,
        "tip_frame": tip,
        "names": spec.pose_names(kind),
        "actions_HD": np.hstack([*parts, openings]).astype(np.float32),
    }
    return replace(chunk_of(spec, np.zeros((2, spec.dim))), **(given | changes))


def state_of(spec: RobotSpec) -> np.ndarray:
    return np.append(spec.home, np.ones(len(spec.grippers)))


def way_of(spec: RobotSpec) -> np.ndarray:
    """Joints [H, J] on a bent way away from home."""
    ahead = np.linspace(0.0, 1.0, H)[:, None] * np.linspace(0.3, -0.25, len(spec.home))
    return spec.home + ahead + 0.05 * np.sin(4.0 * ahead)


@pytest.mark.parametrize("kind", list(RotationKind))
def test_the_joints_reach_the_poses_whatever_their_rotations_are_written_in(
    franka, solver, arm, kind
):
    places, turns = poses_of(arm, way_of(franka))
    chunk = pose_chunk(franka, ActionSpace.EE_POSE, kind, [places], [turns])
    rows_HD = solver(chunk, state_of(franka))
    assert rows_HD.shape == (H, 8)
    reached, turned = poses_of(arm, rows_HD[:, :7])
    np.testing.assert_allclose(reached, places, atol=2e-6)
    assert (turned * turns.inv()).magnitude().max() < 2e-5
    limits = franka.operating_limits
    assert (rows_HD[:, :7] >= limits.position_lower).all()
    assert (rows_HD[:, :7] <= limits.position_upper).all()
    np.testing.assert_array_equal(rows_HD[:, 7], 0.5)
    assert SafetyGate(franka, franka.kinematics, pose_solver=solver).check(chunk, rows_HD).accepted


def test_offsets_from_the_observed_pose_are_along_and_about_the_base_frames_axes(
    franka, solver, arm
):
    places = np.linspace([0.0, 0.0, 0.0], [0.02, -0.05, 0.06], H)
    turns = Rotation.from_rotvec(np.linspace([0.0, 0.0, 0.0], [0.1, 0.0, 0.3], H))
    kind = RotationKind.ROTVEC
    chunk = pose_chunk(franka, ActionSpace.EE_DELTA, kind, [places], [turns])
    reached, turned = poses_of(arm, solver(chunk, state_of(franka))[:, :7])
    (began,), here = poses_of(arm, franka.home[None])
    np.testing.assert_allclose(reached, began + places, atol=2e-6)
    assert (turned * (turns * here).inv()).magnitude().max() < 2e-5


def test_offsets_from_the_row_before_are_composed_one_after_the_other(franka, solver, arm):
    """Turns about two axes do not commute: a sum of their vectors would end elsewhere."""
    places = np.full((H, 3), [0.0, 0.004, -0.003])
    vectors = np.zeros((H, 3))
    vectors[: H // 2, 0], vectors[H // 2 :, 1] = 0.08, 0.07
    kind = RotationKind.QUATERNION_XYZW
    turns = Rotation.from_rotvec(vectors)
    chunk = pose_chunk(
        franka,
        ActionSpace.EE_DELTA,
        kind,
        [places],
        [turns],
        delta_base=DeltaBase.PREVIOUS_ROW,
    )
    reached, turned = poses_of(arm, solver(chunk, state_of(franka))[:, :7])
    (began,), here = poses_of(arm, franka.home[None])
    np.testing.assert_allclose(reached, began + np.cumsum(places, axis=0), atol=2e-6)
    wanted = Rotation.from_rotvec([0.0, 0.42, 0.0]) * Rotation.from_rotvec([0.48, 0.0, 0.0])
    assert (turned[-1] * (wanted * here[0]).inv()).magnitude() < 2e-5
    summed = Rotation.from_rotvec([0.48, 0.42, 0.0])
    assert (wanted * summed.inv()).magnitude() > 0.05


def test_a_quaternion_and_its_negative_are_the_same_turn(franka, solver, arm):
    places, turns = poses_of(arm, way_of(franka))
    chunk = pose_chunk(franka, ActionSpace.EE_POSE, RotationKind.QUATERNION_XYZW, [places], [turns])
    other_HD = chunk.actions_HD.copy()
    other_HD[1::2, 3:7] *= -1.0
    rows_HD = solver(chunk, state_of(franka))
    same_HD = solver(replace(chunk, actions_HD=other_HD), state_of(franka))
    np.testing.assert_allclose(rows_HD, same_HD, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_robot_with_kinematics_can_be_moved_by_its_tips(name):
    spec = load_spec(ROBOTS / f"{name}.yaml")
    solver = InverseKinematics(spec)
    q_NJ = way_of(spec)
    limits = spec.operating_limits
    q_NJ = np.clip(q_NJ, limits.position_lower + 0.02, limits.position_upper - 0.02)
    tips_NA3 = spec.kinematics(q_NJ)
    began_A3 = spec.kinematics(np.clip(spec.home, q_NJ.min(axis=0), q_NJ.max(axis=0)))
    # A tenth of the way, so that turning nothing is possible too.
    offsets = [0.1 * (tips_NA3[:, k] - began_A3[k]) for k in range(len(spec.arms))]
    still = [Rotation.identity(H)] * len(spec.arms)
    chunk = pose_chunk(spec, ActionSpace.EE_DELTA, RotationKind.ROT6D, offsets, still)
    rows_HD = solver(chunk, state_of(spec))
    assert not isinstance(rows_HD, Verdict), rows_HD
    reached = spec.kinematics(rows_HD[:, : len(spec.home)])
    home_A3 = spec.kinematics(spec.home)
    for k, offset in enumerate(offsets):
        np.testing.assert_allclose(reached[:, k], home_A3[k] + offset, atol=5e-5)


def test_one_arm_of_two_is_moved_and_the_other_stays():
    spec = load_spec(ROBOTS / "openarm_v2.yaml")
    offsets = [np.linspace([0.0, 0.0, 0.0], [0.03, 0.02, 0.04], H), np.zeros((H, 3))]
    still = [Rotation.identity(H)] * 2
    chunk = pose_chunk(spec, ActionSpace.EE_DELTA, RotationKind.RPY, offsets, still)
    assert chunk.names[:6] == ("left_x", "left_y", "left_z", "left_roll", "left_pitch", "left_yaw")
    assert chunk.names[-2:] == ("left_gripper", "right_gripper")
    rows_HD = InverseKinematics(spec)(chunk, state_of(spec))
    assert np.abs(rows_HD[:, 7:14] - spec.home[7:]).max() < 1e-3
    assert np.abs(rows_HD[-1, :7] - spec.home[:7]).max() > 0.02


@pytest.mark.parametrize(
    ("offset", "turn"),
    [((0.9, 0.0, 0.0), (0.0, 0.0, 0.0)), ((0.0, 0.0, 0.0), (0.0, 0.0, 3.0))],
    ids=["too far", "past a joint's end"],
)
def test_what_cannot_be_reached_is_refused_by_row_and_distance(offset, turn):
    """The UR5e has no joint to spare: past the end of the last one nothing else turns the tool."""
    spec = load_spec(ROBOTS / "ur5e.yaml")
    solver = InverseKinematics(spec)
    share = np.linspace(0.0, 1.0, H)[:, None]
    state_D = state_of(spec)
    state_D[5] = 1.5
    axis = np.array(turn) @ np.diag([1.0, 1.0, -1.0])
    places, turns = share * offset, Rotation.from_rotvec(share * axis)
    chunk = pose_chunk(spec, ActionSpace.EE_DELTA, RotationKind.ROTVEC, [places], [turns])
    verdict = solver(chunk, state_D)
    assert isinstance(verdict, Verdict)
    assert verdict.code is VerdictCode.LIMIT
    assert "no joints within the operating limits" in verdict.detail
    assert 1 <= int(verdict.detail.split(":")[0].removeprefix("row ")) < H


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        (RotationKind.QUATERNION_XYZW, [0.0, 0.0, 0.0, 0.0], "from a unit quaternion"),
        (RotationKind.QUATERNION_XYZW, [1.0, 1.0, 0.0, 0.0], "from a unit quaternion"),
        (RotationKind.ROT6D, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0], "from two unit columns"),
        (RotationKind.ROT6D, [0.0] * 6, "from two unit columns"),
    ],
)
def test_numbers_that_are_no_rotation_are_refused_by_row(franka, solver, arm, kind, numbers, said):
    places, turns = poses_of(arm, way_of(franka))
    chunk = pose_chunk(franka, ActionSpace.EE_POSE, kind, [places], [turns])
    chunk.actions_HD[3, 3 : 3 + len(numbers)] = numbers
    verdict = solver(chunk, state_of(franka))
    assert isinstance(verdict, Verdict)
    assert verdict.code is VerdictCode.WRONG_SHAPE
    assert verdict.detail.startswith("row 3: ")
    assert said in verdict.detail


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"tip_frame": "fr3_link8"}, VerdictCode.WRONG_SPACE, "name 'fr3_hand_tcp' in 'fr3_link0'"),
        ({"base_frame": "world"}, VerdictCode.WRONG_SPACE, "name 'fr3_hand_tcp' in 'fr3_link0'"),
        ({"rotation": RotationKind.RPY}, VerdictCode.WRONG_SHAPE, "'roll', 'pitch', 'yaw'"),
    ],
)
def test_poses_of_other_frames_and_forms_are_refused(franka, solver, arm, change, code, said):
    places, turns = poses_of(arm, way_of(franka))
    chunk = pose_chunk(franka, ActionSpace.EE_POSE, RotationKind.ROTVEC, [places], [turns])
    verdict = SafetyGate(franka, None, pose_solver=solver).check_header(replace(chunk, **change))
    assert verdict.code is code
    assert said in verdict.detail


def test_without_kinematics_there_is_no_solver_and_the_gate_says_so(franka, arm):
    unknown = replace(franka, arms=(replace(franka.arms[0], chain=None),))
    with pytest.raises(SpecError, match=r"franka\.yaml: kinematics are GAP"):
        InverseKinematics(unknown)
    places, turns = poses_of(arm, way_of(franka))
    chunk = pose_chunk(franka, ActionSpace.EE_POSE, RotationKind.ROTVEC, [places], [turns])
    verdict = SafetyGate(unknown, None).check_header(chunk)
    assert verdict.code is VerdictCode.WRONG_SPACE
    assert "no inverse kinematics" in verdict.detail
