"""From a robot's YAML to a RobotSpec; every rule about its content is checked here, once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, cast

import numpy as np

from a1_core import spec as s
from a1_core.chunk import ActionSpace, DeltaBase
from a1_core.errors import SpecError
from a1_core.strict_yaml import Fields, read_mapping

QOS = ("reliable", "latched", "sensor", "status")
GAP = "GAP"


def read_spec(path: Path) -> s.RobotSpec:
    """See `a1_core.spec.load_spec`."""
    content = read_mapping(path, SpecError)
    fields = Fields(content, str(path), SpecError)
    joint_names = fields.texts("joint_names")
    arm = len(joint_names)
    vendor = _vendor_limits(fields.section("vendor_limits"), arm)
    operating = _operating_limits(fields.section("operating_limits"), arm, vendor)
    home = fields.section("home")
    robot = s.RobotSpec(
        robot=fields.text("robot"),
        variant=fields.text("variant"),
        base_frame=fields.text("base_frame"),
        tip_frame=fields.text("tip_frame"),
        joint_names=joint_names,
        gripper=_gripper(fields.section("gripper")),
        cameras=tuple(_camera(item) for item in fields.sections("cameras")),
        state_sources=tuple(_state(item) for item in fields.sections("state_sources")),
        command=_command(fields.section("command")),
        vendor_limits=vendor,
        operating_limits=operating,
        home=_sourced(home, arm)[0],
        policy=_policy(fields.section("policy")),
        digest=content_digest(content),
        path=path,
    )
    fields.done()
    _check_home(robot)
    _check_names(robot)
    return robot


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


def _gripper(fields: Fields) -> s.GripperSpec:
    told = fields.section("command")
    command = s.GripperCommandSpec(
        interface=cast(Any, told.text("interface", ("gripper_command", "parallel_gripper"))),
        action=told.text("action"),
        closed=told.number("closed"),
        open=told.number("open"),
        max_effort=told.number("max_effort", low=0.0),
        source=told.text("source"),
    )
    told.done()
    gripper = s.GripperSpec(
        joint=fields.text("joint"),
        closed=fields.number("closed"),
        open=fields.number("open"),
        source=fields.text("source"),
        command=command,
    )
    fields.done()
    for where, part in ((fields, gripper), (told, command)):
        if part.closed == part.open:
            raise where.fail("open", part.open, "write an opening that differs from `closed`")
    return gripper


def _camera(fields: Fields) -> s.CameraSpec:
    camera = s.CameraSpec(
        name=fields.text("name"),
        topic=fields.text("topic"),
        type=cast(Any, fields.text("type", ("raw", "compressed"))),
        width=fields.whole_or_none("width", least=1),
        height=fields.whole_or_none("height", least=1),
        rate_hz=fields.number("rate_hz", low=0.0),
        max_age_s=fields.number("max_age_s", low=0.0),
        qos=fields.text("qos", QOS),
        source=fields.text("source"),
    )
    fields.done()
    return camera


def _state(fields: Fields) -> s.StateSpec:
    state = s.StateSpec(
        topic=fields.text("topic"),
        joints=fields.texts("joints"),
        rate_hz=fields.number("rate_hz", low=0.0),
        max_age_s=fields.number("max_age_s", low=0.0),
        qos=fields.text("qos", QOS),
        source=fields.text("source"),
    )
    fields.done()
    return state


def _command(fields: Fields) -> s.CommandSpec:
    error_state = fields.raw("error_state")
    if error_state is not None and not isinstance(error_state, dict):
        raise fields.fail("error_state", error_state, "write a mapping or null")
    command = s.CommandSpec(
        adapter=cast(Any, fields.text("adapter", ("joint_trajectory",))),
        topic=fields.text("topic"),
        controller=fields.text("controller"),
        required_parameters=fields.mapping("required_parameters"),
        error_state=error_state,
        source=fields.text("source"),
    )
    fields.done()
    return command


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


def _operating_limits(fields: Fields, arm: int, vendor: s.Limits) -> s.OperatingLimits:
    values: dict[str, s.Floats] = {}
    sources: dict[str, str] = {}
    for name in ("position_lower", "position_upper", "velocity", "acceleration", "jerk", "step"):
        values[name], sources[name] = _sourced(fields.section(name), arm)
    box = fields.section("workspace")
    workspace = s.Workspace(
        lower=box.numbers("lower", 3), upper=box.numbers("upper", 3), source=box.text("source")
    )
    box.done()
    if (workspace.lower >= workspace.upper).any():
        raise box.fail("lower", workspace.lower.tolist(), "write numbers below `upper`")
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
        **values, workspace=workspace, gripper_velocity=gripper_velocity, sources=sources
    )


def _policy(fields: Fields) -> s.PolicySpec:
    spaces = [space.name.lower() for space in ActionSpace]
    bases = [base.name.lower() for base in DeltaBase]
    policy = s.PolicySpec(
        period_s=fields.number("period_s", low=0.0),
        horizon=fields.whole("horizon", least=2),
        action_space=ActionSpace[fields.text("action_space", spaces).upper()],
        delta_base=DeltaBase[fields.text("delta_base", bases).upper()],
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
    cameras = robot.camera_names
    if len(set(cameras)) != len(cameras):
        raise SpecError(f"{robot.path}.cameras: names {cameras} repeat; make each unique")
    told = [joint for state in robot.state_sources for joint in state.joints]
    needed = {*robot.joint_names, robot.gripper.joint}
    if len(set(told)) != len(told) or set(told) != needed:
        wrong = sorted(set(told) ^ needed) or sorted({j for j in told if told.count(j) > 1})
        raise SpecError(
            f"{robot.path}.state_sources: joints {wrong} are missing, repeated or unknown; every "
            "arm joint and the gripper's joint comes from exactly one source"
        )
