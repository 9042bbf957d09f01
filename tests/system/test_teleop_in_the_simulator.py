"""Keyboard, teleop, controller, simulator and recorder: a correction ends up in the bag as one."""

import gc
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import rclpy
from a1_msgs.msg import ActionChunk as ActionChunkMsg
from a1_msgs.msg import ControllerState
from a1_msgs.srv import StartRecording, StopRecording
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from std_srvs.srv import SetBool
from waiting import wait_for

from a1_core.chunk import ActionSpace, Source, joint_chunk
from a1_core.spec import load_spec
from a1_data.bag_files import find_bags
from a1_data.findings import Findings
from a1_data.storage import look, read
from a1_recorder.teleop.keyboard import PERIOD_S, Driver
from a1_recorder.teleop.pilot import WAITING
from a1_ros.compose import Composition
from a1_ros.messages import chunk_to_msg
from a1_ros.qos import RELIABLE
from a1_ros.times import node_now_ns

SIMULATOR, CONTROLLER = "a1_sim.node:SimNode", "a1_controllers.node:ControllerNode"
TELEOP, RECORDER = "a1_recorder.teleop.node:TeleopNode", "a1_recorder.node:RecorderNode"
# A command that follows chunk after chunk is never exactly still.
AT_REST_RAD_S = 2e-3


class Policy(Node):
    """Stands in for one: asks the arm to stay where it is, three times a second."""

    def __init__(self, robot: Path) -> None:
        super().__init__(
            "policy",
            use_global_arguments=False,
            parameter_overrides=[Parameter("use_sim_time", value=True)],
        )
        self._spec, self._session, self._seq = load_spec(robot), str(uuid.uuid4()), 0
        self._out = self.create_publisher(ActionChunkMsg, "a1/chunk", RELIABLE)
        self.create_timer(0.3, self._send)

    def _send(self) -> None:
        self._seq += 1
        actions_HD = np.zeros((16, 8), np.float32)
        actions_HD[:, 7] = 1.0
        chunk = joint_chunk(
            self._spec,
            stamp_ns=node_now_ns(self),
            session_id=self._session,
            seq=self._seq,
            source=Source.POLICY,
            actions_HD=actions_HD,
            action_space=ActionSpace.JOINT_DELTA,
        )
        self._out.publish(chunk_to_msg(chunk))


class Desk:
    """The person: keys, services, and what the controller says."""

    def __init__(self, composition: Composition, robot: Path) -> None:
        self.driver = Driver()
        self.policy = Policy(robot)
        self._tips = load_spec(robot).kinematics
        for node in (self.driver, self.policy):
            composition.executor.add_node(node)
        self.driver.create_timer(PERIOD_S, self.driver.send)

    def leave(self) -> None:
        """Once no executor spins any more."""
        for node in (self.driver, self.policy):
            node.destroy_node()

    def wait(self, condition: Callable[[], object], timeout_s: float = 30.0) -> bool:
        return wait_for(condition, timeout_s)

    def hold(self, key: str, until: Callable[[], object]) -> bool:
        """Hold a key down, as a terminal that repeats it does."""

        def pressed() -> object:
            self.driver.keys.press(key, time.monotonic())
            return until()

        return self.wait(pressed)

    def call(self, kind, name: str, **fields):
        client = self.driver.create_client(kind, name)
        assert self.wait(client.service_is_ready)
        done = threading.Event()
        future = client.call_async(kind.Request(**fields))
        future.add_done_callback(lambda _: done.set())
        assert done.wait(30.0)
        return future.result()

    @property
    def state(self) -> ControllerState:
        return self.driver.state or ControllerState()

    @property
    def tip(self) -> np.ndarray:
        return self._tips(np.array(self.state.measured[:7]))[0]


@pytest.fixture
def desk(robot: Path, tmp_path: Path) -> Iterator[Desk]:
    common = {"robot": str(robot), "use_sim_time": True}
    parameters = {
        SIMULATOR: {"robot": str(robot), "image_size": 64},
        CONTROLLER: {**common, "hardware": False},
        TELEOP: {**common, "keyboard": True, "joy.topic": "", "joy.timeout": 2.0},
        RECORDER: {**common, "folder": str(tmp_path), "reserve_mb": 0},
    }
    rclpy.init()
    try:
        with Composition(list(parameters), parameters=parameters) as composition:
            composition.bring_up()
            sitting = Desk(composition, robot)
            yield sitting
        sitting.leave()
    finally:
        rclpy.try_shutdown()
        # Nodes hang in reference cycles, and the DDS participant with them.
        gc.collect()


def sources_of(path: Path, topic: str, kind: type, keep: Callable[[object], bool]) -> list[int]:
    """Sources of a topic's messages in a bag, without repetitions."""
    (files,) = find_bags(path)
    found = []
    for file in files.files:
        for raw in read(file, look(file, files.findings), {topic}, Findings()):
            msg = deserialize_message(bytes(raw.data), kind)
            if keep(msg):
                found.append(msg.source)
    return [source for source, _ in groupby(found)]


def test_a_correction_by_keyboard_is_driven_given_back_and_recorded(desk: Desk) -> None:
    assert desk.wait(lambda: desk.call(SetBool, "a1/arm", data=True).success)
    tracking = ControllerState.TRACKING
    started = desk.call(StartRecording, "a1/start_recording", instruction="touch the red cube")
    assert started.success, started.message
    assert desk.wait(lambda: desk.state.mode == tracking and desk.state.source == Source.POLICY)
    assert desk.wait(lambda: desk.driver.told == WAITING), desk.driver.told
    before = desk.tip
    desk.driver.keys.press("t", 0.0)
    assert desk.wait(lambda: desk.state.source == Source.TAKEOVER), desk.driver.told
    assert desk.hold("s", lambda: desk.tip[0] < before[0] - 0.05), desk.driver.told
    # No key is down and the arm rests, but t has not given back yet.
    assert desk.wait(lambda: np.abs(desk.state.velocity[:7]).max() < AT_REST_RAD_S)
    assert desk.state.source == Source.TAKEOVER
    desk.driver.keys.press("t", 0.0)
    assert desk.wait(lambda: desk.state.source == Source.POLICY), desk.driver.told
    moved = desk.tip - before
    assert moved[0] < -0.04
    assert np.abs(moved[1:]).max() < 0.02
    stopped = desk.call(StopRecording, "a1/stop_recording")
    assert stopped.success, stopped.message
    path = Path(stopped.path)
    wanted = [Source.POLICY, Source.TAKEOVER, Source.POLICY]

    def is_played(state: ControllerState) -> bool:
        return state.mode == tracking

    assert sources_of(path, "/a1/controller_state", ControllerState, is_played) == wanted
    heard = sources_of(path, "/a1/chunk", ActionChunkMsg, lambda chunk: True)
    assert set(heard) == {Source.POLICY, Source.TAKEOVER}
