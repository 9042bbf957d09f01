"""What the simulated robot publishes: joint states and pictures, on the spec's topics and types."""

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image, JointState

from a1_core.spec import CameraSpec, RobotSpec, StateSpec
from a1_ros.images import to_image, to_jpeg
from a1_ros.messages import to_joint_state
from a1_ros.qos import reliable_stream
from a1_ros.times import NS_PER_S, ns_to_stamp
from a1_sim.faults import Faults
from a1_sim.robot import SimulatedRobot

GRAINS = 64


def with_grain(rgb_HW3: NDArray[np.uint8], stamp_ns: int) -> NDArray[np.uint8]:
    """The picture with the lowest bit of a few values turned over, which ones the stamp decides.

    A real sensor never sends the same picture twice, and equal pictures are how a stuck camera
    is found out.
    """
    grainy = rgb_HW3.copy()
    flat = grainy.reshape(-1)
    flat[np.random.default_rng(stamp_ns).integers(0, flat.size, GRAINS)] ^= 1
    return grainy


class JointStates:
    """One publisher a joint-state topic, each at its own multiple of the physics' step."""

    def __init__(self, node: Node, spec: RobotSpec, robot: SimulatedRobot) -> None:
        self._robot = robot
        self._arm = {name: index for index, name in enumerate(spec.joint_names)}
        self._frame = spec.base_frame
        self._topics: list[tuple[StateSpec, Publisher, int]] = [
            (source, node.create_publisher(JointState, source.topic, qos), steps)
            for source in spec.state_sources
            for qos in [reliable_stream(source.rate_hz)]
            for steps in [max(1, round(NS_PER_S / (source.rate_hz * robot.step_ns)))]
        ]

    def publish(self, faults: Faults, *, step: int | None = None) -> None:
        """Publish every topic, or those whose turn `step` (a count of physics steps) is."""
        if faults.joint_states_silent:
            return
        world = self._robot.world
        q, qd = world.joint_positions, world.joint_velocities
        finger_m = world.finger_position
        for source, publisher, steps in self._topics:
            if step is not None and step % steps:
                continue
            at = [self._arm.get(name) for name in source.joints]
            publisher.publish(
                to_joint_state(
                    source.joints,
                    [finger_m if index is None else q[index] for index in at],
                    self._robot.now_ns,
                    velocities=[0.0 if index is None else qd[index] for index in at],
                    frame_id=self._frame,
                )
            )


class Cameras:
    """One publisher a camera; pictures are stamped with the time they are taken."""

    def __init__(self, node: Node, spec: RobotSpec, robot: SimulatedRobot) -> None:
        self._robot = robot
        self._frozen: dict[str, Image | CompressedImage] = {}
        self._cameras: list[tuple[CameraSpec, Publisher]] = [
            (
                camera,
                node.create_publisher(
                    Image if camera.type == "raw" else CompressedImage,
                    camera.topic,
                    reliable_stream(camera.rate_hz),
                ),
            )
            for camera in spec.cameras
        ]

    def publish(self, faults: Faults) -> None:
        """Take and publish one picture a camera."""
        for camera, publisher in self._cameras:
            if camera.name in faults.cameras_silent:
                continue
            if camera.name in faults.cameras_frozen and camera.name in self._frozen:
                msg = self._frozen[camera.name]
                msg.header.stamp = ns_to_stamp(self._robot.now_ns)
            else:
                msg = self._picture(camera)
                self._frozen[camera.name] = msg
            publisher.publish(msg)

    def _picture(self, camera: CameraSpec) -> Image | CompressedImage:
        rgb = with_grain(self._robot.world.render(camera.name), self._robot.now_ns)
        make = to_image if camera.type == "raw" else to_jpeg
        return make(rgb, self._robot.now_ns, f"{camera.name}_camera_optical_frame")
