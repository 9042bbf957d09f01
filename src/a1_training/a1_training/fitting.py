"""What has to fit a robot before anything is trained for it: data, and a start."""

from __future__ import annotations

from collections.abc import Mapping

from a1_core.errors import A1Error
from a1_core.normaliser import Normaliser
from a1_core.spec import RobotSpec
from a1_model.checkpoint import CheckpointDescription, action_space
from a1_world.shards import Shards


def check_sources(sources: Mapping[str, Shards], spec: RobotSpec) -> None:
    """A1Error unless chunks and cameras of all sources are the robot's and one of them has actions.

    Pictures of all sources have to be of one size.
    """
    rows = (spec.policy.horizon, spec.dim)
    for name, shards in sources.items():
        for kind, found, wanted in (
            ("chunks (rows, numbers)", shards.actions_NHD.shape[1:], rows),
            ("cameras", shards.cameras, spec.camera_names),
        ):
            if found != wanted:
                raise A1Error(
                    f"--data {name}: its {kind} are {found}, the robot spec {spec.path} has "
                    f"{wanted}; give data of this robot"
                )
    sizes = {name: shards.image_size for name, shards in sources.items()}
    if len(set(sizes.values())) > 1:
        raise A1Error(
            f"--data: pictures (height, width) are {sizes}; give sources whose pictures have one "
            "size"
        )
    if not any(shards.action_valid_N.any() for shards in sources.values()):
        raise A1Error(f"--data: none of {sorted(sources)} has actions; give one that has")


def check_start(start: CheckpointDescription, spec: RobotSpec) -> None:
    """A1Error unless the network of the checkpoint has the robot's shapes, which it keeps."""
    for field, found, wanted in (
        ("cameras", tuple(camera.name for camera in start.config.cameras), spec.camera_names),
        ("horizon", start.config.horizon, spec.policy.horizon),
        ("dim", start.config.dim, spec.dim),
    ):
        if found != wanted:
            raise A1Error(
                f"--start {start.directory}: {field}: it has {found}, the robot spec {spec.path} "
                f"{wanted}; start from a checkpoint of such a robot, or convert the published one "
                "for it"
            )


def kept_normaliser(start: CheckpointDescription, spec: RobotSpec) -> Normaliser:
    """That of the checkpoint; A1Error where its numbers mean something else."""
    # Checkpoints written before the action space stood in them do not say it.
    spaces = (
        (key, start.made_for.get(key, ours), ours) for key, ours in action_space(spec).items()
    )
    for field, found, wanted in (("names", start.normaliser.names, spec.action_names), *spaces):
        if found != wanted:
            raise A1Error(
                f"--start {start.directory}: {field}: its numbers are {found}, those of the robot "
                f"spec {spec.path} {wanted}; start from a checkpoint of this robot"
            )
    return start.normaliser
