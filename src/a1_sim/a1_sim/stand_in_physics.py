"""A stand-in's joints with physics, and what its cameras see, where a spec names a MuJoCo model."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from a1_core.spec import RobotSpec
from a1_ros.images import to_image, to_jpeg
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns
from a1_sim.sensors import with_grain
from a1_sim.stand_in_arm import Joints
from a1_world.physical_robot import PhysicalRobot, RobotCameras

Floats = NDArray[np.float64]

# Pictures where a spec takes any size, and the most of them a second and camera: drawing on a CPU
# must leave the controller its time.
SIZE = (320, 240)
MOST_HZ = 2.0


class PhysicalJoints(Joints):
    """Joints that servos move: goals are where the servos go, `q_D` where physics takes them."""

    def __init__(self, spec: RobotSpec) -> None:
        super().__init__(spec)
        self.robot = PhysicalRobot(spec)
        self._wish_D = self.q_D.copy()
        self._wish_qd_D = np.zeros_like(self._wish_D)
        self._placed = np.zeros(len(self._wish_D), dtype=bool)
        self._lock = threading.Lock()

    @property
    def qpos(self) -> Floats:
        """MuJoCo's positions now, for who draws in another thread."""
        with self._lock:
            return self.robot.data.qpos.copy()

    def step(self, dt_s: float) -> None:
        """Go on for `dt_s`."""
        before_D = self._wish_D
        most_D = self._most_D * dt_s
        self._wish_D = before_D + np.clip(self.goal_D - before_D, -most_D, most_D)
        pace_D = (self._wish_D - before_D) / dt_s
        self.robot.command(self._wish_D, np.where(self._placed, self._wish_qd_D, pace_D))
        with self._lock:
            self.robot.advance(dt_s)
        self.q_D, self.qd_D = self.robot.state

    def place(self, columns: Sequence[int], q_J: Floats, qd_J: Floats) -> None:
        """Where a controller computed joints to be now: there the servos go."""
        self.goal_D[columns] = self._wish_D[columns] = q_J
        self._wish_qd_D[columns], self._placed[columns] = qd_J, True


class StandInCameras:
    """One publisher a camera; a thread of its own draws, so that joints never wait for a picture.

    Attributes:
        taken: pictures, by camera.
    """

    def __init__(self, node: Node, spec: RobotSpec, joints: PhysicalJoints) -> None:
        self._node, self._spec, self._joints = node, spec, joints
        self._publishers = [
            node.create_publisher(
                Image if camera.type == "raw" else CompressedImage, camera.topic, RELIABLE
            )
            for camera in spec.cameras
        ]
        self.taken = dict.fromkeys(spec.camera_names, 0)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cameras", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Draw no more."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        sizes = {
            camera.name: (camera.width or SIZE[0], camera.height or SIZE[1])
            for camera in self._spec.cameras
        }
        period_s = 1.0 / min(MOST_HZ, *(camera.rate_hz for camera in self._spec.cameras))
        cameras = RobotCameras(self._spec, self._joints.robot.model, sizes)
        try:
            while not self._ending.is_set():
                began_s = time.monotonic()
                self._look(cameras)
                self._ending.wait(max(0.0, period_s - (time.monotonic() - began_s)))
        finally:
            cameras.close()

    def _look(self, cameras: RobotCameras) -> None:
        """All cameras at one instant."""
        qpos, stamp_ns = self._joints.qpos, node_now_ns(self._node)
        for camera, publisher in zip(self._spec.cameras, self._publishers, strict=True):
            if self._ending.is_set():
                return
            rgb_HW3 = with_grain(cameras.render(camera.name, qpos), stamp_ns)
            make = to_image if camera.type == "raw" else to_jpeg
            publisher.publish(make(rgb_HW3, stamp_ns, f"{camera.name}_camera_optical_frame"))
            self.taken[camera.name] += 1
