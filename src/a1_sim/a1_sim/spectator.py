"""Watches an episode for the film: how the world stood, what the cameras saw, where exits were."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from a1_msgs.msg import EpisodeState, ExitState
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from a1_core.spec import RobotSpec
from a1_ros.images import raw_to_rgb
from a1_ros.qos import RELIABLE
from a1_ros.times import stamp_to_ns


@dataclass(kw_only=True)
class Footage:
    """What was seen since the spectator began to record, by stamp (ns)."""

    qpos: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    pictures: dict[str, dict[int, NDArray[np.uint8]]] = field(default_factory=dict)
    exits: list[tuple[int, int, int]] = field(default_factory=list)  # stamp, layer, layers
    episodes: dict[int, EpisodeState] = field(default_factory=dict)

    def exit_at(self, stamp_ns: int) -> tuple[int, int] | None:
        """Layer and number of layers of the newest chunk at that time."""
        index = bisect_right([stamp for stamp, _, _ in self.exits], stamp_ns)
        return self.exits[index - 1][1:] if index else None


class Spectator(Node):
    """Subscribes to sim/qpos, the cameras, exits and the episode; `footage` is what came so far."""

    def __init__(self, spec: RobotSpec, **node_kwargs: Any) -> None:
        super().__init__("spectator", start_parameter_services=False, **node_kwargs)
        self.footage = Footage()
        self.create_subscription(JointState, "sim/qpos", self._on_qpos, RELIABLE)
        self.create_subscription(EpisodeState, "sim/episode", self._on_episode, RELIABLE)
        self.create_subscription(ExitState, "a1/exit_state", self._on_exit, RELIABLE)
        for camera in spec.cameras:
            self.create_subscription(
                Image,
                camera.topic,
                lambda msg, name=camera.name: self._on_image(name, msg),
                RELIABLE,
            )

    def cut(self) -> Footage:
        """Hand out the footage and begin anew."""
        footage, self.footage = self.footage, Footage()
        return footage

    def _on_qpos(self, msg: JointState) -> None:
        self.footage.qpos[stamp_to_ns(msg.header.stamp)] = np.array(msg.position)

    def _on_episode(self, msg: EpisodeState) -> None:
        self.footage.episodes[stamp_to_ns(msg.header.stamp)] = msg

    def _on_exit(self, msg: ExitState) -> None:
        self.footage.exits.append((stamp_to_ns(msg.header.stamp), msg.exit_layer, msg.num_layers))

    def _on_image(self, camera: str, msg: Image) -> None:
        pictures = self.footage.pictures.setdefault(camera, {})
        pictures[stamp_to_ns(msg.header.stamp)] = raw_to_rgb(msg).copy()
