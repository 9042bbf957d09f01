"""Frozen dataclasses to plain lists, numbers and strings, and strictly back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def to_plain(config: Any) -> dict[str, Any]:
    """Every field but those that are equal to their default."""
    content = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value == field.default:
            continue
        if isinstance(value, tuple):
            value = [to_plain(v) if dataclasses.is_dataclass(v) else v for v in value]
        content[field.name] = to_plain(value) if dataclasses.is_dataclass(value) else value
    return content


def from_plain(
    content: Mapping[str, Any], cls: type, nested: Mapping[str, type], where: str = ""
) -> Any:
    """The inverse of `to_plain`.

    Args:
        nested: classes of the fields that are dataclasses themselves, by their dotted path.
        where: path of `content`.

    Raises:
        ValueError: a key is unknown, or missing and without a default, or a value is impossible.
    """
    fields = dataclasses.fields(cls)
    required = {f.name for f in fields if f.default is dataclasses.MISSING}
    wrong = sorted((required - set(content)) | (set(content) - {f.name for f in fields}))
    if wrong:
        raise ValueError(f"{where or 'model'}: missing or unknown keys {wrong}")
    values = {}
    for name, value in content.items():
        path = f"{where}.{name}" if where else name
        inner = nested.get(path)
        if isinstance(value, list):
            value = tuple(from_plain(v, inner, nested, path) if inner else v for v in value)
        elif inner is not None and value is not None:
            value = from_plain(value, inner, nested, path)
        values[name] = value
    return cls(**values)


def one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    """ValueError, naming field, value and what is allowed, for any other word."""
    if value not in allowed:
        raise ValueError(f"{field}: {value!r} is not one of {', '.join(allowed)}")
