"""From a robot's YAML to a RobotSpec; every rule about its content is checked here, once.

A robot of one arm names `joint_names`, `tip_frame`, `gripper`, `command` and one workspace; one of
several arms names `arms`, `grippers`, `commands` and a workspace for each arm. Both come out the
same. What travels on the wire is read by `a1_core.wire_reader`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from a1_core import robot_spec as s
from a1_core import wire_reader as wire
from a1_core.arrays import frozen_array
from a1_core.chunk import ActionSpace, DeltaBase, RotationKind
from a1_core.end_effector import POSE_SPACES
from a1_core.errors import SpecError
from a1_core.kinematics import Chain
from a1_core.model_spec import ModelSpec, read_model
from a1_core.strict_yaml import Fields, read_mapping
from a1_core.wire_reader import GAP

ARM = "arm"
# What may be mended without making checkpoints and thresholds those of another robot.
NOT_IN_DIGEST = ("kinematics", "model")


def read_spec(path: Path) -> s.RobotSpec:
    """See `a1_core.spec.load_spec`."""
    return spec_from(read_mapping(path, SpecError), path)


def spec_from(content: Mapping[str, Any], path: Path) -> s.RobotSpec:
    """The robot described by the content of `path`; SpecError as in `load_spec`."""
    fields = Fields(content, str(path), SpecError)
    base_frame = fields.text("base_frame")
    arms = _with_chains(fields.section("kinematics"), _arms(fields, base_frame))
    joint_names = tuple(joint for arm in arms for joint in arm.joints)
    count = len(joint_names)
    vendor = _vendor_limits(fields.section("vendor_limits"), count)
    operating = _operating_limits(fields.section("operating_limits"), arms, vendor)
    grippers = _grippers(fields)
    robot = s.RobotSpec(
        robot=fields.text("robot"),
        variant=fields.text("variant"),
        base_frame=base_frame,
        arms=arms,
        joint_names=joint_names,
        urdf_names=_urdf_names(fields, joint_names),
        grippers=grippers,
        cameras=tuple(wire.camera(item) for item in fields.sections("cameras")),
        state_sources=tuple(wire.state(item) for item in fields.sections("state_sources")),
        commands=_commands(fields, joint_names),
        vendor_limits=vendor,
        operating_limits=operating,
        home=_sourced(fields.section("home"), count)[0],
        policy=_policy(fields.section("policy")),
        model=None,
        gaps=_gaps(arms, operating, grippers),
        digest=content_digest({k: v for k, v in content.items() if k not in NOT_IN_DIGEST}),
        path=path,
    )
    _check_home(robot)
    _check_names(robot)
    model = _model(fields, robot) if fields.has("model") else None
    fields.done()
    return replace(robot, model=model)


def content_digest(content: Any) -> str:
    """SHA-256 (hex) over sorted JSON of the content without its `source` texts."""
    text = json.dumps(_without_sources(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _without_sources(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sources(item) for key, item in value.items() if key != "source"}
    if isinstance(value, list):
        return [_without_sources(item) for item in value]
    return value


def _arms(fields: Fields, base_frame: str) -> tuple[s.ArmSpec, ...]:
    if fields.one_of("joint_names", "arms") == "joint_names":
        joints, tip_frame = fields.texts("joint_names"), fields.text("tip_frame")
        arm = s.ArmSpec(
            name=ARM, joints=joints, base_frame=base_frame, tip_frame=tip_frame, chain=None
        )
        return (arm,)
    arms = tuple(_arm(item) for item in fields.sections("arms"))
    names = [arm.name for arm in arms]
    if wire.repeated(names):
        raise fields.fail("arms", names, "give each arm a name of its own")
    return arms


def _arm(fields: Fields) -> s.ArmSpec:
    arm = s.ArmSpec(
        name=fields.text("name"),
        joints=fields.texts("joints"),
        base_frame=fields.text("base_frame"),
        tip_frame=fields.text("tip_frame"),
        chain=None,
    )
    fields.done()
    return arm


def _with_chains(fields: Fields, arms: tuple[s.ArmSpec, ...]) -> tuple[s.ArmSpec, ...]:
    if len(arms) == 1:
        return (replace(arms[0], chain=_chain(fields, len(arms[0].joints))),)
    found = tuple(
        replace(arm, chain=_chain(fields.section(arm.name), len(arm.joints))) for arm in arms
    )
    fields.done()
    return found


def _chain(fields: Fields, joints: int) -> Chain | None:
    if fields.has("value"):
        fields.text("value", (GAP,))
        fields.text("source")
        fields.done()
        return None
    chain = Chain(
        origins_N6=fields.rows("origins", joints + 1, 6),
        axes_J3=fields.rows("axes", joints, 3),
        source=fields.text("source"),
    )
    fields.done()
    if (abs(np.linalg.norm(chain.axes_J3, axis=1) - 1.0) > 1e-6).any():
        raise fields.fail("axes", chain.axes_J3.tolist(), "write axes of length 1")
    return chain


def _urdf_names(fields: Fields, joint_names: tuple[str, ...]) -> tuple[str, ...]:
    if not fields.has("urdf_names"):
        return joint_names
    names = fields.texts("urdf_names")
    if len(names) != len(joint_names):
        raise fields.fail(
            "urdf_names", list(names), f"write {len(joint_names)}, one for each joint"
        )
    return names


def _grippers(fields: Fields) -> tuple[s.GripperSpec, ...]:
    if fields.one_of("gripper", "grippers") == "gripper":
        return (wire.gripper(fields.section("gripper"), named=False),)
    return tuple(wire.gripper(item, named=True) for item in fields.sections("grippers"))


def _commands(fields: Fields, joint_names: tuple[str, ...]) -> tuple[s.CommandSpec, ...]:
    if fields.one_of("command", "commands") == "command":
        return (wire.command(fields.section("command"), joint_names, named=False),)
    return tuple(
        wire.command(item, joint_names, named=True) for item in fields.sections("commands")
    )


def _model(fields: Fields, robot: s.RobotSpec) -> ModelSpec:
    hands = [gripper.name for gripper in robot.grippers]
    return read_model(fields.section("model"), robot.joint_names, hands, robot.camera_names)


def _gaps(
    arms: tuple[s.ArmSpec, ...],
    operating: s.OperatingLimits,
    grippers: tuple[s.GripperSpec, ...],
) -> tuple[str, ...]:
    frames = [f"frames of {arm.name}" for arm in arms if GAP in (arm.base_frame, arm.tip_frame)]
    boxes = [
        f"operating_limits.workspace of {name}"
        for name, box in operating.workspaces.items()
        if np.isnan(box.lower).any()
    ]
    return (*frames, *boxes, *(gap for gripper in grippers for gap in gripper.gaps))


def _sourced(fields: Fields, size: int) -> tuple[s.Floats, str]:
    values, source = fields.numbers("value", size), fields.text("source")
    fields.done()
    return values, source


def _vendor_limits(fields: Fields, arm: int) -> s.Limits:
    values: dict[str, s.Floats | None] = {}
    sources: dict[str, str] = {}
    for name in ("position_lower", "position_upper", "velocity", "acceleration", "jerk"):
        entry = fields.section(name)
        if entry.peek("value") == GAP:
            entry.raw("value")
            values[name], sources[name] = None, entry.text("source")
            entry.done()
        else:
            values[name], sources[name] = _sourced(entry, arm)
    fields.done()
    for name in ("velocity", "acceleration", "jerk"):
        _positive(fields, name, values[name])
    _ordered(fields, values["position_lower"], values["position_upper"])
    return s.Limits(**values, sources=sources)


def _operating_limits(
    fields: Fields, arms: tuple[s.ArmSpec, ...], vendor: s.Limits
) -> s.OperatingLimits:
    values: dict[str, s.Floats] = {}
    sources: dict[str, str] = {}
    arm = sum(len(part.joints) for part in arms)
    for name in ("position_lower", "position_upper", "velocity", "acceleration", "jerk", "step"):
        values[name], sources[name] = _sourced(fields.section(name), arm)
    workspaces = _workspaces(fields.section("workspace"), arms)
    gripper = fields.section("gripper_velocity")
    gripper_velocity = gripper.number("value", low=0.0)
    sources["gripper_velocity"] = gripper.text("source")
    gripper.done()
    fields.done()
    for name in ("velocity", "acceleration", "jerk", "step"):
        _positive(fields, name, values[name])
    _ordered(fields, values["position_lower"], values["position_upper"])
    for name, sign in (
        ("position_lower", -1),
        ("position_upper", 1),
        ("velocity", 1),
        ("acceleration", 1),
        ("jerk", 1),
    ):
        known = getattr(vendor, name)
        if known is not None and (sign * values[name] > sign * known).any():
            raise fields.fail(
                name, values[name].tolist(), f"stay inside the vendor's {known.tolist()}"
            )
    return s.OperatingLimits(
        **values, workspaces=workspaces, gripper_velocity=gripper_velocity, sources=sources
    )


def _workspaces(fields: Fields, arms: tuple[s.ArmSpec, ...]) -> dict[str, s.Workspace]:
    if len(arms) == 1:
        return {arms[0].name: _workspace(fields)}
    workspaces = {arm.name: _workspace(fields.section(arm.name)) for arm in arms}
    fields.done()
    return workspaces


def _workspace(box: Fields) -> s.Workspace:
    if box.has("value"):
        box.text("value", (GAP,))
        unknown = frozen_array([np.nan] * 3, np.float64)
        workspace = s.Workspace(lower=unknown, upper=unknown, source=box.text("source"))
    else:
        workspace = s.Workspace(
            lower=box.numbers("lower", 3), upper=box.numbers("upper", 3), source=box.text("source")
        )
    box.done()
    if (workspace.lower >= workspace.upper).any():
        raise box.fail("lower", workspace.lower.tolist(), "write numbers below `upper`")
    return workspace


def _policy(fields: Fields) -> s.PolicySpec:
    spaces = [space.name.lower() for space in ActionSpace]
    bases = [base.name.lower() for base in DeltaBase]
    forms = [kind.name.lower() for kind in RotationKind]
    space = ActionSpace[fields.text("action_space", spaces).upper()]
    poses = space in POSE_SPACES
    policy = s.PolicySpec(
        period_s=fields.number("period_s", low=0.0),
        horizon=fields.whole("horizon", least=2),
        action_space=space,
        delta_base=DeltaBase[fields.text("delta_base", bases).upper()],
        rotation=RotationKind[fields.text("rotation", forms).upper()] if poses else None,
        max_open_loop_s=fields.number("max_open_loop_s", low=0.0),
        valid_for_s=fields.number("valid_for_s", low=0.0),
        source=fields.text("source"),
    )
    fields.done()
    return policy


def _positive(fields: Fields, name: str, values: s.Floats | None) -> None:
    if values is not None and (values <= 0.0).any():
        raise fields.fail(name, values.tolist(), "write positive numbers")


def _ordered(fields: Fields, lower: s.Floats | None, upper: s.Floats | None) -> None:
    if lower is not None and upper is not None and (lower >= upper).any():
        raise fields.fail("position_lower", lower.tolist(), "write numbers below position_upper")


def _check_home(robot: s.RobotSpec) -> None:
    limits = robot.operating_limits
    outside = (robot.home < limits.position_lower) | (robot.home > limits.position_upper)
    if outside.any():
        joint = robot.joint_names[int(np.argmax(outside))]
        raise SpecError(
            f"{robot.path}.home: joint {joint} is outside operating_limits; move home inside"
        )


def _check_names(robot: s.RobotSpec) -> None:
    for what, names in (
        ("cameras", robot.camera_names),
        ("arms", robot.joint_names),
        ("grippers", robot.action_names),
        ("commands", [command.name for command in robot.commands]),
    ):
        if wire.repeated(names):
            raise SpecError(
                f"{robot.path}.{what}: names {wire.repeated(names)} repeat; make each unique"
            )
    needed = {*robot.joint_names, *(gripper.joint for gripper in robot.grippers)}
    told = [joint for state in robot.state_sources for joint in state.joints]
    _check_cover(
        f"{robot.path}.state_sources", told, needed, "every arm joint and gripper joint comes from"
    )
    moved = [joint for command in robot.commands for joint in command.joints]
    _check_cover(
        f"{robot.path}.commands", moved, set(robot.joint_names), "every arm joint is moved by"
    )


def _check_cover(where: str, found: list[str], needed: set[str], rule: str) -> None:
    wrong = sorted(set(found) ^ needed) or wire.repeated(found)
    if wrong:
        raise SpecError(
            f"{where}: joints {wrong} are missing, repeated or unknown; {rule} exactly one"
        )
