"""Camera and joint-state subscriptions into the assembler: a callback converts and pushes."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, JointState

from a1_core.assembler import Assembler
from a1_core.errors import ObservationRefused
from a1_core.intake import Intake, camera_stream, joints_stream
from a1_core.spec import RobotSpec
from a1_policy_node.statistics import StreamStatistics
from a1_policy_node.status import stream_status
from a1_ros.diagnostics import Level, Status
from a1_ros.images import compressed_to_rgb, raw_to_rgb
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.messages import joint_state_arrays
from a1_ros.qos import qos_from_spec
from a1_ros.times import stamp_to_ns

IMAGES = {"raw": (Image, raw_to_rgb), "compressed": (CompressedImage, compressed_to_rgb)}


class Inputs:
    """The robot's streams. `on_tick(tick_ns)` is called once a tick, when the tick is complete.

    Each stream has a status of its own on /diagnostics, and what begins or ends to be wrong with
    one is logged.

    What complete means stands in `a1_core.intake`; `complete_states` makes a run in lockstep
    repeatable, on a robot it would only cost time.
    """

    def __init__(
        self,
        node: A1LifecycleNode,
        spec: RobotSpec,
        assembler: Assembler,
        *,
        now_ns: Callable[[], int],
        steady_ns: Callable[[], int],
        on_tick: Callable[[int], None],
        complete_states: bool,
    ) -> None:
        self._node = node
        self._spec = spec
        self._assembler = assembler
        self._now_ns = now_ns
        self._steady_ns = steady_ns
        self._on_tick = on_tick
        self._intake = Intake(spec, complete_states=complete_states)
        self._subscriptions: list[Subscription] = []
        self.images: dict[str, tuple[int, NDArray[np.uint8]]] = {}
        self.streams: dict[str, StreamStatistics] = {}
        self.limits_s: dict[str, float] = {}
        self._promised_hz: dict[str, float] = {}
        self._levels: dict[str, Level] = {}
        for index, source in enumerate(spec.state_sources):
            if joints_stream(source.topic) not in self.streams:
                where = f"{spec.path}: state_sources[{index}]"
                push = partial(self._push_state, spec.sources_on(source.topic))
                self._subscribe(joints_stream(source.topic), JointState, source, where, push)
        for index, camera in enumerate(spec.cameras):
            kind, convert = IMAGES[camera.type]
            where = f"{spec.path}: cameras[{index}]"
            push = partial(self._push_image, camera.name, convert)
            self._subscribe(camera_stream(camera.name), kind, camera, where, push)

    def destroy(self) -> None:
        """Destroy the subscriptions, and fall silent about the streams."""
        for name in self.streams:
            self._node.diagnostics.remove_source(name)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def forget(self) -> None:
        """Forget what was heard, as after a clock jump."""
        self._intake.forget()
        self.images.clear()
        for stream in self.streams.values():
            stream.clock.forget()

    def reference_ns(self) -> int:
        """Stamp of the first camera's newest image, good or not; 0 before the first."""
        newest = self.images.get(self._spec.cameras[0].name)
        return 0 if newest is None else newest[0]

    @property
    def rejections(self) -> Mapping[str, ObservationRefused]:
        """Why a stream's newest message could not be used, by stream."""
        return self._intake.rejections

    def raise_rejection(self) -> None:
        """Raise why a stream's newest message could not be used, if one could not."""
        self._intake.raise_rejection()

    def _subscribe(self, name: str, kind: type, stream: Any, where: str, push: Callable) -> None:
        self.streams[name] = StreamStatistics()
        self.limits_s[name] = stream.max_age_s
        self._promised_hz[name] = stream.rate_hz
        self._levels[name] = Level.OK
        self._node.diagnostics.set_source(name, partial(self._status, name))
        profile = qos_from_spec(stream.qos, where=where)
        callback = partial(self._receive, name, push)
        self._subscriptions.append(
            self._node.create_subscription(kind, stream.topic, callback, profile)
        )

    def _receive(self, name: str, push: Callable[..., bool], msg: Any) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        taken = self._intake.take(name, stamp_ns, lambda: push(stamp_ns, msg))
        self.streams[name].note(self._steady_ns(), taken.accepted, stamp_ns)
        self.streams[name].clock.note(self._now_ns() - stamp_ns)
        if taken.tick_ns is not None:
            self._on_tick(taken.tick_ns)

    def _status(self, name: str) -> Status:
        stream = self.streams[name]
        status = stream_status(
            name,
            stream,
            self.rejections.get(name),
            limit_s=self.limits_s[name],
            promised_hz=self._promised_hz[name],
            now_ns=self._steady_ns(),
        )
        if stream.received and status.level is not self._levels[name]:
            self._levels[name] = status.level
            log = self._node.get_logger()
            text = f"{name}: {status.message}"
            log.info(text) if status.level is Level.OK else log.warning(text)
        return status

    def _push_image(
        self, camera: str, convert: Callable, stamp_ns: int, msg: Image | CompressedImage
    ) -> bool:
        rgb = convert(msg)
        self.images[camera] = (stamp_ns, rgb)
        return self._assembler.push_image(camera, stamp_ns, rgb)

    def _push_state(self, sources: tuple[int, ...], stamp_ns: int, msg: JointState) -> bool:
        _, names, positions = joint_state_arrays(msg)
        return self._assembler.push_state(stamp_ns, names, positions, sources)
