"""A robot spec without gaps, for a stand-in that makes up what nobody has published.

The numbers are the stand-in's own and say nothing of the robot: the copy is for simulation only,
and its digest is not that of the shipped spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from a1_core.errors import SpecError
from a1_core.strict_yaml import read_mapping
from a1_core.whole_file import write_whole

GAP = "GAP"
SOURCE = "made up by the stand-in; says nothing of the robot"
REACH_M = 2.0


def write_filled(shipped: Path, copy: Path) -> Path:
    """Write `shipped` to `copy` with its gaps filled; returns `copy`."""
    content = _filled(read_mapping(shipped, SpecError), ())
    write_whole(copy, yaml.safe_dump(content, sort_keys=False))
    return copy


def _filled(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        if "workspace" in path and value.get("value") == GAP:
            return {"lower": [-REACH_M] * 3, "upper": [REACH_M] * 3, "source": SOURCE}
        return {key: _filled(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, path) for item in value]
    return _made_up(path[-1]) if value == GAP and _is_needed(path) else value


def _is_needed(path: tuple[str, ...]) -> bool:
    """Vendor limits, kinematics and a stream's silence may stay open in simulation."""
    return path[0] not in ("vendor_limits", "kinematics") and path[-1] != "silence"


def _made_up(key: str) -> Any:
    return {"closed": 0.0, "open": 1.0, "unit": "rad"}.get(key, f"stand_in_{key}")
