"""Forward kinematics for the workspace limit: the spec's own, or a function found by name."""

from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import A1Error
from a1_core.kinematics import ChainKinematics
from a1_core.spec import RobotSpec

ForwardKinematics = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def load_kinematics(name: str, spec: RobotSpec, *, hardware: bool) -> ForwardKinematics | None:
    """Arm joints [J] (rad) to the arms' tips, each in its base frame [A, 3] (m).

    Args:
        name: `module:function` that makes such a callable; empty for the chains of the spec.

    None where the spec has a GAP and nothing moves but a simulation: the workspace is not checked.
    Raises A1Error when hardware would go without, or when the name leads nowhere.
    """
    if not name:
        chains = [arm.chain for arm in spec.arms if arm.chain is not None]
        if len(chains) == len(spec.arms):
            return ChainKinematics(chains)
        if hardware:
            raise A1Error(
                f"{spec.path}: kinematics are GAP, and on hardware the workspace limit needs them: "
                "write the chain of frames into a copy of the spec, or give the parameter "
                "forward_kinematics a module:function"
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
