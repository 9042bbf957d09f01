"""`drive`: the keyboard as a joystick, in the simulator. A tap is a nudge, a key held goes on.

w/s x, a/d y, r/f z, j/l turn, i/k pitch, u/o roll; 1 to 9 choose a joint that +/- turn (steer
joints); [ and ] close and open the gripper; n is the next arm, where there are several; t takes
the arm over and gives it back; q leaves.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from collections.abc import Sequence

import rclpy
from a1_msgs.msg import ControllerState
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text
from sensor_msgs.msg import Joy

from a1_core.chunk import Source
from a1_core.errors import A1Error
from a1_recorder.keyboard import single_keys
from a1_recorder.teleop.controls import KEYBOARD, KEYBOARD_JOINTS, TIP_AXES
from a1_recorder.teleop.node import KEYS_TOPIC, MODES
from a1_ros.guard import refuse_foreign_endpoints
from a1_ros.qos import RELIABLE, STATUS

KEYS = "wasd rf move  jl ik uo turn  1-9 +- joint  [] gripper  n arm  t take over/give back  q quit"
# x, y, z and the turns about them.
TIP_KEYS = {
    "w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "r": (2, 1.0), "f": (2, -1.0),
    "u": (3, -1.0), "o": (3, 1.0), "i": (4, 1.0), "k": (4, -1.0), "j": (5, 1.0), "l": (5, -1.0),
}  # fmt: skip
NEXT_ARM = "n"
NUDGE_S = 0.15
PERIOD_S = 0.05
SILENT = "no controller: is the simulator launched, in this ROS_DOMAIN_ID?"


class Keys:
    """Which keys are down, as far as a terminal tells: each stays down for NUDGE_S."""

    def __init__(self) -> None:
        self.joint = 0
        self.take_over = False
        self._until_s: dict[str, float] = {}

    def press(self, key: str, now_s: float) -> None:
        """A key came from the terminal."""
        if key == "t":
            self.take_over = not self.take_over
        elif key.isdigit() and key != "0":
            self.joint = int(key) - 1
        elif key in TIP_KEYS or key in "+-[]" or key == NEXT_ARM:
            self._until_s[key] = now_s + NUDGE_S

    def joy(self, now_s: float) -> tuple[list[float], list[int]]:
        """Axes and buttons in the layout KEYBOARD."""
        down = {key for key, until_s in self._until_s.items() if now_s < until_s}
        axes = [0.0] * (TIP_AXES + KEYBOARD_JOINTS)
        buttons = [0] * 5
        for key in down:
            if key in TIP_KEYS:
                axis, value = TIP_KEYS[key]
                axes[axis] += value
            elif key in "+-":
                axes[TIP_AXES + self.joint] += 1.0 if key == "+" else -1.0
        buttons[KEYBOARD.deadman] = int(bool(down - {NEXT_ARM}))
        buttons[KEYBOARD.take_over] = int(self.take_over)
        buttons[KEYBOARD.open] = int("]" in down)
        buttons[KEYBOARD.close] = int("[" in down)
        buttons[KEYBOARD.next_arm] = int(NEXT_ARM in down)
        return axes, buttons


class Driver(Node):
    """Publishes the keys, hears who has the arm."""

    def __init__(self) -> None:
        super().__init__("drive")
        self._out = self.create_publisher(Joy, KEYS_TOPIC, RELIABLE)
        self.keys = Keys()
        self.state: ControllerState | None = None
        self.told = ""
        self.create_subscription(ControllerState, "a1/controller_state", self._on_state, STATUS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)

    def send(self) -> None:
        """The keys of this moment."""
        axes, buttons = self.keys.joy(time.monotonic())
        self._out.publish(Joy(axes=axes, buttons=buttons))

    def _on_state(self, msg: ControllerState) -> None:
        self.state = msg

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        name = self.resolve_topic_name("teleop")
        for status in msg.status:
            if status.name == f"{name}: teleop":
                self.told = status.message


def picture(driver: Driver) -> Group:
    """The live lines."""
    state = driver.state
    if state is None:
        return Group(Text(SILENT, style="yellow"), Text(KEYS, style="dim"))
    holder = Source(state.source).name if any(state.session_id.uuid) else "nobody"
    taken = "[bold red]TAKE-OVER[/]  " if driver.keys.take_over else ""
    head = f"{taken}{MODES.get(state.mode, '?')}  {holder} has the arm  {escape(state.reason)}"
    told = Text(driver.told or "no teleop node: launch it with keyboard:=true")
    return Group(Text.from_markup(head), told, Text(KEYS, style="dim"))


def serve(driver: Driver, console: Console) -> None:
    """Until q; then everything is let go."""
    with single_keys(), Live(console=console, auto_refresh=False) as live:
        next_s = time.monotonic()
        while True:
            rclpy.spin_once(driver, timeout_sec=0.0)
            now_s = time.monotonic()
            if now_s >= next_s:
                driver.send()
                live.update(picture(driver), refresh=True)
                next_s = now_s + PERIOD_S
            if not select.select([sys.stdin], [], [], 0.01)[0]:
                continue
            # Past Python's buffer, which `select` does not see.
            key = os.read(sys.stdin.fileno(), 1).decode("ascii", "replace")
            if key in ("q", ""):
                driver.keys = Keys()
                driver.send()
                return
            driver.keys.press(key, now_s)


def main(argv: Sequence[str] | None = None) -> None:
    """Exit status 1 without a terminal, or where a real arm could be in reach."""
    parser = argparse.ArgumentParser(prog="drive", description=__doc__)
    parser.parse_args(remove_ros_args(sys.argv)[1:] if argv is None else argv)
    console = Console()
    if not sys.stdin.isatty():
        console.print("drive: needs a terminal")
        sys.exit(1)
    rclpy.init()
    driver = Driver()
    try:
        refuse_foreign_endpoints(driver, (), settle_s=0.0)
        serve(driver, console)
    except A1Error as error:
        console.print(f"[red]drive:[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("left; the arm comes to rest")
    finally:
        driver.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
