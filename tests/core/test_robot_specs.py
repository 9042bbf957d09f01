"""Every shipped robot spec: it loads, keeps to its vendor's limits, and says where it is from."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from a1_core.spec import RobotSpec, load_spec

CONFIG = Path(__file__).parents[2] / "config"
PATHS = sorted(CONFIG.glob("robots/*.yaml"))
SPECS = {path.stem: load_spec(path) for path in PATHS}
CONTENTS = {path.stem: yaml.safe_load(path.read_text()) for path in PATHS}

each = pytest.mark.parametrize("name", sorted(SPECS))


def leaves(value: object, where: tuple = ()):
    """Every scalar with the mappings and lists that lead to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*where, (value, key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*where, (value, index)))
    else:
        yield where, value


def test_the_robots_that_were_promised() -> None:
    found = {(spec.robot, spec.variant) for spec in SPECS.values()}
    assert found == {
        ("franka", "fr3-hand"),
        ("franka", "fr3-libfranka"),
        ("agibot", "g1"),
        ("agibot", "a2"),
        ("openarm", "v1-bimanual"),
        ("openarm", "v1-single"),
        ("openarm", "v2-bimanual"),
        ("ur5e", "robotiq-2f85"),
        ("dobot", "cr5"),
        ("aloha", "vx300s-followers"),
        ("wxai", "follower"),
        ("arx5", "x5"),
    }
    assert len(found) == len(SPECS)
    assert len({spec.digest for spec in SPECS.values()}) == len(SPECS)


@each
def test_a_file_is_named_after_its_robot(name: str) -> None:
    assert name == SPECS[name].robot or name.startswith(SPECS[name].robot + "_")


def test_the_shipped_thresholds_are_for_the_shipped_franka() -> None:
    bound = yaml.safe_load((CONFIG / "thresholds/franka_tiny.yaml").read_text())
    assert str(SPECS["franka"].digest) in str(bound)


@each
def test_operating_limits_lie_inside_the_vendors(name: str) -> None:
    vendor, operating = SPECS[name].vendor_limits, SPECS[name].operating_limits
    for field in ("position_upper", "velocity", "acceleration", "jerk"):
        known = getattr(vendor, field)
        assert known is None or (getattr(operating, field) <= known).all(), field
    assert (operating.position_lower >= vendor.position_lower).all()
    assert (operating.position_lower < operating.position_upper).all()


@each
def test_steps_are_twice_what_the_velocity_covers(name: str) -> None:
    limits, period_s = SPECS[name].operating_limits, SPECS[name].policy.period_s
    np.testing.assert_allclose(limits.step, 2.0 * limits.velocity * period_s)


@each
def test_home_lies_inside_and_away_from_the_ends(name: str) -> None:
    limits, home = SPECS[name].operating_limits, SPECS[name].home
    assert (home >= limits.position_lower).all()
    assert (home <= limits.position_upper).all()
    room = np.minimum(home - limits.position_lower, limits.position_upper - home)
    assert (room > 0.02).all(), SPECS[name].joint_names[int(room.argmin())]


@each
def test_every_number_has_a_source(name: str) -> None:
    for where, value in leaves(CONTENTS[name]):
        if isinstance(value, int | float) or value == "GAP":
            told = [part.get("source") for part, _ in where if isinstance(part, dict)]
            frame = where[-1][1] in ("base_frame", "tip_frame")
            assert frame or any(told), [key for _, key in where]


@each
def test_choices_of_this_project_say_so(name: str) -> None:
    sources = SPECS[name].operating_limits.sources
    vendors = ("vendor", "URDF", "as position_lower")
    for field, source in sources.items():
        assert (
            source.startswith(("this project's choice", *vendors)) or "by the vendor" in source
        ), field


@each
def test_a_gap_says_why(name: str) -> None:
    limits = SPECS[name].vendor_limits
    for field, source in limits.sources.items():
        if getattr(limits, field) is None:
            assert len(source) > 10, field


@each
def test_names_are_unique(name: str) -> None:
    spec = SPECS[name]
    for names in (spec.action_names, spec.urdf_names, spec.camera_names):
        assert len(set(names)) == len(names)
    assert spec.dim == len(spec.action_names) == len(spec.home) + len(spec.grippers)
    for command in spec.commands:
        assert len(set(command.wire_names)) == len(command.joints)


@each
def test_grippers_open_and_close_in_their_units(name: str) -> None:
    for gripper in SPECS[name].grippers:
        known = not gripper.gaps
        assert gripper.unit == gripper.command.unit
        assert gripper.unit or name == "franka"
        assert known == (gripper.unit != "GAP")
        if known:
            assert [gripper.to_unit(x) for x in (gripper.closed, gripper.open)] == [0.0, 1.0]
            ends = (gripper.command.closed, gripper.command.open)
            assert tuple(gripper.command.from_unit(x) for x in (0.0, 1.0)) == ends


def test_what_nobody_published_is_left_open() -> None:
    open_ = {
        name: {gap.split(".")[0] for gap in spec.gaps} for name, spec in SPECS.items() if spec.gaps
    }
    assert open_ == {
        "agibot": {"left_gripper", "right_gripper"},
        "agibot_a2": {"frames of left", "frames of right", "operating_limits"},
        "arx5": {"gripper"},
    }


@each
def test_streams_go_at_least_as_often_as_the_robot_wants(name: str) -> None:
    for command in SPECS[name].commands:
        assert (command.stream is None) == (command.adapter == "joint_trajectory")
        if command.stream is None:
            assert command.required_parameters["interpolate_from_desired_state"] is True
            assert command.controller
            continue
        assert command.stop is not None
        if command.stream.max_gap_s is not None:
            assert 1.0 / command.stream.rate_hz <= command.stream.max_gap_s
        if command.stream.max_step is not None:
            fastest = SPECS[name].operating_limits.velocity.max()
            assert fastest / command.stream.rate_hz <= 0.5 * command.stream.max_step


@each
def test_the_controllers_yaml_holds_what_the_spec_requires(name: str) -> None:
    shipped = {}
    for path in CONFIG.glob("controllers/*.yaml"):
        for node, content in yaml.safe_load(path.read_text()).items():
            shipped[node.removeprefix("/**")] = content["ros__parameters"]
    for command in SPECS[name].commands:
        if command.required_parameters:
            node = command.controller
            found = shipped.get(node) or shipped[node.lstrip("/")]
            assert {key: found[key] for key in command.required_parameters} == dict(
                command.required_parameters
            )


def test_mirrored_arms_have_mirrored_limits() -> None:
    def halves(spec: RobotSpec, field: str) -> tuple[np.ndarray, np.ndarray]:
        both = getattr(spec.operating_limits, field)
        return both[: len(both) // 2], both[len(both) // 2 :]

    for name in ("openarm", "openarm_v2", "agibot", "aloha"):
        left, right = halves(SPECS[name], "velocity")
        np.testing.assert_array_equal(left, right)
    lower, upper = (
        halves(SPECS["openarm"], "position_lower"),
        halves(SPECS["openarm"], "position_upper"),
    )
    np.testing.assert_allclose(lower[0][1], -upper[1][1])
    np.testing.assert_allclose(upper[0][1], -lower[1][1])
