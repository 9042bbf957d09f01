"""The robot's forward kinematics, without which hardware is not driven."""

from a1_core.errors import A1Error
from a1_core.forward_kinematics import ForwardKinematics, load_forward_kinematics


def load_kinematics(name: str, *, hardware: bool) -> ForwardKinematics | None:
    """See `load_forward_kinematics`; with the empty name the workspace is not checked.

    Raises A1Error when hardware would go without, or when the name leads nowhere.
    """
    if hardware and not name:
        raise A1Error(
            "parameter forward_kinematics is empty: on hardware the workspace limit needs it; "
            "give module:function"
        )
    return load_forward_kinematics(name)
