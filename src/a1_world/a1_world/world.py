"""The simulated table: reset, command, step, look, judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

import mujoco
import numpy as np

from a1_core.errors import A1Error
from a1_world.cameras import Cameras, Mount
from a1_world.judge import Judge
from a1_world.layout import CUBE_HALF_M, NUM_CUBES, Layout, make_layout
from a1_world.model_cache import load_scene_model
from a1_world.scene import ARM_JOINTS, BOWL_HEIGHT_M, BOWL_RADIUS_M, FINGER_OPEN_M, SQUARE_GROUPS
from a1_world.tasks import COLOURS, KINDS_WITH_TARGET, Task, make_task

# The gripper's own speed: both fingers move at 0.1 m/s, as the real hand by default.
GRIPPER_SPEED_UNIT_S = 0.1 / FINGER_OPEN_M
# The fingers' target runs at most this far ahead of them: it sets the grip (about 18 N).
GRIPPER_LEAD_UNIT = 0.3
SLICE_S = 0.02
FINGERS = ("left_finger", "right_finger")
# How far a cube's centre may lie from where it should: 45 mm of the square's 55, half a cube.
ON_SQUARE_M = 0.045
STACKED_ASIDE_M = 0.024
STACKED_HEIGHT_M = 0.010
REST_M_S = 0.05


class World:
    """FR3 with hand, three cubes and a bowl. Base frame, m, rad, s; gripper 0 closed .. 1 open.

    A square lies on the table when a cube has to be pushed to it, and only then. `image_size` is
    the side of the square images of `front` and `wrist`; `mounts` says by name which cameras hang
    otherwise than the scene has them; `render=False` never opens an OpenGL context. The clock
    never jumps back: a reset keeps it.

    Attributes:
        task: the task in hand.
        layout: what `reset` posed.
    """

    def __init__(
        self,
        image_size: int = 128,
        render: bool = True,
        mounts: Mapping[str, Mount] | None = None,
    ) -> None:
        self.model = load_scene_model()
        self.data = mujoco.MjData(self.model)
        self.cameras = Cameras(
            self.model, self.data, image_size=image_size, enabled=render, mounts=mounts
        )
        model = self.model
        self._arm = np.array([model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._arm_dof = np.array([model.joint(name).dofadr[0] for name in ARM_JOINTS])
        self._fingers = np.array([model.joint(f"finger_joint{i}").qposadr[0] for i in (1, 2)])
        self._cubes = [model.joint(f"cube{i}").qposadr[0] for i in range(NUM_CUBES)]
        self._cube_bodies = [model.body(f"cube{i}").id for i in range(NUM_CUBES)]
        self._finger_bodies = [model.body(name).id for name in FINGERS]
        self._of_robot = model.body_rootid == model.body("base").id
        self._tip = model.site("tip").id
        self._gripper_wanted = self._gripper_now = 1.0
        self._bowl, self._square = model.body("bowl"), model.body("square")
        self._judge = Judge(self)
        self.layout: Layout
        self.task: Task
        self.reset(0)

    def reset(
        self,
        seed: int,
        task: Task | Sequence[Task] | None = None,
        *,
        kind: str | None = None,
        colour: str | None = None,
        colour_index: int | None = None,
    ) -> Task:
        """Pose the layout of `seed` and return the task, of several the first.

        Without more the seed chooses the task too; `task` (several: to be done in that order), or
        `kind` and one of `colour` and `colour_index` (0..2), ask for another without moving any
        object. The seed also chooses what is not asked for: the cube to stack on. A1Error when a
        colour does not stand on the table.
        """
        layout = make_layout(seed)
        steps = _choose_steps(layout, task, kind, colour, colour_index)
        self.layout = layout
        time_s = self.data.time
        mujoco.mj_resetData(self.model, self.data)
        self.data.time = time_s
        self._judge.begin(steps)
        for index in range(NUM_CUBES):
            yaw = layout.cube_yaw[index]
            quat = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
            self.pose_cube(index, np.array([*layout.cube_xy[index], CUBE_HALF_M]), quat)
            self.model.geom(f"cube{index}").rgba[:3] = COLOURS[layout.colours[index]]
        self.data.mocap_pos[self._bowl.mocapid[0]] = [*layout.bowl_xy, 0.0]
        self._lay_square()
        self.pose_arm(layout.start_q, 1.0)
        return self.task

    def pose_arm(self, q: np.ndarray, gripper: float) -> None:
        """Put the arm there at rest, now, and command it to stay (joints [7] rad, gripper 0..1)."""
        self.data.qpos[self._arm] = q
        self.data.qpos[self._fingers] = gripper * FINGER_OPEN_M
        self.data.qvel[:] = 0.0
        self._gripper_now = gripper
        self.set_command(q, gripper)
        self.refresh()

    def pose_cube(self, index: int, position: np.ndarray, quat_wxyz: np.ndarray) -> None:
        """Put cube `index` there; call `refresh` (or pose_arm, which does) before looking."""
        start = self._cubes[index]
        self.data.qpos[start : start + 3] = position
        self.data.qpos[start + 3 : start + 7] = quat_wxyz

    def refresh(self) -> None:
        """Bring poses, contacts and cameras in line with positions set by hand."""
        mujoco.mj_forward(self.model, self.data)

    def set_command(self, q: np.ndarray, gripper_unit: float) -> None:
        """Joint targets [7] (rad) and gripper target (0..1) from now on."""
        self.data.ctrl[:7] = q
        self._gripper_wanted = float(np.clip(gripper_unit, 0.0, 1.0))

    def step(self, dt_s: float) -> None:
        """Advance the physics by dt_s, a multiple of the model's timestep (4 ms)."""
        left = round(dt_s / self.model.opt.timestep)
        per_slice = round(SLICE_S / self.model.opt.timestep)
        while left > 0:
            count = min(left, per_slice)
            self._move_gripper(GRIPPER_SPEED_UNIT_S * count * self.model.opt.timestep)
            self.data.ctrl[7] = self._gripper_now * FINGER_OPEN_M
            mujoco.mj_step(self.model, self.data, nstep=count)
            left -= count
            self._judge.note(count * self.model.opt.timestep)

    @property
    def time_s(self) -> float:
        """Seconds simulated since the world was made."""
        return float(self.data.time)

    @property
    def joint_positions(self) -> np.ndarray:
        """float64 [7] rad."""
        return self.data.qpos[self._arm].copy()

    @property
    def joint_velocities(self) -> np.ndarray:
        """float64 [7] rad/s."""
        return self.data.qvel[self._arm_dof].copy()

    @property
    def finger_position(self) -> float:
        """Travel of one finger (m), the mean of both."""
        return float(self.data.qpos[self._fingers].mean())

    @property
    def state_D(self) -> np.ndarray:  # noqa: N802
        """float32 [8]: joints (rad) and gripper opening 0..1."""
        opening = min(max(self.finger_position / FINGER_OPEN_M, 0.0), 1.0)
        return np.array([*self.joint_positions, opening], np.float32)

    @property
    def tip_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position [3] and rotation matrix [3, 3] of the tip in the base frame."""
        return (
            self.data.site_xpos[self._tip].copy(),
            self.data.site_xmat[self._tip].reshape(3, 3).copy(),
        )

    @property
    def named(self) -> int:
        """Index of the cube that the task names."""
        return self.layout.colours.index(self.task.colour)

    @property
    def target(self) -> int:
        """Index of the cube to stack on; only for tasks that name one."""
        assert self.task.target is not None
        return self.layout.colours.index(self.task.target)

    @property
    def steps(self) -> tuple[Task, ...]:
        """The tasks asked for at the reset, in order."""
        return self._judge.steps

    @property
    def step_index(self) -> int:
        """Which of `steps` is in hand; it goes up by itself when that one succeeds."""
        return self._judge.step

    @property
    def bowl_xy(self) -> np.ndarray:
        """Centre of the bowl [2] (m)."""
        return self.data.mocap_pos[self._bowl.mocapid[0], :2].copy()

    @property
    def square_shown(self) -> bool:
        """Whether the square lies on the table."""
        return bool(self.model.geom("square").group[0] == SQUARE_GROUPS[True])

    @property
    def square_xy(self) -> np.ndarray:
        """Centre of the square [2] (m), shown or not."""
        return self.data.mocap_pos[self._square.mocapid[0], :2].copy()

    def cube_pose(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Centre [3] and rotation matrix [3, 3] of cube `index`."""
        body = self._cube_bodies[index]
        return self.data.xpos[body].copy(), self.data.xmat[body].reshape(3, 3).copy()

    def fingers_on(self, index: int) -> tuple[bool, bool]:
        """Whether the left and the right finger touch cube `index`."""
        pairs = self._contact_bodies()
        cube = self._cube_bodies[index]
        left, right = (
            any({a, b} == {cube, finger} for a, b in pairs) for finger in self._finger_bodies
        )
        return left, right

    def hand_on(self, index: int) -> bool:
        """Whether any part of the robot touches cube `index`."""
        if self.data.ncon == 0:
            return False
        ours = self._contact_bodies() == self._cube_bodies[index]
        robot = self._of_robot[self._contact_bodies()]
        return bool((ours & robot[:, ::-1]).any())

    def at_rest(self, index: int) -> bool:
        """Whether cube `index` moves slower than 5 cm/s."""
        speed = np.linalg.norm(self.data.cvel[self._cube_bodies[index], 3:])
        return bool(speed < REST_M_S)

    def collides(self) -> bool:
        """Whether any part of the robot touches anything, as posed."""
        robot = self._of_robot[self._contact_bodies()]
        return bool((robot[:, 0] != robot[:, 1]).any())

    def in_bowl(self, index: int) -> bool:
        """Whether cube `index` lies inside the bowl, held or not."""
        centre, _ = self.cube_pose(index)
        inside = np.linalg.norm(centre[:2] - self.bowl_xy) < BOWL_RADIUS_M - 0.01
        return bool(inside and centre[2] < BOWL_HEIGHT_M + 0.5 * CUBE_HALF_M)

    def on_square(self, index: int) -> bool:
        """Whether cube `index` lies on the square, held or not; never when it is not shown."""
        centre, _ = self.cube_pose(index)
        inside = np.linalg.norm(centre[:2] - self.square_xy) < ON_SQUARE_M
        return bool(self.square_shown and inside and abs(centre[2] - CUBE_HALF_M) < CUBE_HALF_M)

    def stacked(self, top: int, below: int) -> bool:
        """Whether cube `top` lies on cube `below`, held or not."""
        above = self.cube_pose(top)[0] - self.cube_pose(below)[0]
        centred = np.linalg.norm(above[:2]) < STACKED_ASIDE_M
        return bool(centred and abs(above[2] - 2.0 * CUBE_HALF_M) < STACKED_HEIGHT_M)

    def success(self) -> bool:
        """Whether everything asked for was done, in order.

        touch: the named cube was the first to be touched; bowl, stack, push: it rests there, let
        go, and for the last two has done so for a moment.
        """
        return self._judge.success()

    def failed(self) -> bool:
        """Whether something went wrong: another cube was touched first, put there or stacked, or
        one to be moved fell off the table.
        """
        return self._judge.failed()

    def phase(self) -> str:
        """What the expert would do now."""
        from a1_world.expert import Expert  # the expert looks at worlds; imported when asked

        return Expert(self).phase

    def render(self, camera: str) -> np.ndarray:
        """uint8 [h, w, 3] RGB of camera `front`, `wrist` or `overview` as things stand."""
        return self.cameras.render(camera)

    def project(
        self, camera: str, xyz: np.ndarray, *, cube: int | None = None, bowl: bool = False
    ) -> tuple[float, float] | None:
        """Where a point (m, base frame) appears: (x right, y down), each 0..1 over the image.

        None when it is out of view or hidden; with `cube` or `bowl`, that one hides nothing.
        """
        body = self._bowl.id if bowl else None if cube is None else self._cube_bodies[cube]
        return self.cameras.project(camera, xyz, see_through=body)

    def close(self) -> None:
        """Release the OpenGL context; the world must not render afterwards."""
        self.cameras.close()

    def __enter__(self) -> World:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _move_gripper(self, reach: float) -> None:
        opening = self.finger_position / FINGER_OPEN_M
        after = self._gripper_now + np.clip(self._gripper_wanted - self._gripper_now, -reach, reach)
        lead = GRIPPER_LEAD_UNIT
        self._gripper_now = float(np.clip(after, opening - lead, opening + lead))

    def _contact_bodies(self) -> np.ndarray:
        return self.model.geom_bodyid[self.data.contact.geom]

    def _lay_square(self) -> None:
        """Where the first cube to be pushed wants it, or out of sight."""
        pushed = [step.colour for step in self.steps if step.kind == "push"]
        colours = self.layout.colours
        index = colours.index(pushed[0]) if pushed else 0
        self.data.mocap_pos[self._square.mocapid[0]] = [*self.layout.square_xy[index], 0.0]
        self.model.geom("square").group[0] = SQUARE_GROUPS[bool(pushed)]


def _choose_steps(
    layout: Layout,
    task: Task | Sequence[Task] | None,
    kind: str | None,
    colour: str | None,
    colour_index: int | None,
) -> tuple[Task, ...]:
    if task is None:
        steps: tuple[Task, ...] = (_choose_task(layout, kind, colour, colour_index),)
    else:
        steps = (task,) if isinstance(task, Task) else tuple(task)
    if not steps:
        raise A1Error("reset: task is an empty list; give at least one task")
    for step in steps:
        for word in (step.colour, step.target):
            if word is not None:
                _require_on_table(layout, word)
    return steps


def _choose_task(
    layout: Layout, kind: str | None, colour: str | None, colour_index: int | None
) -> Task:
    if colour is not None and colour_index is not None:
        raise A1Error("reset: give colour or colour_index, not both")
    index = layout.named if colour_index is None else colour_index
    if not 0 <= index < NUM_CUBES:
        raise A1Error(f"reset: colour_index {index} is out of range; use 0..{NUM_CUBES - 1}")
    kind, colour = kind or layout.kind, colour or layout.colours[index]
    if kind not in KINDS_WITH_TARGET:
        return make_task(kind, colour)
    _require_on_table(layout, colour)
    target = layout.target_of(layout.colours.index(colour))
    return make_task(kind, colour, layout.colours[target])


def _require_on_table(layout: Layout, colour: str) -> None:
    if colour not in layout.colours:
        raise A1Error(
            f"reset: seed {layout.seed} has no {colour} cube; "
            f"name one of {', '.join(layout.colours)}"
        )
