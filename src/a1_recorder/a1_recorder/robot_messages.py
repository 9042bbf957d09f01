"""A robot's messages made of numbers and pictures, as its own drivers would have sent them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from a1_core.errors import SpecError
from a1_core.spec import CameraSpec, RobotSpec
from a1_core.times import NS_PER_S
from a1_data.commands import MSGTYPE, TOPIC, TRACKING
from a1_data.definitions import Definitions
from a1_data.episodes import INSTRUCTION_TOPIC, TEXT
from a1_data.lerobot.drivers import NUMBERS
from a1_data.streams import COMPRESSED_IMAGE, IMAGE, JOINT_STATE, absolute
from a1_recorder.bag_writer import BagWriter


class RobotMessages:
    """Writes one robot's moments to a bag.

    What a tick needs is written before the image that sets it, so that whoever reads the bag in
    order makes the observation of that very moment, at any rate.

    Raises SpecError where the spec has no numbers for a gripper.
    """

    def __init__(self, bag: BagWriter, spec: RobotSpec, definitions: Definitions) -> None:
        gaps = [gap for gripper in spec.grippers for gap in gripper.gaps if "command" not in gap]
        if gaps:
            raise SpecError(f"{spec.path}: {', '.join(gaps)} is a GAP; measure it on the robot")
        self._bag, self._spec, self._definitions = bag, spec, definitions
        self._channels: dict[str, int] = {}
        self._task = ""

    def write(
        self,
        stamp_ns: int,
        images: Mapping[str, NDArray[np.uint8]],
        state_D: NDArray[np.float32],
        action_D: NDArray[np.float32],
        task: str,
        driver: str = "",
    ) -> None:
        """One moment: cameras by the spec's names, state and command in the spec's columns.

        `driver` is who drove, a name of `a1_data.lerobot.drivers`; empty where nobody knows.
        """
        if task != self._task:
            self._task = task
            self._put(INSTRUCTION_TOPIC, TEXT, stamp_ns, data=task)
        self.command(stamp_ns, state_D, action_D, driver)
        self.joints(stamp_ns, state_D)
        for camera in reversed(self._spec.cameras):
            self.picture(camera, stamp_ns, images[camera.name])

    def command(
        self,
        stamp_ns: int,
        state_D: NDArray[np.float32],
        action_D: NDArray[np.float32],
        driver: str = "",
    ) -> None:
        """What the controller says it commands."""
        told = self._commanded(stamp_ns, state_D, action_D)
        told["source"] = NUMBERS.get(driver, 0)
        # On the wire only a session makes a source count.
        session = np.full(16, driver in NUMBERS, np.uint8)
        told["session_id"] = self._definitions.make("unique_identifier_msgs/msg/UUID", uuid=session)
        self._put(TOPIC, MSGTYPE, stamp_ns, **told)

    def joints(self, stamp_ns: int, state_D: NDArray[np.float32]) -> None:
        """The joint states of every topic."""
        for topic, fields in self._joint_states(stamp_ns, state_D):
            self._put(topic, JOINT_STATE, stamp_ns, **fields)

    def picture(self, camera: CameraSpec, stamp_ns: int, rgb: NDArray[np.uint8]) -> None:
        """One image of one camera."""
        kind = IMAGE if camera.type == "raw" else COMPRESSED_IMAGE
        fields = self._image(camera, stamp_ns, rgb)
        self._put(absolute(camera.topic), kind, stamp_ns, **fields)

    def _put(self, topic: str, msgtype: str, stamp_ns: int, **fields: Any) -> None:
        if topic not in self._channels:
            self._channels[topic] = self._bag.add_channel(topic, self._definitions.of(msgtype))
        data = self._definitions.serialised(msgtype, **fields)
        self._bag.write(self._channels[topic], stamp_ns, stamp_ns, data)

    def _joint_states(
        self, stamp_ns: int, state_D: NDArray[np.float32]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """One message a topic, with the joints of every source that comes on it."""
        spec = self._spec
        value = dict(zip(spec.joint_names, state_D.astype(np.float64), strict=False))
        for gripper, unit in zip(spec.grippers, state_D[len(spec.joint_names) :], strict=True):
            value[gripper.joint] = gripper.from_unit(float(unit))
        for topic in dict.fromkeys(source.topic for source in spec.state_sources):
            sources = [spec.state_sources[index] for index in spec.sources_on(topic)]
            names = [name for source in sources for name in source.wire_names]
            joints = [joint for source in sources for joint in source.joints]
            yield (
                absolute(topic),
                {
                    "header": self._header(stamp_ns),
                    "name": names,
                    "position": np.array([value[joint] for joint in joints]),
                    "velocity": np.zeros(0),
                    "effort": np.zeros(0),
                },
            )

    def _image(self, camera: CameraSpec, stamp_ns: int, rgb: NDArray[np.uint8]) -> dict[str, Any]:
        header = self._header(stamp_ns, camera.name)
        if camera.type == "compressed":
            # PNG: what was lost was lost in the data set already.
            data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].reshape(-1)
            return {"header": header, "format": "png", "data": data}
        return {
            "header": header,
            "height": rgb.shape[0],
            "width": rgb.shape[1],
            "encoding": "rgb8",
            "is_bigendian": 0,
            "step": rgb.shape[1] * 3,
            "data": np.ascontiguousarray(rgb).reshape(-1),
        }

    def _commanded(
        self, stamp_ns: int, state_D: NDArray[np.float32], action_D: NDArray[np.float32]
    ) -> dict[str, Any]:
        unknown = np.full(self._spec.dim, np.nan)
        return {
            "header": self._header(stamp_ns, self._spec.base_frame),
            "mode": TRACKING,
            "reason": "imported from a data set",
            "seq": 0,
            "row": -1,
            "rows_applied": 0,
            "state_age_ms": 0.0,
            "chunk_age_ms": float("nan"),
            "tracking_error": 0.0,
            **dict.fromkeys(_COUNTERS, 0),
            "names": list(self._spec.action_names),
            "position": action_D.astype(np.float64),
            "velocity": unknown,
            "acceleration": unknown,
            "measured": state_D.astype(np.float64),
        }

    def _header(self, stamp_ns: int, frame_id: str = "") -> Any:
        sec, nanosec = divmod(stamp_ns, NS_PER_S)
        stamp = self._definitions.make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        return self._definitions.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


_COUNTERS: Sequence[str] = (
    "chunks_accepted",
    "chunks_refused",
    "clamped",
    "slowed",
    "underruns",
    "late_ticks",
)
