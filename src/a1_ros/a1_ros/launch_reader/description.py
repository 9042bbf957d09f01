"""What a launch file comes to: declared arguments and nodes to run, nothing left to substitute."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ParameterValue = bool | int | float | str | list


@dataclass(frozen=True, kw_only=True)
class Argument:
    """A declared argument; `default` None: it has to be given."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NodeRun:
    """One process to start."""

    package: str
    executable: str
    name: str
    namespace: str
    parameters: tuple[Path | Mapping[str, ParameterValue], ...]
    remappings: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    stops_all: bool
    place: str
