"""Options of commands that read other people's data sets: what is called otherwise there."""

from __future__ import annotations

import argparse
import math

from a1_core.errors import DatasetError
from a1_data.lerobot.columns import Naming


def add_naming(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """--columns, --camera, --degrees and --gripper."""
    parser.add_argument(
        "--columns",
        default="",
        help="its names of the robot's columns, in the robot's order: a,b,c",
    )
    parser.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="NAME=FEATURE",
        help="the data set's pictures of a camera of the robot; once a camera",
    )
    parser.add_argument("--degrees", action="store_true", help="its joints are in degrees")
    parser.add_argument(
        "--gripper",
        default="0:1",
        metavar="CLOSED:OPEN",
        help="its numbers for a closed and an open gripper",
    )


def naming_of(options: argparse.Namespace) -> Naming:
    """What the options of `add_naming` say.

    Raises:
        DatasetError: one of them cannot be read.
    """
    cameras = {}
    for pair in options.camera:
        name, sign, feature = pair.partition("=")
        if not sign or not feature:
            raise DatasetError(f"--camera is '{pair}'; give NAME=FEATURE")
        cameras[name] = feature
    closed, _, opened = options.gripper.partition(":")
    try:
        gripper = (float(closed), float(opened))
    except ValueError:
        gripper = (math.nan, math.nan)
    if not all(map(math.isfinite, gripper)):
        raise DatasetError(f"--gripper is '{options.gripper}'; give CLOSED:OPEN")
    if gripper[0] == gripper[1]:
        raise DatasetError(f"--gripper is '{options.gripper}'; closed and open must differ")
    columns = tuple(name for name in options.columns.split(",") if name)
    return Naming(columns=columns, cameras=cameras, degrees=options.degrees, gripper=gripper)
