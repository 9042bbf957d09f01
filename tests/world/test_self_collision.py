"""Robots that would run into themselves: found by the vendors' shapes, refused by the gate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from robot_chunks import chunk_of

from a1_core.errors import SpecError
from a1_core.limits import SafetyGate
from a1_core.spec import RobotSpec, load_spec
from a1_core.verdict import VerdictCode
from a1_world.robot_model import compile_robot, load_robot
from a1_world.self_collision import MARGIN_M, SelfCollision

ROBOTS = Path(__file__).parents[2] / "config/robots"
SPECS = {path.stem: load_spec(path) for path in ROBOTS.glob("*.yaml")}
MODELLED = sorted(name for name, spec in SPECS.items() if spec.model is not None)

# The hand reaches down beside the base, and with a turn of the second joint into it.
FRANKA_Q = np.array([1.43, 1.39, 0.1, -2.72, 0.64, 1.49, 0.26])
# Both hands come together before the chest.
OPENARM_Q = np.array(
    [0.32, -0.35, 0.44, 1.74, -0.09, 0.58, 1.26, 0.54, -0.06, -1.27, 1.12, 0.97, -0.24, 0.16]
)
# Body (or site) of the model that is the tip, the tip in it (m), and how far apart they may be.
TIPS = {
    "franka": (["hand"], (0.0, 0.0, 0.1034), 1e-4),
    "franka_libfranka": (["hand"], (0.0, 0.0, 0.1034), 1e-4),
    "openarm_v2": (["openarm_left_ee_base_link", "openarm_right_ee_base_link"], (0, 0, 0), 1e-4),
    "ur5e": (["attachment_site"], (0.0, 0.0, 0.0), 0.010),
    "aloha": (["vx300s_left/gripper_link", "vx300s_right/gripper_link"], (0.1072, 0, 0), 1e-4),
    "wxai": (["ee_site"], (0.0, 0.0, 0.0), 1e-4),
}


@pytest.fixture(scope="module")
def checks() -> dict[str, SelfCollision]:
    return {name: SelfCollision(SPECS[name]) for name in MODELLED}


def wide(spec: RobotSpec) -> RobotSpec:
    """The robot without its workspace, which would keep the tip from where it can hit itself."""
    boxes = {
        name: replace(box, lower=np.full(3, -2.0), upper=np.full(3, 2.0))
        for name, box in spec.operating_limits.workspaces.items()
    }
    return replace(spec, operating_limits=replace(spec.operating_limits, workspaces=boxes))


def way(spec: RobotSpec, goal_J: np.ndarray) -> np.ndarray:
    """Rows from home to the goal and the grippers open, no step near its limit."""
    steps = np.abs(goal_J - spec.home) / (0.4 * spec.operating_limits.step)
    arm = np.linspace(spec.home, goal_J, int(np.ceil(steps.max())) + 1)
    return np.hstack([arm, np.ones((len(arm), len(spec.grippers)))])


@pytest.mark.parametrize(
    ("name", "goal_J", "left", "right"),
    [
        ("franka", FRANKA_Q, "fr3_link0", "hand"),
        ("openarm_v2", OPENARM_Q, "openarm_left_ee_inner_finger", "openarm_right_ee_inner_finger"),
    ],
)
def test_a_chunk_that_leads_into_the_robot_is_refused_naming_both_bodies(
    checks, name, goal_J, left, right
):
    spec = wide(SPECS[name])
    gate = SafetyGate(spec, spec.kinematics, checks[name])
    rows_HD = way(spec, goal_J)
    verdict = gate.check(chunk_of(spec, rows_HD), rows_HD, commanded_D=rows_HD[0])
    assert verdict.code is VerdictCode.SELF_COLLISION
    assert left in verdict.detail
    assert right in verdict.detail
    first = int(verdict.detail.split(":")[0].removeprefix("row "))
    assert 2 <= first < len(rows_HD)
    # Nothing else is wrong with it: it is taken up to there, and whole by a gate that cannot see.
    short_HD = rows_HD[:first]
    assert gate.check(chunk_of(spec, short_HD), short_HD, commanded_D=rows_HD[0]).accepted
    blind = SafetyGate(spec, spec.kinematics)
    assert blind.check(chunk_of(spec, rows_HD), rows_HD, commanded_D=rows_HD[0]).accepted


def test_from_a_touch_the_way_out_is_open_and_deeper_is_not(checks):
    spec, check = SPECS["franka"], checks["franka"]
    rows_NJ = way(spec, FRANKA_Q)[:, :7]
    inside = check(rows_NJ).row
    out_NJ = rows_NJ[inside::-1]
    assert check(out_NJ) is not None
    assert check(out_NJ, rows_NJ[inside]) is None
    assert check(rows_NJ[inside + 1 :], rows_NJ[inside]) is not None


def test_between_two_rows_far_apart_a_touch_is_found(checks):
    """Both ends are free; the way between leads one hand through the other."""
    spec, check = SPECS["openarm_v2"], checks["openarm_v2"]
    rows_NJ = way(spec, OPENARM_Q)[:, :14]
    through_J = rows_NJ[check(rows_NJ).row + 2]
    rng = np.random.default_rng(0)
    found = 0
    for left_J in rng.uniform(-0.6, 0.6, (300, 7)):
        aside_J = np.append(left_J, np.zeros(7))
        ends = np.array([through_J - aside_J, through_J + aside_J])
        if check(ends[:1]) is None and check(ends[1:]) is None:
            assert check(ends) is not None
            found += 1
    assert found > 3


@pytest.mark.parametrize("name", MODELLED)
def test_home_is_free_and_so_is_a_small_motion_of_every_joint(checks, name):
    spec = SPECS[name]
    limits = spec.operating_limits
    middle_J = (limits.position_lower + limits.position_upper) / 2.0
    away_J = spec.home + np.clip(middle_J - spec.home, -0.15, 0.15)
    assert checks[name](np.array([spec.home, away_J, spec.home])) is None


@pytest.mark.parametrize("name", MODELLED)
def test_what_is_found_is_as_close_as_the_margin_says(checks, name):
    limits = SPECS[name].operating_limits
    rng = np.random.default_rng(3)
    poses = rng.uniform(limits.position_lower, limits.position_upper, (200, limits.joints))
    found = [touch for touch in (checks[name](q[None]) for q in poses) if touch is not None]
    assert len(found) < 150
    assert all(touch.gap_m < MARGIN_M + 1e-9 for touch in found)
    assert all(touch.bodies[0] != touch.bodies[1] for touch in found)


@pytest.mark.parametrize("name", MODELLED)
def test_the_model_moves_as_the_kinematics_of_the_spec(name):
    """Joints in the right order and direction: tips in their arms' base frames agree."""
    import mujoco

    spec = SPECS[name]
    bodies, offset, apart_m = TIPS[name]
    model = compile_robot(load_robot(spec))
    data = mujoco.MjData(model)
    places = [model.joint(joint).qposadr[0] for joint in spec.model.joints]
    limits = spec.operating_limits
    seen, told = [], []
    for q_J in np.random.default_rng(0).uniform(
        limits.position_lower, limits.position_upper, (10, limits.joints)
    ):
        data.qpos[places] = q_J
        mujoco.mj_kinematics(model, data)
        told.append(spec.kinematics(q_J))
        things = [data.site(b) if b.endswith("site") else data.body(b) for b in bodies]
        seen.append([t.xpos + t.xmat.reshape(3, 3) @ np.array(offset, dtype=float) for t in things])
    for arm in range(len(bodies)):
        # Where the arm's base stands in the model is not the spec's to say: a rigid motion is free.
        a, b = np.array(seen)[:, arm], np.array(told)[:, arm]
        turn, _, _ = _fit(b - b.mean(axis=0), a - a.mean(axis=0))
        moved = (b - b.mean(axis=0)) @ turn.T + a.mean(axis=0)
        assert np.linalg.norm(moved - a, axis=1).max() < apart_m


def _fit(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The proper rotation that turns source into target best (Kabsch)."""
    u, s, vt = np.linalg.svd(target.T @ source)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return u @ sign @ vt, s, vt


def test_a_model_that_is_not_there_is_named(checks):
    spec = SPECS["franka"]
    told = spec.model
    for change, said in (
        ({"package": "a1-no-such-package"}, r"package a1-no-such-package is not installed"),
        ({"file": "assets/fr4.xml"}, r"0 files of franky-sim end in 'assets/fr4.xml'"),
        ({"joints": (*told.joints[:6], "fr3_joint8")}, r"has no joints fr3_joint8"),
        ({"left_out": ("chair",)}, r"has no body or geom 'chair'"),
    ):
        with pytest.raises(SpecError, match=said):
            SelfCollision(replace(spec, model=replace(told, **change)))
    with pytest.raises(SpecError, match=r"openarm\.yaml: names no model"):
        SelfCollision(SPECS["openarm"])
