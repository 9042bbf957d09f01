"""Messages from recorded bytes, by the definition the bag itself holds where it holds one."""

from __future__ import annotations

import struct
from typing import Any

import zstandard
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.serde import SerdeError
from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)
from rosbags.typesys.store import Typestore

from a1_data.channel import CDR, Channel, Raw
from a1_data.findings import Findings
from a1_data.share import find_definition
from a1_data.storage import decompressed

COMMON = get_typestore(Stores.ROS2_JAZZY)
"""The definitions that every ROS 2 installation has."""

FIELDS = {
    "sensor_msgs/msg/Image": {
        "header",
        "height",
        "width",
        "encoding",
        "is_bigendian",
        "step",
        "data",
    },
    "sensor_msgs/msg/CompressedImage": {"header", "format", "data"},
    "sensor_msgs/msg/JointState": {"header", "name", "position"},
    "std_msgs/msg/String": {"data"},
    "a1_msgs/msg/EpisodeState": {"episode", "running", "success", "failed", "instruction"},
    "a1_msgs/msg/ActionChunk": {
        "header",
        "session_id",
        "seq",
        "robot",
        "period",
        "valid_for",
        "horizon",
    },
    "a1_msgs/msg/ChunkVerdict": {"header", "session_id", "seq", "code", "detail"},
    "a1_msgs/msg/ControllerState": {
        "header",
        "mode",
        "names",
        "position",
        "reason",
        "session_id",
        "seq",
        "row",
        "tracking_error",
    },
    "a1_msgs/msg/ExitState": {
        "header",
        "seq",
        "exit_layer",
        "num_layers",
        "flops_fraction",
        "reason",
        "observation_age_ms",
        "total_ms",
    },
    "a1_msgs/msg/ObservationRefusal": {"header", "code", "message"},
    "a1_msgs/msg/ThresholdsInfo": {"mode", "thresholds_digest", "checkpoint_digest", "certified"},
}
"""The messages that are read, and what is read of them."""

LARGEST_REST = 64
"""Bytes that may follow a message; more say that it was read by the wrong definition."""

_ENDIAN = {b"\x00\x00": "deserialize_cdr_be", b"\x00\x01": "deserialize_cdr_le"}
_BAD_BYTES = (struct.error, UnicodeDecodeError, ValueError)
_PARSERS = {
    MessageDefinitionFormat.MSG: get_types_from_msg,
    MessageDefinitionFormat.IDL: get_types_from_idl,
}


class Undecodable(Exception):
    """One message cannot be decoded; the text says why."""


class Decoder:
    """Decodes the messages of one bag; a channel's definition is parsed once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._stores: dict[tuple[str, MessageDefinition], Typestore | None] = {}

    def decode(self, raw: Raw) -> Any:
        """The message, with the fields that its definition names.

        Raises Undecodable.
        """
        channel = raw.channel
        store = self._store(channel)
        if store is None:
            raise Undecodable(f"no usable definition of {channel.msgtype}")
        try:
            return _deserialised(store, decompressed(raw.data), channel.msgtype)
        except (SerdeError, zstandard.ZstdError, *_BAD_BYTES) as error:
            raise Undecodable(f"{channel.msgtype}: {error}") from None

    def _store(self, channel: Channel) -> Typestore | None:
        key = (channel.msgtype, channel.definition)
        if key not in self._stores:
            self._stores[key] = self._make(channel)
        return self._stores[key]

    def _make(self, channel: Channel) -> Typestore | None:
        if channel.serialization != CDR:
            self._findings.add(
                "BAD_DEFINITION",
                channel.topic,
                f"is serialised as '{channel.serialization}'",
                f"record it with a middleware that serialises as {CDR}",
            )
            return None
        reason = "the bag holds none and ROS 2 has none of that name"
        for definition in (channel.definition, _definition_by_name(channel.msgtype)):
            try:
                store = _store_of(channel.msgtype, definition)
                missing = FIELDS[channel.msgtype] - _fields(store, channel.msgtype)
            except (TypesysError, LookupError, ValueError, SyntaxError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                continue
            if not missing:
                return store
            reason = f"it has no field {', '.join(sorted(missing))}"
        self._findings.add(
            "BAD_DEFINITION",
            channel.topic,
            f"the definition of {channel.msgtype} cannot be used: {reason}",
            "source the workspace that defines it, or record with MCAP, which keeps definitions",
        )
        return None


def _deserialised(store: Typestore, data: bytes, msgtype: str) -> Any:
    """As rosbags' own deserialize_cdr, but forgiving what ROS 2 leaves at the end of a message.

    rmw_fastrtps' serialize (and so rclpy's and rosbag2's writers) hands out its estimate of the
    size, which is up to 4 bytes too long for every empty sequence of doubles.
    """
    if data[:2] not in _ENDIAN:
        raise SerdeError(f"begins with {data[:2].hex() or 'nothing'}, which is no plain CDR")
    definition: Any = store.get_msgdef(msgtype)
    body = memoryview(data)[4:]
    function = getattr(definition, _ENDIAN[data[:2]])
    message, end = function(body, 0, definition.cls, store)
    if not len(body) - LARGEST_REST <= end <= len(body):
        raise SerdeError(f"ends at byte {end} of {len(body)}; is its definition another one?")
    return message


def _definition_by_name(msgtype: str) -> MessageDefinition:
    """For a bag that holds none: what an installed package says; else the common one."""
    text = None if msgtype in COMMON.fielddefs else find_definition(msgtype)
    if text is None:
        return MessageDefinition(MessageDefinitionFormat.NONE, "")
    return MessageDefinition(MessageDefinitionFormat.MSG, text)


def _store_of(msgtype: str, definition: MessageDefinition) -> Typestore:
    """A store with that definition first and the common ones for what it refers to."""
    if definition.format == MessageDefinitionFormat.NONE:
        COMMON.get_msgdef(msgtype)
        return COMMON
    store = Typestore()
    store.register(_PARSERS[definition.format](definition.data, msgtype))
    for name, fields in COMMON.fielddefs.items():
        if name not in store.fielddefs:
            store.fielddefs[name] = fields
            store.types[name] = COMMON.types[name]
    store.get_msgdef(msgtype)
    return store


def _fields(store: Typestore, msgtype: str) -> set[str]:
    return {name for name, _ in store.fielddefs[msgtype][1]}
