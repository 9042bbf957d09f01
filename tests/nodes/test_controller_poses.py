"""The controller's core with end-effector chunks: executed, blended, or refused."""

import numpy as np
import pytest
from controller_bench import HOME_D, SPEC, TICK_NS, Bench
from scipy.spatial.transform import Rotation

from a1_controllers.mode import Mode
from a1_core.chunk import ActionSpace, RotationKind
from a1_core.limits import SafetyGate
from a1_core.verdict import VerdictCode
from a1_world.inverse_kinematics import InverseKinematics
from a1_world.kinematics import ArmKinematics

# So short that the plan comes to its last row before max_open_loop_s is over.
H = 11


@pytest.fixture(scope="module")
def gate() -> SafetyGate:
    return SafetyGate(SPEC, SPEC.kinematics, pose_solver=InverseKinematics(SPEC))


@pytest.fixture(scope="module")
def arm() -> ArmKinematics:
    return ArmKinematics()


def to(place_m, vector_rad):
    """Changes that make a chunk go to a tip offset from home (m, rad about the base's axes)."""
    arm = ArmKinematics()
    place, turn = arm.tip_pose(HOME_D[:7])
    share = np.linspace(0.0, 1.0, H)[:, None]
    turns = Rotation.from_rotvec(share * vector_rad) * Rotation.from_matrix(turn)
    rows = np.hstack([place + share * place_m, turns.as_quat(), np.ones((H, 1))])
    kind = RotationKind.QUATERNION_XYZW
    base, tip = SPEC.pose_frames
    return {
        "action_space": ActionSpace.EE_POSE,
        "rotation": kind,
        "base_frame": base,
        "tip_frame": tip,
        "names": SPEC.pose_names(kind),
        "actions_HD": rows.astype(np.float32),
    }


def assert_at(bench, arm, place_m, vector_rad):
    place, turn = arm.tip_pose(HOME_D[:7])
    reached, turned = arm.tip_pose(bench.arm_D[:7])
    np.testing.assert_allclose(reached, place + place_m, atol=1e-5)
    wanted = Rotation.from_rotvec(vector_rad) * Rotation.from_matrix(turn)
    assert (Rotation.from_matrix(turned) * wanted.inv()).magnitude() < 1e-4


def test_a_chunk_of_poses_ends_at_its_last_pose(gate, arm):
    place_m, vector_rad = np.array([0.03, 0.08, -0.05]), np.array([0.0, 0.2, 0.4])
    bench = Bench(gate).armed()
    assert bench.judge(**to(place_m, vector_rad)) is VerdictCode.ACCEPTED, bench.verdict
    bench.step(150)
    assert bench.mode is Mode.HOLD
    assert_at(bench, arm, place_m, vector_rad)


def test_from_one_chunk_of_poses_to_another_the_motion_keeps_the_limits(gate, arm):
    first = (np.array([0.02, 0.06, 0.03]), np.array([0.3, 0.0, 0.0]))
    second = (np.array([0.02, -0.03, -0.04]), np.array([0.0, 0.3, -0.2]))
    bench = Bench(gate).armed()
    assert bench.judge(**to(*first)) is VerdictCode.ACCEPTED, bench.verdict
    points = []
    for tick in range(220):
        bench.step()
        points.append(bench.controller.setpoint)
        if tick == 20:
            assert bench.judge(seq=2, **to(*second)) is VerdictCode.ACCEPTED, bench.verdict
    dt_s = TICK_NS / 1e9
    limits = SPEC.operating_limits
    qdd = np.array([point.qdd_D[:7] for point in points])
    assert (np.abs([point.qd_D[:7] for point in points]) <= 1.001 * limits.velocity).all()
    assert (np.abs(qdd) <= 1.001 * limits.acceleration).all()
    assert (np.abs(np.diff(qdd, axis=0)) / dt_s <= 1.001 * limits.jerk).all()
    assert_at(bench, arm, *second)


def test_a_pose_out_of_reach_gets_one_clear_verdict_and_nothing_moves(gate):
    bench = Bench(gate).armed()
    assert bench.judge(**to(np.array([1.2, 0.0, 0.0]), np.zeros(3))) is VerdictCode.LIMIT
    assert "no joints within the operating limits" in bench.verdict.detail
    bench.outputs.clear()
    bench.step(10)
    assert bench.mode is Mode.HOLD
    assert all(output.window is None for output in bench.outputs)
    np.testing.assert_array_equal(bench.arm_D, HOME_D)
    assert bench.controller.counters.refused_for == {VerdictCode.LIMIT: 1}
