"""The simulated table: reset, command, step, look, judge."""

from __future__ import annotations

from types import TracebackType

import mujoco
import numpy as np

from a1_core.errors import A1Error
from a1_world.cameras import Cameras
from a1_world.layout import CUBE_HALF_M, NUM_CUBES, Layout, make_layout
from a1_world.model_cache import load_scene_model
from a1_world.scene import ARM_JOINTS, BOWL_HEIGHT_M, BOWL_RADIUS_M, FINGER_OPEN_M
from a1_world.tasks import COLOURS, Task, make_task

# The gripper's own speed: both fingers move at 0.1 m/s, as the real hand by default.
GRIPPER_SPEED_UNIT_S = 0.1 / FINGER_OPEN_M
# The fingers' target runs at most this far ahead of them: it sets the grip (about 18 N).
GRIPPER_LEAD_UNIT = 0.3
SLICE_S = 0.02
FINGERS = ("left_finger", "right_finger")


class World:
    """FR3 with hand, three cubes and a bowl. Base frame, m, rad, s; gripper 0 closed .. 1 open.

    `image_size` is the side of the square images of `front` and `wrist`; `render=False` never
    opens an OpenGL context. The clock never jumps back: a reset keeps it.
    """

    def __init__(self, image_size: int = 128, render: bool = True) -> None:
        self.model = load_scene_model()
        self.data = mujoco.MjData(self.model)
        self.cameras = Cameras(self.model, self.data, image_size=image_size, enabled=render)
        model = self.model
        self._arm = np.array([model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._arm_dof = np.array([model.joint(name).dofadr[0] for name in ARM_JOINTS])
        self._fingers = np.array([model.joint(f"finger_joint{i}").qposadr[0] for i in (1, 2)])
        self._cubes = [model.joint(f"cube{i}").qposadr[0] for i in range(NUM_CUBES)]
        self._cube_bodies = [model.body(f"cube{i}").id for i in range(NUM_CUBES)]
        self._finger_bodies = [model.body(name).id for name in FINGERS]
        self._robot_bodies = {
            i for i in range(model.nbody) if model.body_rootid[i] == model.body("base").id
        }
        self._tip = model.site("tip").id
        self._gripper_wanted = self._gripper_now = 1.0
        self._touched: list[int] = []
        self.layout: Layout
        self.task: Task
        self.reset(0)

    def reset(
        self,
        seed: int,
        task: Task | None = None,
        *,
        kind: str | None = None,
        colour: str | None = None,
        colour_index: int | None = None,
    ) -> Task:
        """Pose the layout of `seed` and return the task.

        Without more the seed chooses the task too; `task`, or `kind` and one of `colour` and
        `colour_index` (0..2), ask for another without changing the layout. A1Error when the
        colour does not stand on the table.
        """
        layout = make_layout(seed)
        self.task = _choose_task(layout, task, kind, colour, colour_index)
        self.layout = layout
        time_s = self.data.time
        mujoco.mj_resetData(self.model, self.data)
        self.data.time = time_s
        self._touched = []
        for index in range(NUM_CUBES):
            yaw = layout.cube_yaw[index]
            quat = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
            self.pose_cube(index, np.array([*layout.cube_xy[index], CUBE_HALF_M]), quat)
            self.model.geom(f"cube{index}").rgba[:3] = COLOURS[layout.colours[index]]
        self.data.mocap_pos[0] = [*layout.bowl_xy, 0.0]
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
            self._note_touches()

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
    def bowl_xy(self) -> np.ndarray:
        """Centre of the bowl [2] (m)."""
        return self.data.mocap_pos[0, :2].copy()

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

    def collides(self) -> bool:
        """Whether any part of the robot touches anything, as posed."""
        robot = self._robot_bodies
        return any((a in robot) != (b in robot) for a, b in self._contact_bodies())

    def in_bowl(self, index: int) -> bool:
        """Whether cube `index` lies inside the bowl, held or not."""
        centre, _ = self.cube_pose(index)
        inside = np.linalg.norm(centre[:2] - self.bowl_xy) < BOWL_RADIUS_M - 0.01
        return bool(inside and centre[2] < BOWL_HEIGHT_M + 0.5 * CUBE_HALF_M)

    def success(self) -> bool:
        """Touch: the named cube was the first to be touched. Bowl: it rests there, let go."""
        if self.task.kind == "touch":
            return bool(self._touched) and self._touched[0] == self.named
        body = self._cube_bodies[self.named]
        slow = np.linalg.norm(self.data.cvel[body, 3:]) < 0.05
        free = not any(body in pair and self._robot_bodies & pair for pair in self._pairs())
        return bool(self.in_bowl(self.named) and slow and free)

    def failed(self) -> bool:
        """Touch: another cube was touched first. Bowl: another lies in it, or ours fell down."""
        if self.task.kind == "touch":
            return bool(self._touched) and self._touched[0] != self.named
        others = [i for i in range(NUM_CUBES) if i != self.named]
        return any(self.in_bowl(i) for i in others) or self.cube_pose(self.named)[0][2] < -0.05

    def phase(self) -> str:
        """What the expert would do now."""
        from a1_world.expert import Expert  # the expert looks at worlds; imported when asked

        return Expert(self).phase

    def render(self, camera: str) -> np.ndarray:
        """uint8 [h, w, 3] RGB of camera `front`, `wrist` or `overview` as things stand."""
        return self.cameras.render(camera)

    def project(
        self, camera: str, xyz: np.ndarray, *, cube: int | None = None
    ) -> tuple[float, float] | None:
        """Where a point (m, base frame) appears: (x right, y down), each 0..1 over the image.

        None when it is out of view or hidden; with `cube`, that cube itself hides nothing.
        """
        body = None if cube is None else self._cube_bodies[cube]
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

    def _pairs(self) -> list[set[int]]:
        return [{int(a), int(b)} for a, b in self._contact_bodies()]

    def _note_touches(self) -> None:
        if self.data.ncon == 0:
            return
        for pair in self._pairs():
            if not self._robot_bodies & pair:
                continue
            for index, body in enumerate(self._cube_bodies):
                if body in pair and index not in self._touched:
                    self._touched.append(index)


def _choose_task(
    layout: Layout,
    task: Task | None,
    kind: str | None,
    colour: str | None,
    colour_index: int | None,
) -> Task:
    if task is None:
        if colour is not None and colour_index is not None:
            raise A1Error("reset: give colour or colour_index, not both")
        index = layout.named if colour_index is None else colour_index
        if not 0 <= index < NUM_CUBES:
            raise A1Error(f"reset: colour_index {index} is out of range; use 0..{NUM_CUBES - 1}")
        task = make_task(kind or layout.kind, colour or layout.colours[index])
    if task.colour not in layout.colours:
        raise A1Error(
            f"reset: seed {layout.seed} has no {task.colour} cube; "
            f"name one of {', '.join(layout.colours)}"
        )
    return task
