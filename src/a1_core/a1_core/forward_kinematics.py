"""A robot's forward kinematics, found by name: who does not use it needs no model of the robot."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import SpecError

ForwardKinematics = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Arm joints [J] (rad) to the tip's position in the base frame [3] (m)."""


def load_forward_kinematics(name: str) -> ForwardKinematics | None:
    """What `module:function` makes when it is called; None for the empty name.

    Raises SpecError when the name leads nowhere.
    """
    if not name:
        return None
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(
            f"forward_kinematics '{name}' cannot be loaded ({error}): install its package, or "
            "name another module:function"
        ) from error
