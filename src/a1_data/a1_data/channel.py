"""What storages give: channels and messages, not decoded."""

from __future__ import annotations

from typing import NamedTuple

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

CDR = "cdr"
NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")
FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}
"""Names of a definition's language in files."""


class Channel(NamedTuple):
    """One topic in one data file. `definition` is the message's, as far as the file holds it."""

    topic: str
    msgtype: str
    definition: MessageDefinition
    serialization: str


class Raw(NamedTuple):
    """One message as it was recorded; `received_ns` is when the recorder got it."""

    channel: Channel
    received_ns: int
    data: bytes


def definition_of(language: str, text: str) -> MessageDefinition:
    """The definition in a file; an unknown language counts as none."""
    return MessageDefinition(FORMATS[language], text) if language in FORMATS else NO_DEFINITION
