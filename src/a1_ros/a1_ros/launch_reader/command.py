"""From a node's description to the process that `ros2 launch` would start."""

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from a1_ros.launch_reader.description import NodeRun
from a1_ros.launch_reader.document import LaunchError


@dataclass(frozen=True, kw_only=True)
class Command:
    """A process to start; `label` marks its output."""

    label: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    stops_all: bool


def command_for(node: NodeRun, *, index: int, folder: Path) -> Command:
    """The process of `node`; parameters given by value are written to a file in `folder`."""
    program = find_executable(node.package, node.executable, where=node.place)
    argv = [str(program), *node.arguments, "--ros-args"]
    if node.name:
        argv += ["-r", f"__node:={node.name}"]
    if node.namespace:
        argv += ["-r", f"__ns:=/{node.namespace.strip('/')}"]
    # Of two entries that match a node the one whose KEY came first loses, whatever its values.
    wildcard = f"/**/{node.name}" if node.name else "/**"
    for number, parameters in enumerate(node.parameters):
        if isinstance(parameters, Path):
            path = parameters
        else:
            path = folder / f"{index}_{number}.yaml"
            content = {wildcard: {"ros__parameters": dict(parameters)}}
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
        argv += ["--params-file", str(path)]
    for old, new in node.remappings:
        argv += ["-r", f"{old}:={new}"]
    return Command(
        label=node.name or node.executable,
        argv=tuple(argv),
        environment={**os.environ, "PYTHONUNBUFFERED": "1", **node.environment},
        stops_all=node.stops_all,
    )


def find_executable(package: str, name: str, *, where: str) -> Path:
    """Where `ros2 run` would find it: lib/PACKAGE/NAME of the first prefix that has it.

    `where` opens the LaunchError when none has.
    """
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for prefix in prefixes:
        path = Path(prefix) / "lib" / package / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise LaunchError(
        f"{where}: package '{package}' has no executable '{name}' in "
        f"AMENT_PREFIX_PATH ({os.pathsep.join(prefixes)}); is it built and sourced?"
    )
