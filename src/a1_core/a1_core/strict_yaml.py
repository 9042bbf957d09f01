"""Reading YAML without forgiveness: every key taken once, nothing left over, errors with a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from a1_core.arrays import frozen_array
from a1_core.errors import A1Error


def read_mapping(path: Path, error: type[A1Error]) -> Mapping[str, Any]:
    """The mapping in a YAML file; `error` names the file when there is none."""
    return parse_mapping(read_bytes(path, error), path, error)


def read_bytes(path: Path, error: type[A1Error]) -> bytes:
    """All of a file; `error` names it when there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise error(f"{path}: no such file; check the name") from None
    except OSError as why:
        raise error(f"{path}: cannot be read ({why.strerror}); name a file") from None


def parse_mapping(data: bytes, path: Path, error: type[A1Error]) -> Mapping[str, Any]:
    """The mapping in the bytes of a YAML file; `error` names the file where they hold none."""
    try:
        content = yaml.load(data.decode(), Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as why:
        raise error(f"{path}: not readable as YAML: {why}") from None
    if not isinstance(content, Mapping):
        raise error(f"{path}: holds a {type(content).__name__}; write a mapping of keys")
    return content


class _UniqueKeys(yaml.SafeLoader):
    """Plain YAML, but a key written twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key_node.value}' is written twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


class Fields:
    """The keys of one mapping, to be taken one by one and closed with `done`."""

    def __init__(self, content: Any, where: str, error: type[A1Error]) -> None:
        self.where = where
        self._error = error
        if not isinstance(content, Mapping):
            raise error(f"{where}: is {content!r}; write a mapping of keys")
        self._left = dict(content)
        self._taken: list[str] = []

    def fail(self, key: str, value: object, mend: str) -> A1Error:
        """The error for a value, to be raised."""
        return self._error(f"{self.where}.{key}: is {value!r}; {mend}")

    def peek(self, key: str) -> Any:
        """The value of a key, left where it is; None where there is no such key."""
        return self._left.get(key)

    def has(self, key: str) -> bool:
        """Whether a key is there that may be left out."""
        if key not in self._taken:
            self._taken.append(key)
        return key in self._left

    def one_of(self, first: str, second: str) -> str:
        """Which of two keys is there, of which exactly one has to be."""
        found = [key for key in (first, second) if self.has(key)]
        if len(found) != 1:
            raise self._error(
                f"{self.where}: has {' and '.join(found) or 'neither'} of '{first}' and "
                f"'{second}'; write exactly one"
            )
        return found[0]

    def raw(self, key: str) -> Any:
        """The value of a key as YAML gave it."""
        self._taken.append(key)
        if key not in self._left:
            raise self._error(
                f"{self.where}: key '{key}' is missing; write it (left over: {sorted(self._left)})"
            )
        return self._left.pop(key)

    def text(self, key: str, allowed: Sequence[str] | None = None) -> str:
        value = self.raw(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, value, "write some text")
        if allowed is not None and value not in allowed:
            raise self.fail(key, value, f"write one of {', '.join(allowed)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.raw(key)
        good = isinstance(value, list) and value and all(isinstance(v, str) and v for v in value)
        if not good or len(set(value)) != len(value):
            raise self.fail(key, value, "write a list of different names")
        return tuple(value)

    def number(self, key: str, *, low: float | None = None) -> float:
        """A finite number, above `low` where given."""
        return self._number(key, self.raw(key), low)

    def number_or(self, key: str, word: str | None, *, low: float | None = None) -> float | None:
        """As `number`; None where `word` (None: YAML's null) stands in its place."""
        value = self.raw(key)
        return None if value == word else self._number(key, value, low)

    def _number(self, key: str, value: Any, low: float | None) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise self.fail(key, value, "write a finite number (with a point: 1.0e-3)")
        if low is not None and value <= low:
            raise self.fail(key, value, f"write a number above {low}")
        return float(value)

    def whole(self, key: str, *, least: int) -> int:
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.fail(key, value, f"write a whole number of at least {least}")
        return value

    def whole_or_none(self, key: str, *, least: int) -> int | None:
        if self._left.get(key, 0) is None:
            self.raw(key)
            return None
        return self.whole(key, least=least)

    def numbers(self, key: str, size: int) -> NDArray[np.float64]:
        """`size` finite numbers, read-only."""
        value = self.raw(key)
        good = isinstance(value, list) and len(value) == size
        if not good or any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
            raise self.fail(key, value, f"write {size} numbers")
        if not np.isfinite(value).all():
            raise self.fail(key, value, "write finite numbers")
        return frozen_array(value, np.float64)

    def rows(self, key: str, count: int, size: int) -> NDArray[np.float64]:
        """`count` rows of `size` finite numbers each, read-only."""
        value = self.raw(key)
        if not isinstance(value, list) or len(value) != count:
            raise self.fail(key, value, f"write {count} rows of {size} numbers")
        rows = Fields(
            {str(i): row for i, row in enumerate(value)}, f"{self.where}.{key}", self._error
        )
        return frozen_array([rows.numbers(str(i), size) for i in range(count)], np.float64)

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.raw(key)
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise self.fail(key, value, "write a mapping of names")
        return dict(value)

    def section(self, key: str) -> Fields:
        return Fields(self.raw(key), f"{self.where}.{key}", self._error)

    def sections(self, key: str) -> Iterator[Fields]:
        value = self.raw(key)
        if not isinstance(value, list) or not value:
            raise self.fail(key, value, "write a list of mappings")
        for index, item in enumerate(value):
            yield Fields(item, f"{self.where}.{key}[{index}]", self._error)

    def done(self) -> None:
        """Every key was taken, or the first unknown one is named."""
        if self._left:
            raise self._error(
                f"{self.where}: key '{sorted(self._left)[0]}' is unknown; "
                f"allowed: {', '.join(sorted(set(self._taken)))}"
            )
