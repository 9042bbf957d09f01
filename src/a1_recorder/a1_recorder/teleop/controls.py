"""sensor_msgs/Joy as what a person does: which buttons are held, where the sticks stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TIP_AXES = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Controls:
    """One moment of a joystick.

    Attributes:
        deadman: held while the arm shall follow.
        take_over: held to correct whoever moves the arm; counts as deadman too.
        tip_6: x, y, z, then turns about them, base frame, shares of full speed [-1, 1].
        joints_J: the same of every joint of the arm that is driven.
        gripper: opening its gripper shall go to (0 closed .. 1 open); None: as it is.
        next_arm: held to choose another arm, where there are several.
    """

    deadman: bool
    take_over: bool
    tip_6: Floats
    joints_J: Floats
    gripper: float | None = None
    next_arm: bool = False

    @property
    def held(self) -> bool:
        """Whether the person holds on."""
        return self.deadman or self.take_over

    @property
    def buttons(self) -> set[str]:
        """Which of the two are held."""
        return {name for name in ("deadman", "take_over") if getattr(self, name)}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which axis and button is what; -1 stands for none.

    `tip_axes` and `joint_axes` hold one axis for each of what `Controls` has, `tip_signs` what the
    former are multiplied by. Deflections below `dead_zone` count as none.
    """

    deadman: int
    take_over: int
    open: int
    close: int
    tip_axes: tuple[int, ...]
    tip_signs: tuple[float, ...]
    joint_axes: tuple[int, ...]
    dead_zone: float
    next_arm: int = -1


KEYBOARD_JOINTS = 16
# What `drive` publishes: tip axes, then joints; it has no play in its keys.
KEYBOARD = Layout(
    deadman=0,
    take_over=1,
    open=2,
    close=3,
    tip_axes=tuple(range(TIP_AXES)),
    tip_signs=(1.0,) * TIP_AXES,
    joint_axes=tuple(range(TIP_AXES, TIP_AXES + KEYBOARD_JOINTS)),
    dead_zone=0.0,
    next_arm=4,
)


class Joystick:
    """The newest message of one topic; a joystick that fell silent holds nothing.

    Args:
        layout: of the topic.
        joints: J, of the arm that has most.
        timeout_s: silence after which it counts as let go (steady clock).
    """

    def __init__(self, layout: Layout, joints: int, timeout_s: float) -> None:
        self._layout = layout
        self._joints = joints
        self._timeout_ns = round(timeout_s * 1e9)
        self._heard_ns: int | None = None
        self._axes: Sequence[float] = ()
        self._buttons: Sequence[int] = ()

    def take(self, axes: Sequence[float], buttons: Sequence[int], now_ns: int) -> None:
        """One message; `now_ns` on the steady clock."""
        self._axes, self._buttons, self._heard_ns = axes, buttons, now_ns

    def controls(self, now_ns: int) -> Controls | None:
        """What is held now; None where nothing was heard for too long."""
        if self._heard_ns is None or now_ns - self._heard_ns > self._timeout_ns:
            return None
        layout = self._layout
        signs = np.array(layout.tip_signs)
        joints = [self._axis(axis) for axis in layout.joint_axes[: self._joints]]
        joints += [0.0] * (self._joints - len(joints))
        opened, closed = self._button(layout.open), self._button(layout.close)
        return Controls(
            deadman=self._button(layout.deadman),
            take_over=self._button(layout.take_over),
            tip_6=signs * [self._axis(axis) for axis in layout.tip_axes],
            joints_J=np.array(joints),
            gripper=None if opened == closed else float(opened),
            next_arm=self._button(layout.next_arm),
        )

    def _axis(self, number: int) -> float:
        """Deflection of an axis, counted from the end of the dead zone; NaN counts as none."""
        if not 0 <= number < len(self._axes):
            return 0.0
        value = float(np.clip(self._axes[number], -1.0, 1.0))
        beyond = abs(value) - self._layout.dead_zone
        if not beyond > 0.0:
            return 0.0
        return float(np.sign(value)) * beyond / (1.0 - self._layout.dead_zone)

    def _button(self, number: int) -> bool:
        return 0 <= number < len(self._buttons) and bool(self._buttons[number])
