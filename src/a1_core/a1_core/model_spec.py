"""Which MuJoCo model is a robot's, and what its joints are called there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from a1_core.strict_yaml import Fields

# What a spec writes for a camera that the model has not.
OUTSIDE = "outside"


@dataclass(frozen=True, kw_only=True)
class AttachedModel:
    """A second file, such as a gripper's, that is put onto a site of the first.

    Its names get `prefix` before them.
    """

    file: str
    site: str
    prefix: str


@dataclass(frozen=True, kw_only=True)
class Finger:
    """A joint of the model that opens a gripper, and where it is closed and open (rad, m)."""

    joint: str
    closed: float
    open: float


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A MuJoCo model in an installed package; nothing of it lies in this project.

    Attributes:
        package: the distribution, as pip calls it.
        file: end of the path of one of its files, unique in it.
        meshes: folder of its meshes, beside it; empty: where the file says.
        attached: what is put onto it; None: nothing.
        joints: the model's names of the arm joints, in the spec's order.
        fingers: by column of a gripper the model's joints that open it.
        cameras: by camera of the spec the model's camera; those that the model has not look on
            from outside.
        left_out: bodies and geoms of the model that are not the robot's.
    """

    package: str
    file: str
    meshes: str
    attached: AttachedModel | None
    joints: tuple[str, ...]
    fingers: Mapping[str, tuple[Finger, ...]]
    cameras: Mapping[str, str]
    left_out: tuple[str, ...]
    source: str


def read_model(
    fields: Fields, joints: Sequence[str], grippers: Sequence[str], cameras: Sequence[str]
) -> ModelSpec:
    """The section `model` of a robot's YAML; the error of `fields` names what cannot be.

    Args:
        joints, grippers, cameras: names in the spec.
    """
    own = fields.texts("model_joints") if fields.has("model_joints") else tuple(joints)
    if len(own) != len(joints):
        raise fields.fail("model_joints", list(own), f"write {len(joints)}, one for each joint")
    spec = ModelSpec(
        package=fields.text("package"),
        file=fields.text("file"),
        meshes=fields.text("meshes") if fields.has("meshes") else "",
        attached=_attached(fields.section("attached")) if fields.has("attached") else None,
        joints=own,
        fingers=_fingers(fields.section("fingers"), grippers),
        cameras=_cameras(fields.section("cameras"), cameras),
        left_out=fields.texts("left_out") if fields.has("left_out") else (),
        source=fields.text("source"),
    )
    fields.done()
    return spec


def _fingers(fields: Fields, grippers: Sequence[str]) -> dict[str, tuple[Finger, ...]]:
    found = {name: tuple(map(_finger, fields.sections(name))) for name in grippers}
    fields.done()
    return found


def _finger(fields: Fields) -> Finger:
    finger = Finger(
        joint=fields.text("joint"), closed=fields.number("closed"), open=fields.number("open")
    )
    fields.done()
    return finger


def _attached(fields: Fields) -> AttachedModel:
    attached = AttachedModel(
        file=fields.text("file"), site=fields.text("site"), prefix=fields.text("prefix")
    )
    fields.done()
    return attached


def _cameras(fields: Fields, names: Sequence[str]) -> dict[str, str]:
    found = {name: fields.text(name) for name in names}
    fields.done()
    return {name: camera for name, camera in found.items() if camera != OUTSIDE}
