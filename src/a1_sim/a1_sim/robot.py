"""The simulated arm: physics driven by the trajectory controller. No ROS."""

from collections.abc import Callable, Sequence

import numpy as np

from a1_core.errors import A1Error
from a1_core.times import NS_PER_S
from a1_sim.jtc import JtcState, TrajectoryController
from a1_world.tasks import Task, parse_steps
from a1_world.world import World


class SimulatedRobot:
    """A world whose arm follows `controller`; keeps the simulated clock `now_ns`.

    The clock begins at one second, because zero means 'no time yet' to ROS.

    Attributes:
        reset_ns: when layout and arm were last posed anew.
    """

    def __init__(self, world: World, controller: TrajectoryController) -> None:
        self.world = world
        self.controller = controller
        self.step_ns = round(world.model.opt.timestep * NS_PER_S)
        self.now_ns = NS_PER_S
        self.reset_ns = 0
        self.gripper_unit = 1.0
        self.last: JtcState | None = None
        controller.activate(world.joint_positions)

    def reset(
        self, seed: int, kind: str = "", colour: str = "", steps: Sequence[str] = ()
    ) -> tuple[Task, ...]:
        """Pose layout and arm anew and hold there; the clock goes on. Returns what is to be done.

        `steps` are sentences, for tasks in that order; without them it is one task of `kind` and
        `colour`, or where these are empty of what the seed decides. A1Error for what is not
        understood or does not stand on the table.
        """
        if steps and (kind or colour):
            raise A1Error(
                f"reset: kind '{kind}' and colour '{colour}' beside {len(steps)} steps; give "
                "either, the steps name both"
            )
        if steps:
            tasks = [task for sentence in steps for task in parse_steps(sentence)]
            self.world.reset(seed, tasks)
        else:
            self.world.reset(seed, kind=kind or None, colour=colour or None)
        self.reset_ns = self.now_ns
        self.controller.activate(self.world.joint_positions)
        self.gripper_unit = float(self.world.state_D[7])
        return self.world.steps

    def step(self) -> None:
        """One step of physics, with one update of the controller before it."""
        world = self.world
        self.last = self.controller.update(
            self.now_ns, world.joint_positions, world.joint_velocities
        )
        world.set_command(self.last.command.positions, self.gripper_unit)
        world.step(self.step_ns / NS_PER_S)
        self.now_ns += self.step_ns

    def jump_clock(self, by_ns: int) -> None:
        """Set the clock forward or back, as when a computer's clock is corrected in one step."""
        self.now_ns += by_ns
        self.reset_ns += by_ns

    def advance(self, until_ns: int, each: Callable[[], None] | None = None) -> None:
        """Step until the clock reads `until_ns`; `each` is called after every step."""
        while self.now_ns < until_ns:
            self.step()
            if each is not None:
                each()

    @property
    def following_error_rad(self) -> float:
        """Largest distance between a joint and its command."""
        if self.last is None:
            return 0.0
        return float(np.abs(self.last.command.positions - self.world.joint_positions).max())
