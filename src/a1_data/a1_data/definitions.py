"""Message definitions as a bag carries them, so that it can be read where nothing is installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from a1_core.errors import A1Error
from a1_data.share import find_definition


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Of one message type.

    Attributes:
        msgtype: e.g. sensor_msgs/msg/Image.
        text: its .msg and those of all it holds, as MCAP's encoding ros2msg puts them together.
        digest: the type's RIHS01 hash.
    """

    msgtype: str
    text: str
    digest: str


class Definitions:
    """Standard messages, and those whose .msg files lie in a share folder."""

    def __init__(self) -> None:
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._made: dict[str, Definition] = {}

    def of(self, msgtype: str) -> Definition:
        """The definition of a type; A1Error where its .msg file is not found or cannot be read."""
        if msgtype not in self._made:
            self._learn(msgtype)
            text, _ = self._store.generate_msgdef(msgtype, ros_version=2)
            digest = self._store.hash_rihs01(msgtype)
            self._made[msgtype] = Definition(msgtype=msgtype, text=text, digest=digest)
        return self._made[msgtype]

    def serialised(self, msgtype: str, **fields: Any) -> bytes:
        """A message as it goes into a bag; every field is given, as rosbags' types want them.

        Raises A1Error as `of` does.
        """
        self._learn(msgtype)
        return bytes(self._store.serialize_cdr(self._store.types[msgtype](**fields), msgtype))

    def make(self, msgtype: str, **fields: Any) -> Any:
        """A part of a message, such as a header; A1Error as `of` does."""
        self._learn(msgtype)
        return self._store.types[msgtype](**fields)

    def _learn(self, msgtype: str) -> None:
        if msgtype in self._store.fielddefs:
            return
        text = find_definition(msgtype)
        if text is None:
            raise A1Error(f"{msgtype}: its .msg file is not found; source the workspace it is from")
        try:
            types = get_types_from_msg(text, msgtype)
            for name in set(_mentioned(types)) - types.keys():
                self._learn(name)
            self._store.register(types)
        except TypesysError as error:
            raise A1Error(f"{msgtype}: its .msg file cannot be read ({error})") from None


def _mentioned(node: Any) -> Iterator[str]:
    """Every type named within a parsed definition."""
    if isinstance(node, str):
        if "/msg/" in node:
            yield node
    elif isinstance(node, dict):
        yield from _mentioned(list(node.values()))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _mentioned(item)
