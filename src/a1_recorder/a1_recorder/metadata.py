"""metadata.yaml of a bag: as rosbag2 writes it, changed without ever being half written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from a1_core.errors import BagError
from a1_data.definitions import Definition

METADATA = "metadata.yaml"
VERSION = 9
INFORMATION = "rosbag2_bagfile_information"


@dataclass(frozen=True, kw_only=True)
class TopicCount:
    """A topic in the bag and how many messages it has."""

    topic: str
    definition: Definition
    messages: int


def bag_metadata(
    file: str,
    topics: Sequence[TopicCount],
    *,
    first_ns: int,
    last_ns: int,
    custom: Mapping[str, str],
) -> dict[str, Any]:
    """Content of metadata.yaml for a bag of one MCAP file; times are those of receipt."""
    start = {"nanoseconds_since_epoch": first_ns}
    duration = {"nanoseconds": max(0, last_ns - first_ns)}
    total = sum(topic.messages for topic in topics)
    return {
        INFORMATION: {
            "version": VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [file],
            "duration": duration,
            "starting_time": start,
            "message_count": total,
            "topics_with_message_count": [
                {
                    "topic_metadata": {
                        "name": topic.topic,
                        "type": topic.definition.msgtype,
                        "serialization_format": "cdr",
                        "offered_qos_profiles": [],
                        "type_description_hash": topic.definition.digest,
                    },
                    "message_count": topic.messages,
                }
                for topic in topics
            ],
            "compression_format": "",
            "compression_mode": "",
            "files": [
                {
                    "path": file,
                    "starting_time": start,
                    "duration": duration,
                    "message_count": total,
                }
            ],
            "custom_data": dict(custom),
            "ros_distro": "jazzy",
        }
    }


def write_metadata(folder: Path, content: Mapping[str, Any]) -> None:
    """Write metadata.yaml of a bag's folder; OSError leaves the one before as it is."""
    draft = folder / f"{METADATA}.draft"
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / METADATA)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def change_custom(folder: Path, changes: Mapping[str, str]) -> None:
    """Set entries of custom_data; BagError when metadata.yaml cannot be read or written."""
    path = folder / METADATA
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        information = content[INFORMATION]
        information["custom_data"] = {**(information.get("custom_data") or {}), **changes}
        write_metadata(folder, content)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BagError(f"{path}: cannot be changed ({error}); label the episode by hand") from None


class _Dumper(yaml.SafeDumper):
    """Without anchors: rosbag2's reader is happier, and so are people."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
