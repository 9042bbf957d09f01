"""The controller node's parameters, and the instants that it is given; never a fact of a robot."""

from dataclasses import dataclass

from a1_ros.parameters import fixed, parameter, robot_parameter


@dataclass(frozen=True, kw_only=True)
class ControllerSettings:
    """The parameters and their values."""

    robot: str = robot_parameter()
    robot_address: str = fixed(
        "", "Address of a robot that is spoken to without ROS; empty: the one in its spec"
    )
    hardware: bool = fixed(True, "false: a simulated arm, which goes on by itself after a hold")
    shadow: bool = fixed(False, "Judge chunks and move nothing")
    lockstep: bool = fixed(False, "Acknowledge every tick to a lock-stepped simulator")
    confirmed_limits: str = parameter(
        "",
        "First 12 digits of the robot spec's digest: the operator has read its operating limits; "
        "needed to arm hardware",
    )
    self_collision: bool = fixed(
        True,
        "Refuse chunks that lead the robot into itself, where the spec names its MuJoCo model",
    )
    rate_hz: float = fixed(50.0, "Control ticks a second", range=(50.0, 200.0))
    realtime_priority: int = fixed(
        0, "Real-time priority of ticks and streams (SCHED_FIFO); 0: none", range=(0, 99)
    )
    window_s: float = fixed(
        0.1, "Motion in each message before its braking tail [s]", range=(0.05, 1.0)
    )
    point_spacing_s: float = fixed(0.02, "Time between points of a message [s]", range=(0.005, 0.1))
    hold_timeout_s: float = fixed(30.0, "Hold before a real arm disarms [s]", range=(1.0, 600.0))
    max_clock_jump_s: float = fixed(0.25, "Clock jump that brakes the arm [s]", range=(0.01, 10.0))
    max_clock_offset_s: float = fixed(
        0.1,
        "Largest age of joint state stamps on arrival that allows arming [s]",
        range=(0.001, 10.0),
    )
    max_following_error_rad: float = fixed(
        0.3,
        "Distance of an arm joint from its command that is a fault [rad]",
        range=(0.01, 3.0),
    )
    max_arming_speed_rad_s: float = fixed(
        0.05,
        "Fastest joint that still counts as rest when arming [rad/s]",
        range=(0.001, 1.0),
    )
    gripper_deadband: float = fixed(0.15, "Smallest change worth a gripper goal", range=(0.01, 1.0))
    gripper_interval_s: float = fixed(
        0.25, "Least time between gripper goals [s]", range=(0.0, 5.0)
    )

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.rate_hz)


@dataclass(frozen=True, kw_only=True)
class Now:
    """One instant on both clocks: stamps live on the node's, watchdogs on `watch_ns`.

    `watch_ns` is the steady clock; under simulated time it is the node's clock too, because the
    arm only moves when that clock does.
    """

    node_ns: int
    watch_ns: int
