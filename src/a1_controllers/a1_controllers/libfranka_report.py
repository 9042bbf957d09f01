"""What the process that speaks to a Franka tells the controller, a hundred times a second."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the child reads: joints (rad, rad/s), hand (m, NaN without one), the robot's mode."""

    read_ns: int  # steady clock
    q_J: tuple[float, ...]
    qd_J: tuple[float, ...]
    width_m: float
    mode: str
    fault: str
