"""Any robot with a MuJoCo model, with physics: servos in its joints, and what its cameras see."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from a1_core.spec import RobotSpec
from a1_world.robot_model import compile_robot, load_robot, model_of
from a1_world.scene import add_sky

Floats = NDArray[np.float64]

TIMESTEP_S = 0.002
# Servos are critically damped, of this natural frequency (rad/s) at the inertia of the zero pose.
SERVO_RAD_S = 40.0
LAG_S = 2.0 / SERVO_RAD_S
# From where the robot is looked at by cameras that its model has not, in its own sizes.
OUTSIDE_AZIMUTH_DEG, OUTSIDE_ELEVATION_DEG, OUTSIDE_DISTANCE = 140.0, -25.0, 1.5


class PhysicalRobot:
    """The arms and hands of a spec in MuJoCo, gravity compensated as their vendors do it.

    Vendors' actuators differ in kind and are partly made for other purposes, so each joint gets a
    position servo; its force keeps the range of the actuator in its place. There is nothing but
    the robot, fixed where its model stands.

    Args:
        robot: its spec; SpecError where it names no model, or one that is not installed.
    """

    def __init__(self, robot: RobotSpec) -> None:
        told = model_of(robot)
        fingers = [finger for hand in told.fingers.values() for finger in hand]
        joints = [*told.joints, *(finger.joint for finger in fingers)]
        self.model = compile_robot(_with_servos(load_robot(robot), joints))
        self.data = mujoco.MjData(self.model)
        self._arm = len(told.joints)
        self._qpos = [int(self.model.joint(name).qposadr[0]) for name in joints]
        self._dofs = [int(self.model.joint(name).dofadr[0]) for name in joints]
        self._ends = [
            [(finger.closed, finger.open) for finger in hand] for hand in told.fingers.values()
        ]
        self._place(np.append(robot.home, np.ones(len(self._ends))))
        self._tune()

    @property
    def state(self) -> tuple[Floats, Floats]:
        """Positions and velocities [D]: arm joints (rad, rad/s), then openings 0..1 (1/s)."""
        q, qd = self.data.qpos[self._qpos], self.data.qvel[self._dofs]
        openings, paces, first = [], [], self._arm
        for hand in self._ends:
            spans = np.array([opened - closed for closed, opened in hand])
            closed = np.array([end[0] for end in hand])
            own = slice(first, first + len(hand))
            openings.append(float(((q[own] - closed) / spans).mean()))
            paces.append(float((qd[own] / spans).mean()))
            first += len(hand)
        return np.append(q[: self._arm], openings), np.append(qd[: self._arm], paces)

    def command(self, q_D: Floats, qd_D: Floats) -> None:
        """Where the servos go: positions and velocities as in `state`."""
        lead_D = q_D + LAG_S * qd_D
        self.data.ctrl[:] = self._spread(np.append(lead_D[: self._arm], q_D[self._arm :]))

    def advance(self, dt_s: float) -> None:
        """Let time run."""
        for _ in range(max(1, round(dt_s / TIMESTEP_S))):
            mujoco.mj_step(self.model, self.data)

    def _spread(self, q_D: Floats) -> Floats:
        """Positions of all joints [M], fingers by their hand's opening."""
        fingers = [
            closed + opening * (opened - closed)
            for hand, opening in zip(self._ends, q_D[self._arm :], strict=True)
            for closed, opened in hand
        ]
        return np.append(q_D[: self._arm], fingers)

    def _place(self, q_D: Floats) -> None:
        self.data.qpos[self._qpos] = self._spread(q_D)
        self.data.ctrl[:] = self._spread(q_D)
        mujoco.mj_forward(self.model, self.data)

    def _tune(self) -> None:
        """Gains by the inertia that each joint has to move.

        Friction and damping in the models are what their own controllers were tuned against.
        """
        self.model.dof_frictionloss[self._dofs] = 0.0
        self.model.dof_damping[self._dofs] = 0.0
        stiffness_M = self.model.dof_M0[self._dofs] * SERVO_RAD_S**2
        self.model.actuator_gainprm[:, 0] = stiffness_M
        self.model.actuator_biasprm[:, 1] = -stiffness_M
        self.model.actuator_biasprm[:, 2] = -LAG_S * stiffness_M


class RobotCameras:
    """Pictures of a robot as it is posed; to be used and closed by one thread.

    Args:
        sizes: width and height by camera of the spec.
    """

    def __init__(
        self, robot: RobotSpec, model: mujoco.MjModel, sizes: dict[str, tuple[int, int]]
    ) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        self._own = dict(model_of(robot).cameras)
        self._sizes = sizes
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self._outside = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(model, self._outside)
        self._outside.azimuth = OUTSIDE_AZIMUTH_DEG
        self._outside.elevation = OUTSIDE_ELEVATION_DEG
        self._outside.distance = OUTSIDE_DISTANCE * model.stat.extent

    def render(self, camera: str, qpos: Floats) -> NDArray[np.uint8]:
        """uint8 [h, w, 3] RGB of a camera of the spec, with the robot at MuJoCo's `qpos`."""
        width, height = self._sizes[camera]
        renderer = self._renderers.get((width, height))
        if renderer is None:
            renderer = mujoco.Renderer(self._model, height=height, width=width)
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                renderer.scene.flags[flag] = 0
            self._renderers[width, height] = renderer
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        renderer.update_scene(self._data, self._own.get(camera, self._outside))
        return renderer.render()

    def close(self) -> None:
        """Release OpenGL."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def _with_servos(spec: mujoco.MjSpec, joints: list[str]) -> mujoco.MjSpec:
    ranges = {
        actuator.target: np.array(actuator.forcerange)
        for actuator in spec.actuators
        if actuator.trntype == mujoco.mjtTrn.mjTRN_JOINT and np.any(actuator.forcerange)
    }
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    for body in spec.bodies:
        if body.name != "world":
            body.gravcomp = 1.0
    for name in joints:
        servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.gaintype = mujoco.mjtGain.mjGAIN_FIXED
        servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        if name in ranges:
            servo.forcerange = ranges[name]
            servo.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
    spec.option.timestep = TIMESTEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    add_sky(spec)
    spec.visual.headlight.ambient = [0.4, 0.4, 0.4]
    spec.visual.headlight.diffuse = [0.6, 0.6, 0.6]
    return spec
