"""A launch file as elements that know where they stand, and the error that says so."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError, ParserCreate

from a1_core.errors import A1Error


class LaunchError(A1Error):
    """A launch file or its arguments are wrong; the message names file, element and attribute."""


@dataclass(frozen=True, kw_only=True)
class Element:
    """One XML element with its place in the file."""

    tag: str
    attributes: dict[str, str]
    children: tuple["Element", ...]
    path: Path
    line: int

    def error(self, what: str, attribute: str | None = None) -> LaunchError:
        """An error at this element, about one of its attributes if named."""
        about = f" attribute '{attribute}'" if attribute else ""
        return LaunchError(f"{self.path}:{self.line}: <{self.tag}>{about}: {what}")

    def check(self, *, required: Iterable[str] = (), allowed: Iterable[str] = ()) -> None:
        """Refuse attributes that are not known here, and the absence of required ones."""
        known = [*required, *allowed]
        for name in self.attributes:
            if name not in known:
                raise self.error(f"not known here; known are {', '.join(known)}", name)
        for name in required:
            if name not in self.attributes:
                raise self.error("missing", name)

    def check_children(self, *tags: str) -> None:
        """Refuse children with other tags."""
        for child in self.children:
            if child.tag not in tags:
                raise child.error(
                    f"not known inside <{self.tag}>; known are {', '.join(tags) or 'none'}"
                )


def parse(path: Path) -> Element:
    """The root element <launch> of a file; LaunchError when it is missing or no launch file."""
    builder = _Builder(path)
    try:
        builder.parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise LaunchError(f"{path}: cannot be read: {error.strerror}") from error
    except ExpatError as error:
        raise LaunchError(f"{path}: is not well-formed XML: {error}") from error
    (root,) = builder.found
    if root.tag != "launch":
        raise LaunchError(f"{path}: the outermost element is <{root.tag}>, not <launch>")
    return root


class _Builder:
    """Makes elements as the parser meets their ends."""

    def __init__(self, path: Path) -> None:
        self.found: list[Element] = []
        self.parser = ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._path = path
        self._open: list[tuple[dict[str, str], int, list[Element]]] = []

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._open.append((attributes, self.parser.CurrentLineNumber, self.found))
        self.found = []

    def _end(self, tag: str) -> None:
        attributes, line, siblings = self._open.pop()
        element = Element(
            tag=tag,
            attributes=attributes,
            children=tuple(self.found),
            path=self._path,
            line=line,
        )
        self.found = [*siblings, element]

    def _text(self, text: str) -> None:
        if text.strip():
            line = self.parser.CurrentLineNumber
            raise LaunchError(f"{self._path}:{line}: text '{text.strip()}' has no meaning here")
