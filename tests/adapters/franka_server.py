"""franky-sim on ADDRESS: the FCI's network protocol, an FR3 in MuJoCo, and a reflex when told to.

franky-sim has no reflexes of its own. A line `reflex` on standard input ends the motion as a robot
does that was hit, and every motion is refused until the client asks for automatic error recovery. A
line `state` is answered with one of JSON: whether a motion is on, the joints and the hand, the
robot's time (its milliseconds may be longer than ours), and when the last reflex was, by
that and by our clock.
"""

import json
import sys
import threading
import time

from franky_sim import SimulationServer
from franky_sim.franka_robot_protocol import (
    AutomaticErrorRecoveryCommand,
    BaseCommand,
    MoveCommand,
    MoveStatus,
    RobotCommand,
    RobotMode,
)
from franky_sim.franka_robot_server import FrankaRobotServer
from franky_sim.mujoco_simulator import MujocoSimulator

asked, hit, state_wanted = threading.Event(), threading.Event(), threading.Event()
clock = {"time_s": 0.0, "hit_s": None, "hit_ns": None}


def watch_input() -> None:
    for line in sys.stdin:
        if line.strip() == "reflex":
            asked.set()
        if line.strip() == "state":
            state_wanted.set()


def with_reflexes() -> None:
    process, state = FrankaRobotServer.process_commands, FrankaRobotServer.robot_state.fget
    move, recover = MoveCommand.handle, AutomaticErrorRecoveryCommand.handle

    def process_commands(server) -> None:
        process(server)
        clock["time_s"] += 0.001
        if state_wanted.is_set():
            state_wanted.clear()
            told = server.robot.state
            moving = server.current_motion_id > 0
            joints = {"q": list(told.q), "dq": list(told.dq), "width_m": server.robot.hand_width}
            print(json.dumps({"moving": moving, **joints, **clock}), flush=True)
        if asked.is_set() and server.current_motion_id:
            asked.clear()
            hit.set()
            clock.update(hit_s=clock["time_s"], hit_ns=time.time_ns())
            motion = server.current_motion_id
            server.stop_motion(send_preemption_signal=False)
            server.reset_current_motion_id()
            BaseCommand.send_response(
                server._tcp_socket, RobotCommand.kMove, motion, MoveStatus.kReflexAborted
            )

    def robot_state(server):
        told = state(server)
        return told.replace(robot_mode=RobotMode.kReflex) if hit.is_set() else told

    def handle_move(command, server) -> None:
        if hit.is_set():
            command.reply(MoveStatus.kCommandNotPossibleRejected)
        else:
            move(command, server)

    def handle_recovery(command, server) -> None:
        hit.clear()
        recover(command, server)

    FrankaRobotServer.process_commands = process_commands
    FrankaRobotServer.robot_state = property(robot_state)
    MoveCommand.handle = handle_move
    AutomaticErrorRecoveryCommand.handle = handle_recovery


with_reflexes()
threading.Thread(target=watch_input, daemon=True).start()
with MujocoSimulator() as simulator:
    robot = simulator.add_robot()
    with SimulationServer(simulator, hostname_candidates=[sys.argv[1]]) as server:
        print(f"ready {robot.hostname}", flush=True)
        server.run_forever()
