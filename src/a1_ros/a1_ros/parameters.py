"""Declared parameters: description, range or choices, and when each may change."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

T = TypeVar("T")
Value = bool | int | float | str | Sequence[str] | Sequence[float]


class Change(Enum):
    """When a parameter may change."""

    ALWAYS = "at any time"
    UNCONFIGURED = "only while the node is unconfigured"
    NEVER = "only at start"


@dataclass(frozen=True, kw_only=True)
class ParameterSpec:
    """One parameter: its default gives the type, `range` is inclusive, `choices` are for text."""

    name: str
    default: Value
    description: str
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    change: Change = Change.ALWAYS

    def descriptor(self) -> ParameterDescriptor:
        """The descriptor that `ros2 param describe` shows."""
        notes = [f"changes {self.change.value}"]
        if self.choices:
            notes.insert(0, "one of " + ", ".join(self.choices))
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints="; ".join(notes),
            read_only=self.change is Change.NEVER,
        )
        if self.range is not None:
            low, high = self.range
            if isinstance(self.default, int):
                descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(low), to_value=float(high))
                ]
        return descriptor


ROBOT = ParameterSpec(
    name="robot",
    default="",
    description="File of the robot spec (config/robots/*.yaml)",
    change=Change.UNCONFIGURED,
)
"""Of every lifecycle node that is about one robot."""


def parameter(
    default: Value,
    description: str,
    *,
    name: str = "",
    range: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    change: Change = Change.ALWAYS,
) -> Any:
    """A field of a dataclass of settings that is declared as a parameter, with its default.

    Args:
        name: where it is not the field's: one with dots, which are underscores in the field's.
        default, description, range, choices, change: see `ParameterSpec`.
    """
    spec = ParameterSpec(
        name=name,
        default=default,
        description=description,
        range=range,
        choices=choices,
        change=change,
    )
    return _field(spec)


fixed = partial(parameter, change=Change.UNCONFIGURED)
"""A field that changes only while its node is unconfigured, as most do."""


def robot_parameter() -> Any:
    """The field of `ROBOT`."""
    return _field(ROBOT)


def specs_of(settings: type) -> tuple[ParameterSpec, ...]:
    """The parameters that a dataclass of settings declares, in its order."""
    return tuple(_spec_of(field) for field in dataclasses.fields(settings))


def settings_from(settings: type[T], values: Mapping[str, Any]) -> T:
    """The settings of parameter values by name; lists become tuples."""
    fields = {name.replace(".", "_"): value for name, value in values.items()}
    lists = {name: tuple(value) for name, value in fields.items() if not _is_scalar(value)}
    return settings(**fields | lists)


def _field(spec: ParameterSpec) -> Any:
    default = tuple(spec.default) if isinstance(spec.default, list | tuple) else spec.default
    return dataclasses.field(default=default, metadata={ParameterSpec.__name__: spec})


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _spec_of(field: dataclasses.Field[Any]) -> ParameterSpec:
    spec: ParameterSpec = field.metadata[ParameterSpec.__name__]
    return spec if spec.name else dataclasses.replace(spec, name=field.name)


class Parameters:
    """The declared parameters of one node; refuses what a spec forbids, with the reason."""

    def __init__(self, node: Node, specs: Sequence[ParameterSpec]) -> None:
        self._node = node
        self._specs = {spec.name: spec for spec in specs}
        self._locked = False
        node.add_on_set_parameters_callback(self._check)
        for spec in specs:
            node.declare_parameter(spec.name, spec.default, spec.descriptor())

    def lock(self, locked: bool) -> None:
        """Whether the node is configured: then `Change.UNCONFIGURED` parameters stay."""
        self._locked = locked

    def __getitem__(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def values(self) -> Mapping[str, Any]:
        """All values by name."""
        return {name: self[name] for name in self._specs}

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            spec = self._specs.get(parameter.name)
            if spec is None:
                continue
            if spec.choices and parameter.value not in spec.choices:
                return SetParametersResult(
                    successful=False,
                    reason=f"{spec.name}: '{parameter.value}' is not one of "
                    + ", ".join(spec.choices),
                )
            if self._locked and spec.change is Change.UNCONFIGURED:
                return SetParametersResult(
                    successful=False,
                    reason=f"{spec.name}: changes {spec.change.value}; "
                    "deactivate and clean up the node first",
                )
        return SetParametersResult(successful=True)
