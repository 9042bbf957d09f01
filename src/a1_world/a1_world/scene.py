"""The scene as a MuJoCo specification: FR3 and hand, table, cubes, bowl, cameras, light."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mujoco
import numpy as np

from a1_core.errors import A1Error
from a1_world.layout import BOWL_RADIUS_M, CUBE_HALF_M, NUM_CUBES, SQUARE_HALF_M
from a1_world.meshes import decimate_visuals

TIP_IN_HAND_M = (0.0, 0.0, 0.1034)
ARM_JOINTS = tuple(f"fr3_joint{i}" for i in range(1, 8))
# Stiffness and damping of the simulated joint servos; damping / stiffness is their lag (30 ms).
ARM_KP = (6000.0, 6000.0, 5000.0, 5000.0, 3000.0, 3000.0, 3000.0)
ARM_LAG_S = 0.03
FINGER_KP, FINGER_KV = 1500.0, 40.0
FINGER_FORCE_N = 60.0
FINGER_OPEN_M = 0.04
TIMESTEP_S = 0.004
BOWL_HEIGHT_M = 0.045
BOWL_SIDES = 20
# Groups of the square's shape: cameras draw the second and not the first; rays see neither.
SQUARE_GROUPS = (4, 2)

WORLD_BIT, ROBOT_BIT = 2, 1


def assets_folder() -> Path:
    """Folder of the FR3 model inside the installed franky-sim package."""
    found = importlib.util.find_spec("franky_sim")
    if found is None or not found.submodule_search_locations:
        raise A1Error("the robot's model is missing: install the package franky-sim==1.0.4")
    return Path(found.submodule_search_locations[0]) / "assets"


def robot_spec(*, kinematic: bool) -> mujoco.MjSpec:
    """FR3 with hand and a site `tip`; kinematic: arm only, without shapes, fingers and motors."""
    folder = assets_folder()
    spec = mujoco.MjSpec.from_file(str(folder / "fr3.xml"))
    spec.meshdir = str(folder / "meshes")
    for key in list(spec.keys):
        spec.delete(key)
    spec.body("hand").add_site(name="tip", pos=TIP_IN_HAND_M, size=[0.001] * 3, group=4)
    if kinematic:
        for element in [*spec.actuators, *spec.equalities, *spec.tendons, *spec.geoms]:
            spec.delete(element)
        for name in ("left_finger", "right_finger"):
            spec.delete(spec.body(name))
        for mesh in list(spec.meshes):
            spec.delete(mesh)
        return spec
    decimate_visuals(spec, folder / "meshes")
    _tune_robot(spec)
    return spec


def scene_spec() -> mujoco.MjSpec:
    """The whole scene; colours and poses of cubes and bowl are set at reset, not here."""
    spec = robot_spec(kinematic=False)
    spec.modelname = "a1_world"
    option = spec.option
    option.timestep = TIMESTEP_S
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    _add_surroundings(spec)
    for index in range(NUM_CUBES):
        cube = spec.worldbody.add_body(name=f"cube{index}", pos=[0.5, 0.1 * index, CUBE_HALF_M])
        cube.add_freejoint(name=f"cube{index}")
        _add_box(cube, f"cube{index}", [CUBE_HALF_M] * 3, (0.5, 0.5, 0.5), mass=0.08)
    _add_bowl(spec)
    _add_square(spec)
    _add_cameras(spec)
    return spec


def _tune_robot(spec: mujoco.MjSpec) -> None:
    for geom in spec.geoms:
        solid = geom.classname.name != "visual"
        geom.contype = ROBOT_BIT if solid else 0
        geom.conaffinity = WORLD_BIT if solid else 0
        if solid:
            geom.group = 3
            geom.friction = [1.2, 0.02, 0.0005]
    for body in spec.bodies:
        if body.name != "world":
            body.gravcomp = 1.0
    for name, kp in zip(ARM_JOINTS, ARM_KP, strict=True):
        motor = spec.actuator(name)
        motor.gainprm[0] = kp
        motor.biasprm[:3] = [0.0, -kp, -kp * ARM_LAG_S]
    hand = spec.actuator("hand")
    hand.inheritrange = 0.0
    hand.ctrlrange = [0.0, FINGER_OPEN_M]
    hand.forcerange = [-FINGER_FORCE_N, FINGER_FORCE_N]
    hand.gainprm[0] = FINGER_KP
    hand.biasprm[:3] = [0.0, -FINGER_KP, -FINGER_KV]


def add_sky(spec: mujoco.MjSpec) -> None:
    """A background, and pictures as cheap as they get; nothing of substance."""
    visual = spec.visual
    visual.quality.offsamples = 0
    visual.quality.shadowsize = 0
    visual.global_.offwidth, visual.global_.offheight = 1280, 960
    spec.add_texture(
        name="a1_sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.80, 0.85, 0.90],
        rgb2=[0.42, 0.47, 0.54],
        width=64,
        height=64,
    )


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    add_sky(spec)
    visual = spec.visual
    visual.headlight.ambient = [0.38, 0.38, 0.38]
    visual.headlight.diffuse = [0.25, 0.25, 0.25]
    visual.headlight.specular = [0.0, 0.0, 0.0]
    visual.map.znear, visual.map.zfar = 0.01, 20.0
    for pos, diffuse in (((1.2, 0.8, 2.2), 0.42), ((0.2, -1.4, 1.8), 0.20)):
        direction = np.array([0.45, 0.0, 0.0]) - np.array(pos)
        spec.worldbody.add_light(
            pos=pos,
            dir=direction / np.linalg.norm(direction),
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            castshadow=False,
            diffuse=[diffuse] * 3,
            specular=[0.1] * 3,
        )
    world = spec.worldbody
    _add_box(world, "table", [0.62, 0.70, 0.02], (0.36, 0.38, 0.41), pos=[0.42, 0.0, -0.02])
    for x in (-0.15, 0.95):
        for y in (-0.62, 0.62):
            _add_box(world, None, [0.03, 0.03, 0.35], (0.25, 0.26, 0.28), pos=[x, y, -0.39])
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[4.0, 4.0, 0.1],
        pos=[0.4, 0.0, -0.74],
        rgba=[0.62, 0.60, 0.57, 1.0],
        contype=0,
        conaffinity=0,
    )


def _add_box(
    body: mujoco.MjsBody,
    name: str | None,
    half: list[float],
    rgb: tuple[float, float, float],
    *,
    pos: list[float] | None = None,
    mass: float | None = None,
) -> None:
    geom = body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=half,
        pos=pos or [0.0, 0.0, 0.0],
        rgba=[*rgb, 1.0],
        contype=WORLD_BIT,
        conaffinity=WORLD_BIT | ROBOT_BIT,
        friction=[1.0, 0.02, 0.0005],
    )
    if name is not None:
        geom.name = name
    if mass is not None:
        geom.mass = mass


def _add_bowl(spec: mujoco.MjSpec) -> None:
    """A ring of slanted boards on a disc; a mocap body, so a reset can place it."""
    bowl = spec.worldbody.add_body(name="bowl", mocap=True, pos=[0.5, 0.2, 0.0])
    rgba = [0.93, 0.94, 0.96, 1.0]
    common = {"rgba": rgba, "contype": WORLD_BIT, "conaffinity": WORLD_BIT | ROBOT_BIT}
    bowl.add_geom(
        name="bowl_bottom",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[BOWL_RADIUS_M - 0.016, 0.003, 0.0],
        pos=[0.0, 0.0, 0.003],
        **{**common, "rgba": [0.80, 0.82, 0.85, 1.0]},
    )
    lean = 0.33
    for index in range(BOWL_SIDES):
        angle = 2.0 * np.pi * index / BOWL_SIDES
        radius = BOWL_RADIUS_M - 0.010
        width = np.tan(np.pi / BOWL_SIDES) * BOWL_RADIUS_M + 0.001
        turn, tilt = np.zeros(4), np.zeros(4)
        mujoco.mju_axisAngle2Quat(turn, np.array([0.0, 0.0, 1.0]), angle)
        mujoco.mju_axisAngle2Quat(tilt, np.array([0.0, 1.0, 0.0]), lean)
        quat = np.zeros(4)
        mujoco.mju_mulQuat(quat, turn, tilt)
        bowl.add_geom(
            name=f"bowl_side{index}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.003, width, BOWL_HEIGHT_M / 2 / np.cos(lean)],
            pos=[radius * np.cos(angle), radius * np.sin(angle), BOWL_HEIGHT_M / 2],
            quat=quat,
            **common,
        )


def _add_square(spec: mujoco.MjSpec) -> None:
    """A thin square without substance, out of sight; a reset places and shows it."""
    square = spec.worldbody.add_body(name="square", mocap=True, pos=[0.5, 0.0, 0.0])
    square.add_geom(
        name="square",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[SQUARE_HALF_M, SQUARE_HALF_M, 0.0005],
        pos=[0.0, 0.0, 0.0005],
        group=SQUARE_GROUPS[False],
        rgba=[0.10, 0.72, 0.76, 1.0],
        contype=0,
        conaffinity=0,
    )


def _add_cameras(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    add_camera(world, "front", eye=(1.26, 0.0, 0.90), target=(0.505, 0.0, 0.065), fovy=31.0)
    add_camera(world, "overview", eye=(1.40, -0.90, 0.80), target=(0.36, 0.0, 0.19), fovy=35.0)
    add_camera(
        spec.body("hand"),
        "wrist",
        eye=(0.085, 0.0, 0.050),
        target=(0.012, 0.0, 0.128),
        fovy=75.0,
        up=(0.0, 0.0, -1.0),
    )
    spec.body("hand").add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.012, 0.022, 0.010],
        pos=[0.072, 0.0, 0.034],
        group=2,
        rgba=[0.12, 0.12, 0.13, 1.0],
        contype=0,
        conaffinity=0,
        mass=0.0,
    )


def add_camera(
    body: mujoco.MjsBody,
    name: str,
    *,
    eye: tuple[float, float, float],
    target: tuple[float, float, float],
    fovy: float,
    up: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> None:
    """Add a camera at `eye` looking at `target` (m, the body's frame); fovy in degrees."""
    forward = np.subtract(target, eye)
    right = np.cross(forward, up)
    image_up = np.cross(right, forward)
    axes = np.stack([v / np.linalg.norm(v) for v in (right, image_up, -forward)], axis=1)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, axes.ravel())
    body.add_camera(name=name, pos=eye, quat=quat, fovy=fovy)
