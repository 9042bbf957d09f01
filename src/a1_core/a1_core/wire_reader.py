"""The wire's part of a robot's YAML: grippers, cameras, joint states, commands, errors, stops.

Each adapter has keys of its own: one that does not belong to it is an error, as is a missing one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from a1_core import spec_wire as w
from a1_core.strict_yaml import Fields

QOS = ("reliable", "latched", "sensor", "status")
GAP = "GAP"
BY_PLACE = "by_place"
# Key that names the endpoint of each gripper interface; None: it has none of its own.
GRIPPER_ENDPOINTS = {
    "gripper_command": "action",
    "parallel_gripper": "action",
    "joint_state": "topic",
    "joint_single": "topic",
    "with_arm": None,
    "tool_output": "service",
    "libfranka": None,
}
# Key that names the endpoint of each adapter.
ARM_ENDPOINTS = {
    "joint_trajectory": "topic",
    "joint_state": "topic",
    "joint_group": "topic",
    "servo_j": "service",
    "robot_cmd": "topic",
    "libfranka": "address",
}
NO_TOPIC = ("commanded", "libfranka")
UNITS = ("rad", "m", "count", "on_off", GAP)


def gripper(fields: Fields, *, named: bool) -> w.GripperSpec:
    """One gripper; `named` where the spec has several, and each has a name."""
    name = fields.text("name") if named else "gripper"
    if named and not name.endswith("_gripper"):
        raise fields.fail("name", name, "write a name that ends in _gripper")
    told = fields.section("command")
    command = _gripper_command(told)
    spec = w.GripperSpec(
        name=name,
        joint=fields.text("joint"),
        closed=_or_gap(fields, "closed"),
        open=_or_gap(fields, "open"),
        unit=_unit(fields),
        source=fields.text("source"),
        command=command,
    )
    fields.done()
    for where, part in ((fields, spec), (told, command)):
        if part.closed == part.open:
            raise where.fail("open", part.open, "write an opening that differs from `closed`")
        if math.isnan(part.closed) != math.isnan(part.open):
            raise where.fail("open", part.open, "write numbers for both ends, or GAP for both")
    return spec


def _gripper_command(told: Fields) -> w.GripperCommandSpec:
    interface = told.text("interface", tuple(GRIPPER_ENDPOINTS))
    key = GRIPPER_ENDPOINTS[interface]
    is_action = key == "action"
    command = w.GripperCommandSpec(
        interface=cast(Any, interface),
        endpoint=told.text(key) if key else "",
        type="" if is_action or key is None else told.text("type"),
        wire_names=told.texts("wire_names") if told.has("wire_names") else (),
        closed=_or_gap(told, "closed"),
        open=_or_gap(told, "open"),
        max_effort=told.number("max_effort", low=0.0) if is_action else 0.0,
        unit=_unit(told),
        arguments=told.mapping("arguments") if told.has("arguments") else {},
        source=told.text("source"),
    )
    told.done()
    return command


def _or_gap(fields: Fields, key: str) -> float:
    value = fields.number_or(key, GAP)
    return math.nan if value is None else value


def _unit(fields: Fields) -> str:
    return fields.text("unit", UNITS) if fields.has("unit") else ""


def camera(fields: Fields) -> w.CameraSpec:
    """One camera."""
    spec = w.CameraSpec(
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
    return spec


def state(fields: Fields) -> w.StateSpec:
    """One topic of joint states."""
    joints = fields.texts("joints")
    by_place = fields.has("wire_names") and fields.peek("wire_names") == BY_PLACE
    if by_place:
        fields.raw("wire_names")
    spec = w.StateSpec(
        topic=fields.text("topic"),
        joints=joints,
        wire_names=joints if by_place else _wire_names(fields, joints),
        by_place=by_place,
        made_from=_made_from(fields.section("made_from")) if fields.has("made_from") else None,
        rate_hz=fields.number("rate_hz", low=0.0),
        max_age_s=fields.number("max_age_s", low=0.0),
        qos=fields.text("qos", QOS),
        source=fields.text("source"),
    )
    fields.done()
    return spec


def _made_from(fields: Fields) -> w.MadeFrom:
    made_of = fields.text("type")
    silent = made_of in NO_TOPIC
    if silent and fields.has("topic"):
        raise fields.fail("topic", fields.raw("topic"), "leave it out: nothing is heard")
    spec = w.MadeFrom(type=made_of, topic=None if silent else fields.text("topic"))
    fields.done()
    return spec


def _wire_names(fields: Fields, joints: tuple[str, ...]) -> tuple[str, ...]:
    if not fields.has("wire_names"):
        return joints
    names = fields.texts("wire_names")
    if len(names) != len(joints):
        raise fields.fail("wire_names", list(names), f"write {len(joints)}, one for each joint")
    return names


def command(fields: Fields, joint_names: tuple[str, ...], *, named: bool) -> w.CommandSpec:
    """One command; `named` where the spec has several, and each says which joints it moves."""
    name = fields.text("name") if named else "arm"
    joints = fields.texts("joints") if named else joint_names
    adapter = fields.text("adapter", tuple(ARM_ENDPOINTS))
    key = ARM_ENDPOINTS[adapter]
    trajectories = adapter == "joint_trajectory"
    untyped = trajectories or key == "address"
    spec = w.CommandSpec(
        name=name,
        adapter=cast(Any, adapter),
        joints=joints,
        wire_names=_wire_names(fields, joints),
        endpoint=fields.text(key),
        type="" if untyped else fields.text("type"),
        qos="" if untyped or key == "service" else fields.text("qos", QOS),
        controller=fields.text("controller") if trajectories else "",
        required_parameters=fields.mapping("required_parameters") if trajectories else {},
        stream=None if trajectories else _stream(fields.section("stream")),
        error_states=_error_states(fields),
        stop=_stop(fields.section("stop")) if not trajectories or fields.has("stop") else None,
        source=fields.text("source"),
    )
    fields.done()
    return spec


def _stream(fields: Fields) -> w.StreamSpec:
    spec = w.StreamSpec(
        rate_hz=fields.number("rate_hz", low=0.0),
        max_gap_s=fields.number_or("max_gap_s", None, low=0.0),
        max_step=fields.number_or("max_step", None, low=0.0),
        unit=cast(Any, fields.text("unit", ("rad", "deg"))),
        silence=cast(Any, fields.text("silence", ("holds", GAP))),
        arguments=fields.mapping("arguments"),
        source=fields.text("source"),
    )
    fields.done()
    if spec.max_gap_s is not None and 1.0 / spec.rate_hz > spec.max_gap_s:
        raise fields.fail("rate_hz", spec.rate_hz, f"send at least every {spec.max_gap_s} s")
    return spec


def _error_states(fields: Fields) -> tuple[w.ErrorStateSpec, ...]:
    value = fields.peek("error_state")
    if value is None:
        fields.raw("error_state")
        return ()
    return tuple(_error_state(item) for item in fields.sections("error_state"))


def _error_state(fields: Fields) -> w.ErrorStateSpec:
    good = fields.raw("good")
    if (
        not isinstance(good, list)
        or not good
        or not all(isinstance(g, bool | int | str) for g in good)
    ):
        raise fields.fail("good", good, "write a list of the values with which the robot can move")
    spec = w.ErrorStateSpec(
        topic=fields.text("topic"),
        type=fields.text("type"),
        field=fields.text("field"),
        good=tuple(good),
        qos=fields.text("qos", QOS),
        source=fields.text("source"),
    )
    fields.done()
    return spec


def _stop(fields: Fields) -> w.StopSpec:
    interface = fields.text("interface", ("service", "topic", "none"))
    none = interface == "none"
    spec = w.StopSpec(
        interface=cast(Any, interface),
        name="" if none else fields.text("name"),
        type="" if none else fields.text("type"),
        request={} if none else fields.mapping("request"),
        source=fields.text("source"),
    )
    fields.done()
    return spec


def repeated(names: Sequence[str]) -> list[str]:
    """The names that stand more than once."""
    return sorted({name for name in names if list(names).count(name) > 1})
