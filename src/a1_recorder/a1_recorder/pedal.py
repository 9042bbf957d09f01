"""A foot pedal or joystick: buttons of sensor_msgs/Joy as what to do with the episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


class Pedal:
    """Calls `actions[button]` when that button goes down; a button that is held does no more."""

    def __init__(self, actions: Mapping[int, Callable[[], object]]) -> None:
        self._actions = {button: act for button, act in actions.items() if button >= 0}
        self._down: set[int] | None = None

    def take(self, buttons: Sequence[int]) -> None:
        """One message's buttons; those down in the first message were not pressed for us."""
        down = {number for number, value in enumerate(buttons) if value}
        pressed = set() if self._down is None else down - self._down
        self._down = down
        for button in sorted(pressed & self._actions.keys()):
            self._actions[button]()
