"""Trajectories as Jazzy's joint trajectory controller takes and plays them.

Source: ros2_controllers, branch jazzy, joint_trajectory_controller: src/trajectory.cpp and
validate_trajectory_msg of src/joint_trajectory_controller.cpp. Units rad, rad/s, rad/s2, ns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point; an empty array is a field that was not given."""

    time_ns: int  # from the start of the trajectory
    positions: Vector
    velocities: Vector
    accelerations: Vector
    effort: Vector


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """What came over the topic; `stamp_ns` 0 means now."""

    stamp_ns: int
    joint_names: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class JtcParameters:
    """Those parameters of the controller that decide what it does with a topic's messages."""

    joints: tuple[str, ...]
    interpolate_from_desired_state: bool = False
    allow_nonzero_velocity_at_trajectory_end: bool = False
    allow_partial_joints_goal: bool = False
    interpolation_method: str = "splines"  # or "none"
    cmd_timeout_s: float = 0.0


class Motion(NamedTuple):
    """Positions, velocities and accelerations of all joints; empty where not given."""

    positions: Vector
    velocities: Vector
    accelerations: Vector


def refusal(trajectory: Trajectory, parameters: JtcParameters, now_ns: int) -> str | None:
    """Why the controller refuses the message, in its own words, or None."""
    names, points = trajectory.joint_names, trajectory.points
    if not parameters.allow_partial_joints_goal and len(names) != len(parameters.joints):
        return "Joints on incoming trajectory don't match the controller joints."
    if not names:
        return "Empty joint names on incoming trajectory."
    if not points:
        return "Empty trajectory received."
    for name in names:
        if name not in parameters.joints:
            return f"Incoming joint {name} doesn't match the controller's joints."
    last = points[-1]
    if not parameters.allow_nonzero_velocity_at_trajectory_end:
        for index, velocity in enumerate(last.velocities):
            if abs(velocity) > _EPSILON:
                joint = names[index] if index < len(names) else str(index)
                return (
                    f"Velocity of last trajectory point of joint {joint} is not zero: "
                    f"{velocity:.15f}"
                )
    end_ns = trajectory.stamp_ns + last.time_ns
    if trajectory.stamp_ns != 0 and end_ns < now_ns:
        return (
            f"Received trajectory with non-zero start time ({trajectory.stamp_ns * 1e-9:f}) "
            f"that ends in the past ({end_ns * 1e-9:f})"
        )
    for index, point in enumerate(points):
        if index > 0 and point.time_ns <= points[index - 1].time_ns:
            return (
                f"Time between points {index - 1} and {index} is not strictly increasing, it is "
                f"{points[index - 1].time_ns * 1e-9:f} and {point.time_ns * 1e-9:f} respectively"
            )
        reason = _size_refusal(point, len(names), index)
        if reason is not None:
            return reason
    return None


def _size_refusal(point: Point, count: int, index: int) -> str | None:
    fields = (
        ("positions", point.positions, False),
        ("velocities", point.velocities, True),
        ("accelerations", point.accelerations, True),
    )
    for field, values, may_be_empty in fields:
        if len(values) != count and not (may_be_empty and len(values) == 0):
            return (
                f"Mismatch between joint_names size ({count}) and {field} ({len(values)}) "
                f"at point #{index}."
            )
    if len(point.effort) != 0:
        return (
            "Trajectories with effort fields are only supported for controllers using the "
            "'effort' command interface."
        )
    return None


def in_controller_order(
    trajectory: Trajectory, joints: Sequence[str], fill: Vector
) -> tuple[Point, ...]:
    """Points with all joints in the controller's order; a joint not named holds at `fill`."""
    names = trajectory.joint_names
    if names == tuple(joints):
        return trajectory.points
    at = [joints.index(name) for name in names]

    def spread(values: Vector, rest: Vector) -> Vector:
        if len(values) == 0:
            return values
        out = rest.copy()
        out[at] = values
        return out

    zeros = np.zeros(len(joints))
    return tuple(
        Point(
            time_ns=point.time_ns,
            positions=spread(point.positions, fill),
            velocities=spread(point.velocities, zeros),
            accelerations=spread(point.accelerations, zeros),
            effort=point.effort,
        )
        for point in trajectory.points
    )


def segment_polynomial(a: Motion, b: Motion, span_s: float) -> NDArray[np.float64]:
    """Coefficients [6, J] of the spline from `a` to `b`, of the degree that both allow.

    Quintic needs velocities and accelerations of both, cubic velocities; else linear.
    """
    size = len(a.positions)
    coefficients = np.zeros((6, size))
    p0, p1, t = a.positions, b.positions, span_s
    coefficients[0] = p0
    velocity = len(a.velocities) > 0 and len(b.velocities) > 0
    acceleration = len(a.accelerations) > 0 and len(b.accelerations) > 0
    if t == 0.0:
        return coefficients
    if not velocity:
        coefficients[1] = (p1 - p0) / t
        return coefficients
    v0, v1 = a.velocities, b.velocities
    coefficients[1] = v0
    if not acceleration:
        coefficients[2] = (3.0 * (p1 - p0) - (2.0 * v0 + v1) * t) / t**2
        coefficients[3] = (-2.0 * (p1 - p0) + (v0 + v1) * t) / t**3
        return coefficients
    a0, a1 = a.accelerations, b.accelerations
    gap = p1 - p0
    coefficients[2] = 0.5 * a0
    coefficients[3] = (20 * gap - (12 * v0 + 8 * v1) * t - (3 * a0 - a1) * t**2) / (2 * t**3)
    coefficients[4] = (-30 * gap + (16 * v0 + 14 * v1) * t + (3 * a0 - 2 * a1) * t**2) / (2 * t**4)
    coefficients[5] = (12 * gap - 6 * (v0 + v1) * t - (a0 - a1) * t**2) / (2 * t**5)
    return coefficients


def evaluate(coefficients: NDArray[np.float64], at_s: float) -> Motion:
    """Position, velocity and acceleration of the polynomial at `at_s` from its beginning."""
    powers = at_s ** np.arange(6.0)
    rates = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    first = np.zeros(6)
    first[1:] = rates[1:] * powers[:5]
    second = np.zeros(6)
    second[2:] = rates[2:] * rates[1:5] * powers[:4]
    return Motion(powers @ coefficients, first @ coefficients, second @ coefficients)
