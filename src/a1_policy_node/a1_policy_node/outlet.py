"""What the policy node publishes, and the acknowledgements of lockstep."""

from collections.abc import Sequence

import numpy as np
from a1_msgs.msg import ActionChunk, ExitState, LockstepAck, ObservationRefusal, ThresholdsInfo
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header, String

from a1_policy_node.inference import Done
from a1_ros.images import shrink, to_jpeg
from a1_ros.messages import chunk_to_msg, trace_to_msg
from a1_ros.qos import LATCHED, RELIABLE, STATUS
from a1_ros.times import NS_PER_MS, ns_to_stamp, steady_now_ns

THUMBNAIL_HEIGHT = 96


class Publications:
    """The node's publishers; made at configure, destroyed at cleanup. Safe from any thread."""

    def __init__(self, node: Node, *, lockstep: bool) -> None:
        self._node = node
        self._chunk = node.create_publisher(ActionChunk, "a1/chunk", RELIABLE)
        self._exit_state = node.create_publisher(ExitState, "a1/exit_state", RELIABLE)
        self._refusals = node.create_publisher(ObservationRefusal, "a1/refusal", RELIABLE)
        self._thresholds = node.create_publisher(ThresholdsInfo, "a1/thresholds_info", LATCHED)
        self._instruction = node.create_publisher(String, "a1/instruction", LATCHED)
        self._thumbnails = node.create_publisher(CompressedImage, "a1/thumbnails", STATUS)
        self._publishers = [
            self._chunk,
            self._exit_state,
            self._refusals,
            self._thresholds,
            self._instruction,
            self._thumbnails,
        ]
        self._acks = None
        if lockstep:
            self._acks = node.create_publisher(LockstepAck, "sim/lockstep_ack", RELIABLE)
            self._publishers.append(self._acks)

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def chunk(self, done: Done) -> None:
        """The chunk first, then what it cost."""
        self._chunk.publish(chunk_to_msg(done.chunk))
        self._exit_state.publish(
            trace_to_msg(
                done.trace,
                stamp_ns=done.chunk.stamp_ns,
                base_frame=done.chunk.base_frame,
                seq=done.chunk.seq,
                end_of_substep=done.chunk.end_of_substep,
                observation_age_ms=done.timing.observation_age_ms,
                camera_skew_ms=done.timing.camera_skew_ms,
                wait_ms=done.timing.wait_ms,
                publish_ms=(steady_now_ns() - done.ended_ns) / NS_PER_MS,
            )
        )

    def refusal(self, stamp_ns: int, frame: str, code: str, message: str) -> None:
        """Why nothing came of an observation."""
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame)
        self._refusals.publish(ObservationRefusal(header=header, code=code, message=message))

    def ack(self, tick_ns: int, seq: int) -> None:
        """Acknowledge a camera tick; nothing outside lockstep."""
        if self._acks is not None:
            stamp = ns_to_stamp(tick_ns)
            self._acks.publish(LockstepAck(stamp=stamp, node=LockstepAck.POLICY, seq=seq))

    def thresholds(self, msg: ThresholdsInfo) -> None:
        """What decides the exits from now on."""
        self._thresholds.publish(msg)

    def instruction(self, text: str) -> None:
        """What is to be done from now on; empty: nothing."""
        self._instruction.publish(String(data=text))

    def thumbnails(self, images: Sequence[NDArray[np.uint8]], stamp_ns: int, frame: str) -> None:
        """Cameras side by side, scaled down, when anyone looks."""
        if images and self._thumbnails.get_subscription_count():
            height = min(THUMBNAIL_HEIGHT, *(image.shape[0] for image in images))
            row = np.concatenate([shrink(image, height) for image in images], axis=1)
            self._thumbnails.publish(to_jpeg(row, stamp_ns, frame))
