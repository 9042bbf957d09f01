"""Carries out a launch file's elements in order, as `ros2 launch` of Jazzy does.

Includes share the scope of the file that includes them; a group has a scope of its own unless it
says scoped="false". What is not known is an error that names file, line, element and attribute.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from a1_ros.launch_reader.description import Argument, NodeRun, ParameterValue
from a1_ros.launch_reader.document import Element, LaunchError, parse
from a1_ros.launch_reader.substitution import SubstitutionError, Values, expand, truth

_CONDITIONS = ("if", "unless")
_TYPES: dict[str, Callable[[str], ParameterValue]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": truth,
}


@dataclass(kw_only=True)
class _Scope:
    configurations: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    parameters: list[Path | Mapping[str, ParameterValue]] = field(default_factory=list)
    remappings: list[tuple[str, str]] = field(default_factory=list)
    namespace: str = ""
    directory: Path

    def copied(self) -> "_Scope":
        return replace(
            self,
            configurations=dict(self.configurations),
            environment=dict(self.environment),
            parameters=list(self.parameters),
            remappings=list(self.remappings),
        )


def read(path: Path, arguments: Mapping[str, str]) -> list[NodeRun]:
    """The nodes that `path` starts when given `arguments`; LaunchError for what does not fit."""
    reader = _Reader()
    scope = _Scope(configurations=dict(arguments), directory=path.resolve().parent)
    reader.run_file(path.resolve(), scope)
    unknown = [name for name in arguments if name not in reader.declared]
    if unknown:
        raise LaunchError(
            f"{path}: no argument '{unknown[0]}'; there are: {', '.join(sorted(reader.declared))}"
        )
    return reader.nodes


def declared_arguments(path: Path) -> list[Argument]:
    """Arguments of a file, and of its includes as far as it does not set them, in order."""
    found: dict[str, Argument] = {}
    _collect(parse(path), path.resolve().parent, found, set())
    return list(found.values())


def _collect(
    element: Element, directory: Path, found: dict[str, Argument], settled: set[str]
) -> None:
    for child in element.children:
        if child.tag == "arg" and child.attributes.get("name") not in settled:
            argument = _argument(child)
            found.setdefault(argument.name, argument)
        elif child.tag == "group":
            _collect(child, directory, found, settled)
        elif child.tag == "include":
            values = Values(configurations={}, environment=os.environ, directory=directory)
            try:
                included = Path(expand(child.attributes.get("file", ""), values))
            except SubstitutionError:
                continue  # which file it is depends on an argument
            given = {c.attributes.get("name", "") for c in child.children} | settled
            if included.is_file() and included.suffix == ".xml":
                _collect(parse(included), included.resolve().parent, found, given)


def _argument(element: Element) -> Argument:
    element.check(required=["name"], allowed=["default", "description", *_CONDITIONS])
    element.check_children("choice")
    for choice in element.children:
        choice.check(required=["value"])
    return Argument(
        name=element.attributes["name"],
        default=element.attributes.get("default"),
        description=element.attributes.get("description", ""),
        choices=tuple(choice.attributes["value"] for choice in element.children),
    )


class _Reader:
    def __init__(self) -> None:
        self.nodes: list[NodeRun] = []
        self.declared: dict[str, Argument] = {}
        self._actions = {
            "arg": self._arg,
            "let": self._let,
            "include": self._include,
            "group": self._group,
            "node": self._node,
            "set_env": self._set_env,
            "set_parameter": self._set_parameter,
            "set_parameters_from_file": self._set_parameters_from_file,
            "set_remap": self._set_remap,
            "push_ros_namespace": self._push_namespace,
            "push-ros-namespace": self._push_namespace,
        }

    def run_file(self, path: Path, scope: _Scope) -> None:
        root = parse(path)
        root.check(allowed=["version"])
        before, scope.directory = scope.directory, path.parent
        self._run_all(root, scope)
        scope.directory = before

    def _run_all(self, parent: Element, scope: _Scope) -> None:
        for element in parent.children:
            action = self._actions.get(element.tag)
            if action is None:
                raise element.error(f"not known; known are {', '.join(self._actions)}")
            if self._holds(element, scope):
                action(element, scope)

    def _holds(self, element: Element, scope: _Scope) -> bool:
        if "if" in element.attributes and "unless" in element.attributes:
            raise element.error("stands beside 'unless'; give one of them", "if")
        for name, wanted in (("if", True), ("unless", False)):
            if name in element.attributes:
                try:
                    return truth(self._value(element, name, scope)) is wanted
                except SubstitutionError as error:
                    raise element.error(str(error), name) from error
        return True

    def _value(self, element: Element, name: str, scope: _Scope) -> str:
        values = Values(
            configurations=scope.configurations,
            environment={**os.environ, **scope.environment},
            directory=scope.directory,
        )
        try:
            return expand(element.attributes[name], values)
        except SubstitutionError as error:
            raise element.error(str(error), name) from error

    def _arg(self, element: Element, scope: _Scope) -> None:
        argument = _argument(element)
        self.declared.setdefault(argument.name, argument)
        if argument.name not in scope.configurations:
            if argument.default is None:
                raise element.error(
                    f"needs a value: {argument.name}:=... ({argument.description})", "default"
                )
            scope.configurations[argument.name] = self._value(element, "default", scope)
        value = scope.configurations[argument.name]
        if argument.choices and value not in argument.choices:
            raise element.error(
                f"{argument.name}:={value} is none of {', '.join(argument.choices)}"
            )

    def _let(self, element: Element, scope: _Scope) -> None:
        element.check(required=["name", "value"], allowed=_CONDITIONS)
        element.check_children()
        scope.configurations[self._value(element, "name", scope)] = self._value(
            element, "value", scope
        )

    def _include(self, element: Element, scope: _Scope) -> None:
        element.check(required=["file"], allowed=_CONDITIONS)
        element.check_children("arg", "let")
        path = Path(self._value(element, "file", scope))
        given = {}
        for child in element.children:
            child.check(required=["name", "value"])
            given[self._value(child, "name", scope)] = self._value(child, "value", scope)
        if path.suffix != ".xml":
            raise element.error(
                f"'{path}' is no XML launch file; it needs `ros2 launch` of a ROS 2 installation",
                "file",
            )
        if not path.is_file():
            raise element.error(f"'{path}' does not exist", "file")
        scope.configurations.update(given)
        self.run_file(path, scope)

    def _group(self, element: Element, scope: _Scope) -> None:
        element.check(allowed=["scoped", *_CONDITIONS])
        scoped = element.attributes.get("scoped", "true").lower()
        if scoped not in ("true", "false"):
            raise element.error(f"'{scoped}' is neither true nor false", "scoped")
        self._run_all(element, scope.copied() if scoped == "true" else scope)

    def _set_env(self, element: Element, scope: _Scope) -> None:
        element.check(required=["name", "value"], allowed=_CONDITIONS)
        name = self._value(element, "name", scope)
        scope.environment[name] = self._value(element, "value", scope)

    def _set_parameter(self, element: Element, scope: _Scope) -> None:
        element.check(required=["name", "value"], allowed=_CONDITIONS)
        name = self._value(element, "name", scope)
        scope.parameters.append({name: self._typed(element, scope)})

    def _set_parameters_from_file(self, element: Element, scope: _Scope) -> None:
        element.check(required=["filename"], allowed=_CONDITIONS)
        scope.parameters.append(self._parameter_file(element, "filename", scope))

    def _set_remap(self, element: Element, scope: _Scope) -> None:
        element.check(required=["from", "to"], allowed=_CONDITIONS)
        scope.remappings.append(self._remapping(element, scope))

    def _push_namespace(self, element: Element, scope: _Scope) -> None:
        element.check(required=["namespace"], allowed=_CONDITIONS)
        scope.namespace = _joined(scope.namespace, self._value(element, "namespace", scope))

    def _node(self, element: Element, scope: _Scope) -> None:
        element.check(
            required=["pkg", "exec"],
            allowed=["name", "namespace", "args", "output", "on_exit", *_CONDITIONS],
        )
        element.check_children("param", "remap", "env")
        for name, choices in (("output", ("screen", "both")), ("on_exit", ("shutdown",))):
            if element.attributes.get(name, choices[0]) not in choices:
                raise element.error(f"known is {' or '.join(choices)}", name)
        text = {name: self._value(element, name, scope) for name in element.attributes}
        environment = dict(scope.environment)
        parameters = list(scope.parameters)
        remappings = list(scope.remappings)
        for child in element.children:
            if child.tag == "env":
                child.check(required=["name", "value"])
                environment[self._value(child, "name", scope)] = self._value(child, "value", scope)
            elif child.tag == "remap":
                child.check(required=["from", "to"])
                remappings.append(self._remapping(child, scope))
            else:
                parameters.append(self._parameter(child, scope))
        self.nodes.append(
            NodeRun(
                package=text["pkg"],
                executable=text["exec"],
                name=text.get("name", ""),
                namespace=_joined(scope.namespace, text.get("namespace", "")),
                parameters=tuple(parameters),
                remappings=tuple(remappings),
                arguments=tuple(shlex.split(text.get("args", ""))),
                environment=environment,
                stops_all="on_exit" in element.attributes,
                place=f"{element.path}:{element.line}",
            )
        )

    def _remapping(self, element: Element, scope: _Scope) -> tuple[str, str]:
        return self._value(element, "from", scope), self._value(element, "to", scope)

    def _parameter(self, element: Element, scope: _Scope) -> Path | Mapping[str, ParameterValue]:
        element.check_children()
        if "from" not in element.attributes:
            element.check(required=["name", "value"], allowed=["type"])
            return {self._value(element, "name", scope): self._typed(element, scope)}
        element.check(required=["from"])
        return self._parameter_file(element, "from", scope)

    def _parameter_file(self, element: Element, attribute: str, scope: _Scope) -> Path:
        path = Path(self._value(element, attribute, scope))
        if not path.is_file():
            raise element.error(f"'{path}' does not exist", attribute)
        return path

    def _typed(self, element: Element, scope: _Scope) -> ParameterValue:
        """The value as the type asked for, else as YAML reads it."""
        text = self._value(element, "value", scope)
        wanted = element.attributes.get("type")
        if wanted is None:
            value = yaml.safe_load(text)
            if isinstance(value, bool | int | float | list):
                return value
            return text
        if wanted not in _TYPES:
            raise element.error(f"'{wanted}' is none of {', '.join(_TYPES)}", "type")
        try:
            return _TYPES[wanted](text)
        except ValueError as error:
            raise element.error(f"'{text}' is no {wanted}", "value") from error


def _joined(outer: str, inner: str) -> str:
    """Namespaces put together; an absolute one starts anew."""
    if inner.startswith("/") or not outer:
        return inner
    return f"{outer.rstrip('/')}/{inner}" if inner else outer
