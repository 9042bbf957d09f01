"""Message and service classes by the name a robot's spec gives them; vendors' are optional."""

from importlib import import_module
from typing import Any

from a1_core.errors import A1Error


def load_interface(name: str, *, where: str) -> Any:
    """The class called `name`, e.g. sensor_msgs/msg/JointState.

    Args:
        where: file and field that ask for it, for the error.

    Raises A1Error that says which package to install when it is not there.
    """
    package, _, rest = name.partition("/")
    kind, _, interface = rest.partition("/")
    if kind not in ("msg", "srv", "action") or not interface:
        raise A1Error(f"{where}: type '{name}' is no interface; write PACKAGE/msg/NAME")
    try:
        return getattr(import_module(f"{package}.{kind}"), interface)
    except ImportError as error:
        raise A1Error(
            f"{where}: needs {name}, and package {package} is not installed ({error}): build the "
            "vendor's package of that name and source its workspace"
        ) from error
    except AttributeError as error:
        raise A1Error(
            f"{where}: package {package} is installed and has no {kind}/{interface}: install the "
            "version that the spec's source names"
        ) from error
