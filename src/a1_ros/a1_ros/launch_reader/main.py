"""Console script `launch`: `launch PACKAGE FILE [NAME:=VALUE...]`, like `ros2 launch`."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from a1_core.errors import A1Error
from a1_ros.launch_reader.command import command_for
from a1_ros.launch_reader.document import LaunchError
from a1_ros.launch_reader.reader import declared_arguments, read
from a1_ros.launch_reader.runner import run
from a1_ros.launch_reader.substitution import SubstitutionError, Values, expand


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all nodes ended well, 1 one did not, 2 the launch file or its use is wrong."""
    parser = argparse.ArgumentParser(prog="launch", description=__doc__)
    parser.add_argument("package", help="package that installs the file")
    parser.add_argument("file", help="launch file in the package's share/launch, or a path")
    parser.add_argument("values", nargs="*", metavar="NAME:=VALUE", help="arguments of the file")
    parser.add_argument("-s", "--show-args", action="store_true", help="list them and end")
    options = parser.parse_args(arguments)
    try:
        path = find_file(options.package, options.file)
        if options.show_args:
            print(shown_arguments(path))
            return 0
        nodes = read(path, given_values(options.values))
        with tempfile.TemporaryDirectory(prefix="a1_launch_") as folder:
            commands = [
                command_for(node, index=index, folder=Path(folder))
                for index, node in enumerate(nodes)
            ]
            return run(commands)
    except A1Error as error:
        print(f"launch: {error}", file=sys.stderr)
        return 2


def find_file(package: str, file: str) -> Path:
    """The file itself if it exists, else the one of that name in the package's share."""
    if Path(file).is_file():
        return Path(file)
    values = Values(configurations={}, environment={}, directory=Path())
    try:
        share = Path(expand(f"$(find-pkg-share {package})", values))
    except SubstitutionError as error:
        raise LaunchError(str(error)) from error
    folder = share / "launch"
    if not (folder / file).is_file():
        known = ", ".join(sorted(p.name for p in folder.glob("*.launch.xml")))
        raise LaunchError(f"{folder} has no file '{file}'; there are: {known}")
    return folder / file


def given_values(words: Sequence[str]) -> dict[str, str]:
    """NAME:=VALUE words as a dictionary."""
    values = {}
    for word in words:
        name, sign, value = word.partition(":=")
        if not sign or not name:
            raise LaunchError(f"'{word}' is not of the form NAME:=VALUE")
        values[name] = value
    return values


def shown_arguments(path: Path) -> str:
    """The arguments of a launch file, for a person."""
    lines = [f"Arguments of {path.name}, as NAME:=VALUE:"]
    for argument in declared_arguments(path):
        default = "to be given" if argument.default is None else f"default '{argument.default}'"
        choices = f", one of {', '.join(argument.choices)}" if argument.choices else ""
        lines.append(f"  {argument.name}  ({default}{choices})\n      {argument.description}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
