"""Where the files lie that come with the suite: beside the work, or in a1_bringup's share."""

from contextlib import suppress
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from a1_core.errors import A1Error
from a1_data.share import find_spec

ROBOT = "config/robots/franka.yaml"
CHECKPOINT = "checkpoints/tiny"
THRESHOLDS = "config/thresholds/franka_tiny.yaml"


def places() -> list[Path]:
    """Folders that are searched, in order."""
    found = [Path.cwd()]
    with suppress(PackageNotFoundError):
        found.append(Path(get_package_share_directory("a1_bringup")))
    return found


def find(path: str, what: str) -> Path:
    """The file or folder of that path under `places`; A1Error says where it was looked for."""
    for place in places():
        if (place / path).exists():
            return (place / path).resolve()
    looked = ", ".join(str(place / path) for place in places())
    raise A1Error(f"{what} not found: looked for {looked}; give its path as an option")


def robot_file(robot: str) -> Path:
    """The spec of a robot by name or path, the shipped Franka's for the empty text; A1Error."""
    return find_spec(robot).path.resolve() if robot else find(ROBOT, "robot spec")


def find_or_empty(path: str) -> str:
    """As `find`, but the empty text when it is nowhere."""
    return next((str((p / path).resolve()) for p in places() if (p / path).exists()), "")
