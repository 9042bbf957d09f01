"""The process that speaks to the Franka Hand, beside the one that answers the arm.

    python -m a1_controllers.libfranka_hand ADDRESS FILE_DESCRIPTOR

pylibfranka keeps Python's interpreter to itself while a call waits, in every thread of its process,
and a grasp waits for seconds: in the arm's process the robot would miss its packets meanwhile.
"""

import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

import pylibfranka as franka

POLL_S = 0.1
ANY_WIDTH_M = 0.08

# Width (m), whether it closes, speed (m/s), force (N).
Wish = tuple[float, bool, float, float]


class Hand:
    """The hand at `address`, in that process; only the constructor waits.

    Raises ConnectionError where there is no hand. The process ends with its pipe.
    """

    def __init__(self, address: str) -> None:
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, address, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._pipe = Connection(ours.detach())
        try:
            self._width_m: float = self._pipe.recv()
        except (EOFError, OSError):
            raise ConnectionError("no hand; its process says why") from None

    @property
    def width_m(self) -> float:
        """As read last, about ten times a second and not while it moves; NaN when it is lost."""
        try:
            while self._pipe.poll():
                self._width_m = self._pipe.recv()
        except (EOFError, OSError):
            self._width_m = float("nan")
        return self._width_m

    def tell(self, wish: Wish | None) -> None:
        """The newest wish wins; None drops one that has not begun."""
        try:
            self._pipe.send(wish)
        except OSError:
            return  # `width_m` tells of it


def serve(address: str, pipe: Connection) -> None:
    """Until the pipe closes, or the hand is lost (NetworkException)."""
    gripper = franka.Gripper(address)
    try:
        while True:
            pipe.send(gripper.read_once().width)
            wish = _newest(pipe)
            if wish is None:
                continue
            try:
                _do(gripper, *wish)
            except franka.CommandException as error:
                print(f"hand: {error}", file=sys.stderr, flush=True)
    except (EOFError, OSError):
        return


def _newest(pipe: Connection) -> Wish | None:
    wish, wait_s = None, POLL_S
    while pipe.poll(wait_s):
        wish, wait_s = pipe.recv(), 0.0
    return wish


def _do(
    gripper: franka.Gripper, width_m: float, closing: bool, speed_m_s: float, force_n: float
) -> None:
    if closing:
        # Whatever is between the fingers is grasped.
        gripper.grasp(width_m, speed_m_s, force_n, ANY_WIDTH_M, ANY_WIDTH_M)
    else:
        gripper.move(width_m, speed_m_s)


def main(arguments: list[str]) -> int:
    """Exit status 1 when the hand cannot be reached, or is lost."""
    address, descriptor = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the arm's end is the end of the pipe
    try:
        serve(address, Connection(int(descriptor)))
    except franka.NetworkException as error:
        print(f"hand: {address}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
