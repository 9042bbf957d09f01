"""The process beside the controller that answers a Franka every millisecond.

    python -m a1_controllers.libfranka_process ADDRESS FILE_DESCRIPTOR MAX_LAG_S

It reads windows from a pipe and plays them on the robot's own clock, a little behind the
controller's: each window is left for the next one exactly where that begins, so the motion is as
continuous as the controller's plan. When windows stop coming, or the pipe closes, it plays the one
in hand to its end at rest and ends the motion. The hand has a process of its own (libfranka_hand).
"""

import gc
import signal
import sys
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pylibfranka as franka

from a1_controllers.libfranka_hand import Hand
from a1_controllers.libfranka_report import Report
from a1_controllers.played_window import PlayedWindow
from a1_core.times import NS_PER_S

TELL_NS = 8_000_000
# Over this time the difference between the commanded and the controller's first position fades.
FADE_S = 0.5
MOST_OFFSET_RAD = 0.05
# So long the end of a window is held before the motion is ended.
LINGER_S = 0.1


class Inbox:
    """What the controller has sent; a thread fills it, and hands on what is for the hand."""

    def __init__(self, pipe: Connection, hand: Hand) -> None:
        self._pipe = pipe
        self._hand = hand
        self.windows: deque[PlayedWindow] = deque()
        self.closed = threading.Event()
        self.recover = threading.Event()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def _read(self) -> None:
        try:
            while True:
                self._take(*self._pipe.recv())
        except (EOFError, OSError):
            self.closed.set()

    def _take(self, kind: str, *rest: Any) -> None:
        if kind == "window":
            begin_ns, times_K, q_KD, qd_KD = rest
            self.windows.append(
                PlayedWindow(begin_ns=begin_ns, times_K=times_K, q_KD=q_KD, qd_KD=qd_KD)
            )
        elif kind == "recover":
            self.windows.clear()  # what was meant before the fault is never played after it
            self.recover.set()
        else:
            self._hand.tell(rest if kind == "hand" else None)


class Arm:
    """Reads the robot, and plays windows while there are any."""

    def __init__(self, address: str, pipe: Connection, max_lag_s: float) -> None:
        self._robot = franka.Robot(address, franka.RealtimeConfig.kIgnore)
        self._pipe = pipe
        self._hand = Hand(address)
        self._inbox = Inbox(pipe, self._hand)
        self._max_lag_ns = round(max_lag_s * NS_PER_S)
        self._fault = ""
        self._told_ns = 0

    def run(self) -> None:
        """Until the pipe closes and the arm rests."""
        # What is there by now stays: a collection that looks through it costs the robot packets.
        gc.collect()
        gc.freeze()
        inbox = self._inbox
        while not inbox.closed.is_set():
            if inbox.recover.is_set():
                self._recover()
            if self._fault:
                inbox.windows.clear()
            if not inbox.windows:
                self._tell(self._robot.read_once())
                continue
            try:
                self._follow()
            except (franka.ControlException, franka.CommandException) as error:
                self._fault = f"the robot stopped the motion: {str(error).splitlines()[0]}"
                self._told_ns = 0  # the next report does not wait for its turn

    def _recover(self) -> None:
        self._inbox.recover.clear()
        try:
            if self._robot.read_once().robot_mode == franka.RobotMode.Reflex:
                self._robot.automatic_error_recovery()
            self._fault = ""
        except franka.CommandException as error:
            self._fault = f"the robot does not recover: {str(error).splitlines()[0]}"

    def _follow(self) -> None:
        windows = self._inbox.windows
        window = windows.popleft()
        if time.monotonic_ns() - window.begin_ns > self._max_lag_ns:
            return
        control = self._robot.start_joint_position_control(franka.ControllerMode.JointImpedance)
        state, _ = control.readOnce()
        offset_J = np.array(state.q_d) - window.q_KD[0]
        if np.abs(offset_J).max() > MOST_OFFSET_RAD:
            self._fault = f"the plan begins {np.abs(offset_J).max():.3f} rad from the arm"
            offset_J, window = np.zeros(len(offset_J)), _rest(state.q_d)
        # The robot's clock counts; the plan's time goes on with it.
        plan_ns, played_s = window.begin_ns, 0.0
        while True:
            while windows and windows[0].begin_ns <= plan_ns and not self._fault:
                window = windows.popleft()
            self._watch_lag(plan_ns)
            over_s = (plan_ns - window.begin_ns) / NS_PER_S - window.times_K[-1]
            finished = over_s > LINGER_S and (not windows or bool(self._fault))
            goal_J = window.at((plan_ns - window.begin_ns) / NS_PER_S)
            command = franka.JointPositions((goal_J + _left(played_s) * offset_J).tolist())
            command.motion_finished = finished
            control.writeOnce(command)
            if finished:
                return
            state, elapsed = control.readOnce()
            plan_ns += round(elapsed.to_sec() * NS_PER_S)
            played_s += elapsed.to_sec()
            self._tell(state)

    def _watch_lag(self, plan_ns: int) -> None:
        lag_ns = time.monotonic_ns() - plan_ns
        if lag_ns > self._max_lag_ns and not self._fault:
            self._fault = (
                f"the robot is {lag_ns / 1e6:.0f} ms behind the controller: the computer is too "
                "busy, or the link too slow"
            )

    def _tell(self, state: Any) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns < TELL_NS or self._inbox.closed.is_set():
            return
        self._told_ns = now_ns
        report = Report(
            read_ns=now_ns,
            q_J=tuple(state.q),
            qd_J=tuple(state.dq),
            width_m=self._hand.width_m,
            mode=state.robot_mode.name,
            fault=self._fault,
        )
        try:
            self._pipe.send(report)
        except OSError:
            self._inbox.closed.set()


def _rest(q_J: Any) -> PlayedWindow:
    q_KD = np.tile(np.array(q_J), (2, 1))
    return PlayedWindow(
        begin_ns=time.monotonic_ns(),
        times_K=np.array([0.0, LINGER_S]),
        q_KD=q_KD,
        qd_KD=np.zeros_like(q_KD),
    )


def _left(played_s: float) -> float:
    """Share of the first difference that is still there: 1 at 0, 0 from FADE_S on, C2."""
    u = min(played_s / FADE_S, 1.0)
    return 1.0 - u**3 * (10.0 + u * (6.0 * u - 15.0))


def main(arguments: list[str]) -> int:
    """Exit status 1 when the robot cannot be reached."""
    address, descriptor, max_lag_s = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the controller's end is the end of the pipe
    try:
        Arm(address, Connection(int(descriptor)), float(max_lag_s)).run()
    except (franka.NetworkException, franka.FrankaException, ConnectionError) as error:
        print(f"libfranka: {address}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
