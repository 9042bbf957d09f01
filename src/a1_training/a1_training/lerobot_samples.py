"""A LeRobot v3.0 data set as the samples that the trainer draws batches from.

States, actions and images are those that the live node would have had: the data set was made by
the same assembler (`a1_data.lerobot.from_bags`), and normalisation is the checkpoint's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from a1_core.errors import DatasetError
from a1_core.spec import RobotSpec
from a1_data.lerobot.chunks import chunk_at, frames_apart
from a1_data.lerobot.columns import Columns, Naming
from a1_data.lerobot.dataset import Dataset, Episode, Rows
from a1_data.lerobot.drivers import POLICY, corrected
from a1_data.lerobot.episode_filters import Dropped, Wanted, sound_episodes, still_frames
from a1_data.lerobot.layout import INFO
from a1_model.vision import fit_images
from a1_world.sample import Sample
from a1_world.shards import write_shards


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """What is loaded of a data set.

    Attributes:
        wanted: which episodes.
        naming: what the data set calls the robot's columns and cameras.
        every: periods of the policy between two samples.
        still: keep samples within whose chunk nothing moves; the last of an episode stays anyway.
        image_size: side of the stored images, cropped and scaled as a network without a connector
            does (`VisionConfig`); None keeps them as they are.
    """

    wanted: Wanted = field(default_factory=Wanted)
    naming: Naming = field(default_factory=Naming)
    every: int = 1
    still: bool = False
    image_size: int | None = None


def lerobot_samples(
    dataset: Dataset, spec: RobotSpec, settings: LoadSettings, dropped: Dropped
) -> Iterator[Sample]:
    """The samples in order; what is left out is counted in `dropped`.

    A sample's chunk holds the actions due from its frame on, in the spec's action space, as far as
    its step goes: frames in a row with the same instruction. Then the last one is repeated. `end`
    is true for the last frame of a step that another one follows, and of an episode that is not
    labelled a failure. Where a person took over from a policy, what the policy did is no example:
    samples of frames in which it drove are left out, but for the last one, which says that the
    episode ends.

    Raises DatasetError where the data set is of other joints, cameras or another rate.
    """
    columns = Columns(dataset, spec, settings.naming)
    step = frames_apart(dataset.info.fps, spec, dataset.path / INFO)
    for episode, rows in sound_episodes(dataset, columns, settings.wanted, dropped):
        try:
            yield from _samples(dataset, columns, spec, settings, dropped, episode, rows, step)
        except DatasetError as error:
            if settings.wanted.strict:
                raise
            dropped.note("UNREADABLE", f"from some frame on: {error}")


def store_samples(
    dataset: Dataset, spec: RobotSpec, directory: Path, settings: LoadSettings
) -> tuple[int, Dropped]:
    """Decode a data set once into shards (`a1_world.shards`), the form that training reads fast.

    Shards that were made of the same data set with the same settings are left as they are. How
    many samples there are, and what was left out (empty when nothing had to be done).
    """
    dropped = Dropped()
    manifest = {
        "generator": "lerobot",
        "dataset": dataset.path.name,
        "digest": _digest(dataset.path),
        "spec_digest": spec.digest,
        "settings": repr(settings),
    }
    samples = lerobot_samples(dataset, spec, settings, dropped)
    return write_shards(samples, directory, manifest=manifest), dropped


def _samples(
    dataset: Dataset,
    columns: Columns,
    spec: RobotSpec,
    settings: LoadSettings,
    dropped: Dropped,
    episode: Episode,
    rows: Rows,
    step: int,
) -> Iterator[Sample]:
    # The policy's rate from here on.
    state_TD, action_TD, tasks_T = rows.state_TD[::step], rows.action_TD[::step], rows.tasks[::step]
    still_T = still_frames(state_TD, action_TD)
    drivers_T = episode.frame_drivers[::step]
    was_corrected = corrected(drivers_T)
    last, stop_T = len(state_TD) - 1, step_ends(tasks_T)
    for frame, images in enumerate(dataset.images(episode, columns.cameras)):
        at, between = divmod(frame, step)
        if between:
            continue
        stop = stop_T[at]
        ends = at == stop - 1
        if at % settings.every and not ends:
            continue
        where = f"{dataset.path}: episode {episode.index}, frame {frame}"
        if was_corrected and drivers_T[at] == POLICY and at != last:
            dropped.note("CORRECTED", where)
            continue
        if not (settings.still or ends) and still_T[at : at + spec.policy.horizon].all():
            dropped.note("STILL_SAMPLE", where)
            continue
        yield Sample(
            images=_fitted(images, settings.image_size),
            state_D=state_TD[at],
            instruction=tasks_T[at],
            actions_HD=chunk_at(action_TD[:stop], state_TD, at, spec),
            end=ends and (at != last or episode.outcome != "failure"),
            points={},
            episode=episode.index,
            tick=at,
            seed=-1,
        )


def step_ends(tasks_T: Sequence[str]) -> list[int]:
    """For every frame the number of the first one that is about something else, or T."""
    stops_T: list[int] = []
    for _, same in groupby(tasks_T):
        length = len(list(same))
        stops_T += [len(stops_T) + length] * length
    return stops_T


def _fitted(images: Mapping[str, Any], size: int | None) -> dict[str, np.ndarray]:
    if size is None:
        return dict(images)
    return {
        camera: fit_images(torch.from_numpy(rgb)[None], size)[0]
        .round()
        .permute(1, 2, 0)
        .to(torch.uint8)
        .numpy()
        for camera, rgb in images.items()
    }


def _digest(path: Path) -> str:
    """SHA-256 (hex) of names and sizes of all files and of what meta/ says."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(f"{file.relative_to(path)} {file.stat().st_size}\n".encode())
        if file.is_relative_to(path / "meta"):
            total.update(file.read_bytes())
    return total.hexdigest()
