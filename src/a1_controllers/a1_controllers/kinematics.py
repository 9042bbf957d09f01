"""The robot's forward kinematics, found by name so that this package needs no robot model."""

from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import A1Error

ForwardKinematics = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def load_kinematics(name: str, *, hardware: bool) -> ForwardKinematics | None:
    """What `module:function` makes: arm joints [J] (rad) to tip position [3] (m, base frame).

    None for the empty name, where the workspace is not checked. Raises A1Error when hardware would
    go without, or when the name leads nowhere.
    """
    if not name:
        if hardware:
            raise A1Error(
                "parameter forward_kinematics is empty: on hardware the workspace limit needs it; "
                "give module:function"
            )
        return None
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise A1Error(
            f"parameter forward_kinematics '{name}' cannot be loaded ({error}): install its "
            "package, or name another module:function"
        ) from error
