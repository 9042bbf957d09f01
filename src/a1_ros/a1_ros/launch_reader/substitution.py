"""$(...) in attribute values: the ones of ROS 2 Jazzy's launch that need no Python to be run."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TRUE, _FALSE = ("true", "1"), ("false", "0")


class SubstitutionError(ValueError):
    """What is wrong inside $(...); the reader adds file, element and attribute."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """What substitutions may look at."""

    configurations: Mapping[str, str]
    environment: Mapping[str, str]
    directory: Path


def expand(text: str, values: Values) -> str:
    """`text` with every $(...) replaced; they may stand inside each other."""
    expanded, end = _template(text, 0, values, nested=False)
    assert end == len(text)
    return expanded


def truth(text: str) -> bool:
    """A condition's value; only true, false, 1 and 0 are one."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise SubstitutionError(f"'{text}' is neither true nor false")


def _template(text: str, at: int, values: Values, *, nested: bool) -> tuple[str, int]:
    """Text up to its end; nested, up to an unquoted space or closing bracket."""
    out: list[str] = []
    quote = ""
    while at < len(text):
        here = text[at]
        if text.startswith("$(", at):
            replaced, at = _call(text, at + 2, values)
            out.append(replaced)
            continue
        if here == "\\" and at + 1 < len(text) and text[at + 1] in "\\'\"$()":
            out.append(text[at + 1])
            at += 2
            continue
        if nested and here in "'\"" and quote in ("", here):
            quote = "" if quote else here
        elif nested and not quote and here in " )":
            return "".join(out), at
        else:
            out.append(here)
        at += 1
    if nested:
        raise SubstitutionError(f"'{text}' has no closing bracket")
    return "".join(out), at


def _call(text: str, at: int, values: Values) -> tuple[str, int]:
    """One substitution, from behind its `$(` to behind its `)`."""
    match = _NAME.match(text, at)
    if match is None:
        raise SubstitutionError(f"'{text}': a name has to follow $(")
    arguments: list[str] = []
    at = match.end()
    while at < len(text) and text[at] == " ":
        argument, at = _template(text, at + 1, values, nested=True)
        arguments.append(argument)
    if at >= len(text) or text[at] != ")":
        raise SubstitutionError(f"'{text}' has no closing bracket")
    return _evaluate(match.group(), arguments, values), at + 1


def _evaluate(name: str, arguments: Sequence[str], values: Values) -> str:
    if name not in _ARITY:
        raise SubstitutionError(f"$({name}) is not known; known are {', '.join(sorted(_ARITY))}")
    if len(arguments) not in _ARITY[name]:
        wanted = " or ".join(str(count) for count in _ARITY[name])
        raise SubstitutionError(f"$({name}) takes {wanted} values, not {len(arguments)}")
    match name:
        case "var":
            return _looked_up("launch argument", values.configurations, arguments)
        case "env":
            return _looked_up("environment variable", values.environment, arguments)
        case "dirname":
            return str(values.directory)
        case "find-pkg-share" | "find-pkg-prefix":
            return _package(name, arguments[0])
        case "not":
            return _word(not truth(arguments[0]))
        case "and":
            return _word(truth(arguments[0]) & truth(arguments[1]))
        case "or":
            return _word(truth(arguments[0]) | truth(arguments[1]))
        case "equals":
            return _word(_equal(arguments[0], arguments[1]))
    assert name == "not-equals"
    return _word(not _equal(arguments[0], arguments[1]))


_ARITY = {
    "var": (1, 2),
    "env": (1, 2),
    "dirname": (0,),
    "find-pkg-share": (1,),
    "find-pkg-prefix": (1,),
    "not": (1,),
    "and": (2,),
    "or": (2,),
    "equals": (2,),
    "not-equals": (2,),
}


def _looked_up(what: str, known: Mapping[str, str], arguments: Sequence[str]) -> str:
    if arguments[0] in known:
        return known[arguments[0]]
    if len(arguments) == 2:
        return arguments[1]
    raise SubstitutionError(f"{what} '{arguments[0]}' is not set")


def _package(name: str, package: str) -> str:
    find = get_package_share_directory if name == "find-pkg-share" else get_package_prefix
    try:
        return find(package)
    except (PackageNotFoundError, ValueError) as error:
        searched = os.environ.get("AMENT_PREFIX_PATH", "")
        raise SubstitutionError(
            f"package '{package}' is not installed in AMENT_PREFIX_PATH ({searched})"
        ) from error


def _equal(left: str, right: str) -> bool:
    """As ros2 launch compares: truth values and numbers by what they mean, the rest by letter."""
    if {left.lower(), right.lower()} <= {*_TRUE, *_FALSE}:
        return truth(left) == truth(right)
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return left == right


def _word(value: bool) -> str:
    return "true" if value else "false"
