"""Files that come with the suite's packages, with ROS or without: robot specs, definitions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from a1_core.errors import SpecError
from a1_core.spec import RobotSpec, load_spec

ROBOTS = "config/robots"


def share_folders(package: str) -> Iterator[Path]:
    """Folders of a package's files: where it is installed, then its sources below this folder."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            yield Path(prefix) / "share" / package
    yield Path.cwd() / "src" / package


def find_definition(msgtype: str) -> str | None:
    """The text of a message's .msg file, e.g. of a1_msgs/msg/EpisodeState; None when not there."""
    package, _, name = msgtype.partition("/msg/")
    for folder in share_folders(package):
        path = folder / "msg" / f"{name}.msg"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None


def find_spec(robot: str) -> RobotSpec:
    """The spec of a robot, by name (franka) or by path.

    Names are looked for in config/robots below this folder, then in a1_bringup's share. Raises
    SpecError when there is none, naming where it was looked for and what is there.
    """
    if robot.endswith((".yaml", ".yml")) or os.sep in robot:
        return load_spec(robot)
    folders = [Path.cwd() / ROBOTS, *(share / ROBOTS for share in share_folders("a1_bringup"))]
    for folder in folders:
        if (folder / f"{robot}.yaml").is_file():
            return load_spec(folder / f"{robot}.yaml")
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise SpecError(
        f"robot '{robot}': no {robot}.yaml in {', '.join(map(str, folders))}; "
        + (f"choose one of {', '.join(known)}, " if known else "source the workspace, ")
        + "or give the path of a spec"
    )
