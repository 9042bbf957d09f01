"""Tuning of the controller node; never a fact of a robot."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ControllerSettings:
    """Node parameters by name (config/controller.yaml says what each is for)."""

    rate_hz: float = 50.0
    hardware: bool = True
    shadow: bool = False
    confirmed_limits: str = ""
    window_s: float = 0.1
    point_spacing_s: float = 0.02
    hold_timeout_s: float = 30.0
    max_clock_jump_s: float = 0.25
    max_clock_offset_s: float = 0.1
    max_following_error_rad: float = 0.3
    max_arming_speed_rad_s: float = 0.05
    gripper_deadband: float = 0.15
    gripper_interval_s: float = 0.25

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
