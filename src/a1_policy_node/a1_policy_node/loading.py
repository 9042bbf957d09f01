"""What configure loads: robot spec, checkpoint, thresholds; refused when they do not fit."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from a1_core.errors import CheckpointError, SpecError
from a1_core.observation import Observation
from a1_core.policy import ExitSetting, Policy
from a1_core.spec import RobotSpec, load_spec
from a1_core.thresholds_file import Bindable
from a1_policy_node.settings import Settings
from a1_ros.qos import qos_from_spec

WARM_UP_SIDE = 224


class Checkpoint(Bindable, Protocol):
    """What the node needs of a loaded checkpoint; a1_model's LoadedCheckpoint is one."""

    @property
    def policy(self) -> Policy:
        """What acts."""

    @property
    def config(self) -> Any:
        """Has exits (blocks) and metric as well."""


CheckpointLoader = Callable[[Path, RobotSpec, Settings], Checkpoint]
"""Directory and robot spec to a checkpoint, on the device of the settings; raises A1Error."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A robot and a policy for it, warmed up.

    Attributes:
        full_s: what the last full-depth pass of the warm-up took.
    """

    spec: RobotSpec
    checkpoint: Checkpoint
    summary: str
    full_s: float

    @property
    def policy(self) -> Policy:
        """The policy; after configure only the worker's thread calls it."""
        return self.checkpoint.policy

    @property
    def checkpoint_digest(self) -> str:
        """SHA-256 (hex) of the checkpoint."""
        return self.checkpoint.digest


def load_a1(directory: Path, spec: RobotSpec, settings: Settings) -> Checkpoint:
    """Load a checkpoint of a1_model, with the latency of its segments measured here."""
    # Imported here: a node with another policy does without torch.
    import torch

    from a1_model.checkpoint import load_checkpoint
    from a1_model.compiled import compile_segments
    from a1_model.segments import measure_segments

    torch.set_num_threads(settings.threads)
    checkpoint = load_checkpoint(directory, spec, device=settings.device)
    if settings.compile:
        compile_segments(checkpoint.network)
    measure_segments(checkpoint.policy, warm_up_observation(spec), repeats=3)
    return checkpoint


def load(settings: Settings, load_checkpoint: CheckpointLoader) -> Loaded:
    """Load and warm up what the settings name.

    Raises A1Error with field and mend when a file is missing or does not fit.
    """
    if not settings.robot:
        raise SpecError("parameter robot is empty; set it to a file of config/robots")
    spec = load_spec(Path(settings.robot))
    for index, camera in enumerate(spec.cameras):
        qos_from_spec(camera.qos, where=f"{spec.path}: cameras[{index}]")
    for index, source in enumerate(spec.state_sources):
        qos_from_spec(source.qos, where=f"{spec.path}: state_sources[{index}]")
    if not settings.checkpoint:
        raise CheckpointError("parameter checkpoint is empty; set it to a checkpoint's directory")
    directory = Path(settings.checkpoint)
    if not directory.is_dir():
        raise CheckpointError(
            f"parameter checkpoint: {directory} is no directory; train or fetch a checkpoint"
        )
    checkpoint = load_checkpoint(directory, spec, settings)
    began_s = time.monotonic()
    output = checkpoint.policy.act(warm_up_observation(spec), setting=ExitSetting(mode="full"))
    wanted = (spec.policy.horizon, len(spec.policy_names))
    if output.actions_HD.shape != wanted:
        raise CheckpointError(
            f"{directory}: gives chunks of {output.actions_HD.shape}, the robot spec {spec.path} "
            f"wants {wanted}; choose the checkpoint trained for this robot"
        )
    seconds = time.monotonic() - began_s
    summary = (
        f"{spec.robot}: checkpoint {directory} ({checkpoint.digest[:12]}), "
        f"full depth {seconds * 1e3:.0f} ms"
    )
    return Loaded(spec=spec, checkpoint=checkpoint, summary=summary, full_s=seconds)


def warm_up_observation(spec: RobotSpec) -> Observation:
    """Grey images and the home pose: what an inference costs does not depend on what it sees."""
    images = {
        camera.name: np.full(
            (camera.height or WARM_UP_SIDE, camera.width or WARM_UP_SIDE, 3), 128, np.uint8
        )
        for camera in spec.cameras
    }
    state_D = np.append(spec.home, np.ones(len(spec.grippers))).astype(np.float32)
    return Observation(stamp_ns=0, images=images, state_D=state_D, instruction="warm up")
