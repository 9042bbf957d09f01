"""Camera and joint-state subscriptions into the assembler: a callback converts and pushes."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, JointState

from a1_core.assembler import Assembler
from a1_core.errors import ObservationRefused
from a1_core.spec import RobotSpec
from a1_policy_node.statistics import StreamStatistics
from a1_ros.images import compressed_to_rgb, raw_to_rgb
from a1_ros.messages import joint_state_arrays
from a1_ros.qos import qos_from_spec
from a1_ros.times import NS_PER_S, stamp_to_ns

IMAGES = {"raw": (Image, raw_to_rgb), "compressed": (CompressedImage, compressed_to_rgb)}
WAITING_TICKS = 3


class Inputs:
    """The robot's streams. `on_tick(tick_ns)` is called once a tick, when the tick is complete.

    A tick is the stamp of the first camera's image. It is complete when no image nearer to it can
    come from another camera and, with `complete_states`, every joint state has reached it: in
    lockstep that is what makes a run repeatable, on a robot it would only cost time.
    """

    def __init__(
        self,
        node: Node,
        spec: RobotSpec,
        assembler: Assembler,
        *,
        steady_ns: Callable[[], int],
        on_tick: Callable[[int], None],
        complete_states: bool,
    ) -> None:
        self._node = node
        self._spec = spec
        self._assembler = assembler
        self._steady_ns = steady_ns
        self._on_tick = on_tick
        self._complete_states = complete_states
        self._waiting_ns: deque[int] = deque(maxlen=WAITING_TICKS)
        self._newest_ns: dict[str, int] = {}
        self._subscriptions: list[Subscription] = []
        self.images: dict[str, tuple[int, NDArray[np.uint8]]] = {}
        self.streams: dict[str, StreamStatistics] = {}
        self.limits_s: dict[str, float] = {}
        self.rejections: dict[str, ObservationRefused] = {}
        topics = [source.topic for source in spec.state_sources]
        for index, source in enumerate(spec.state_sources):
            if joints_stream(source.topic) not in self.streams:
                where = f"{spec.path}: state_sources[{index}]"
                here = [other for other, topic in enumerate(topics) if topic == source.topic]
                push = partial(self._push_state, here)
                self._subscribe(joints_stream(source.topic), JointState, source, where, push)
        for index, camera in enumerate(spec.cameras):
            kind, convert = IMAGES[camera.type]
            where = f"{spec.path}: cameras[{index}]"
            push = partial(self._push_image, camera.name, convert)
            self._subscribe(camera_stream(camera.name), kind, camera, where, push)

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def forget(self) -> None:
        """Forget what was heard, as after a clock jump."""
        self._waiting_ns.clear()
        self._newest_ns.clear()
        self.images.clear()

    def reference_ns(self) -> int:
        """Stamp of the first camera's newest image, good or not; 0 before the first."""
        newest = self.images.get(self._spec.cameras[0].name)
        return 0 if newest is None else newest[0]

    def raise_rejection(self) -> None:
        """Raise why a stream's newest message could not be used, if one could not."""
        for name, rejection in self.rejections.items():
            raise ObservationRefused(rejection.code, f"{name}: {rejection.detail}")

    def _subscribe(self, name: str, kind: type, stream: Any, where: str, push: Callable) -> None:
        self.streams[name] = StreamStatistics()
        self.limits_s[name] = stream.max_age_s
        profile = qos_from_spec(stream.qos, where=where)
        callback = partial(self._receive, name, push)
        self._subscriptions.append(
            self._node.create_subscription(kind, stream.topic, callback, profile)
        )

    def _receive(self, name: str, push: Callable[..., bool], msg: Any) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        try:
            accepted = push(stamp_ns, msg)
            self.rejections.pop(name, None)
        except ObservationRefused as refusal:
            accepted = False
            self.rejections[name] = refusal
        self.streams[name].note(self._steady_ns(), accepted)
        if accepted:
            self._newest_ns[name] = stamp_ns
            if name == camera_stream(self._spec.cameras[0].name):
                self._waiting_ns.append(stamp_ns)
            self._hand_on()

    def _push_image(
        self, camera: str, convert: Callable, stamp_ns: int, msg: Image | CompressedImage
    ) -> bool:
        rgb = convert(msg)
        self.images[camera] = (stamp_ns, rgb)
        return self._assembler.push_image(camera, stamp_ns, rgb)

    def _push_state(self, sources: list[int], stamp_ns: int, msg: JointState) -> bool:
        _, names, positions = joint_state_arrays(msg)
        return self._assembler.push_state(stamp_ns, names, positions, sources)

    def _hand_on(self) -> None:
        """Hand on the newest tick that is complete; older ones are passed over."""
        for tick_ns in reversed(self._waiting_ns):
            if self._complete(tick_ns):
                while self._waiting_ns and self._waiting_ns[0] <= tick_ns:
                    self._waiting_ns.popleft()
                self._on_tick(tick_ns)
                return

    def _complete(self, tick_ns: int) -> bool:
        for camera in self._spec.cameras[1:]:
            half_period_ns = round(0.5 * NS_PER_S / camera.rate_hz)
            if self._newest_ns.get(camera_stream(camera.name), 0) < tick_ns - half_period_ns:
                return False
        needed_ns = tick_ns if self._complete_states else 1
        return all(
            self._newest_ns.get(joints_stream(source.topic), 0) >= needed_ns
            for source in self._spec.state_sources
        )


def camera_stream(name: str) -> str:
    """Name of a camera's stream in diagnostics."""
    return f"camera {name}"


def joints_stream(topic: str) -> str:
    """Name of a joint-state stream in diagnostics."""
    return f"joints {topic}"
