"""Samples on disk: arrays that open as memory maps, with a manifest saying how they were made."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a1_core.errors import A1Error
from a1_world.sample import CAMERAS, HORIZON, Sample

MANIFEST = "manifest.json"
VERSION = 3


def write_shards(
    samples: Iterable[Sample],
    directory: Path | str,
    *,
    manifest: Mapping[str, Any],
    shard_size: int = 2048,
) -> int:
    """Write `samples` under `directory`; returns how many there are.

    `manifest` (JSON values) names the generator, its seed and its arguments. A directory that
    was completed with the same manifest is left as it is and `samples` is not touched; one that
    was interrupted is written anew. A1Error when it was completed with another manifest.
    """
    directory = Path(directory)
    found = _read_manifest(directory)
    if found is not None:
        if found["made_by"] != dict(manifest):
            raise A1Error(
                f"{directory / MANIFEST}: made_by is {found['made_by']}, wanted {dict(manifest)}; "
                "delete the directory or choose another"
            )
        return int(found["count"])
    draft = directory.with_name(directory.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    sizes: list[int] = []
    for index, part in enumerate(_parts(samples, shard_size)):
        _write_part(draft / f"{index:05d}", part)
        sizes.append(len(part))
    written = {"version": VERSION, "made_by": dict(manifest), "count": sum(sizes), "sizes": sizes}
    (draft / MANIFEST).write_text(json.dumps(written, indent=1) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    draft.replace(directory)
    return sum(sizes)


def open_shards(directories: Path | str | Sequence[Path | str]) -> Shards:
    """The samples of one or several completed directories, in that order, as one set."""
    if isinstance(directories, str | Path):
        directories = [directories]
    parts: list[Path] = []
    for directory in map(Path, directories):
        found = _read_manifest(directory)
        if found is None:
            raise A1Error(f"{directory}: holds no {MANIFEST}; write_shards has not completed it")
        parts += [directory / f"{index:05d}" for index in range(len(found["sizes"]))]
    return Shards(parts)


class Shards:
    """Stored samples: images as memory maps, all else in memory.

    U images belong to N samples: samples in a row that shared their images still do.

    image_N int64, the index of a sample's images; state_ND float32 [N, D]; actions_NHD float32
    [N, 16, D] (NaN-free; zero where action_valid_N is False); end_N bool; points_NV2 float32, NaN
    where the cube is not seen; target_points_NV2 float32, where it goes, NaN where that is not
    seen or there is none; instructions a list of N sentences; episode_N, tick_N, seed_N int64.
    """

    def __init__(self, parts: Sequence[Path]) -> None:
        loaded = []
        for part in parts:
            with np.load(part / "labels.npz") as labels:
                loaded.append(dict(labels))
        self._images = [np.load(part / "images.npy", mmap_mode="r") for part in parts]
        self._starts = np.cumsum([0, *(len(images) for images in self._images)])

        def joined(name: str) -> np.ndarray:
            if not loaded:
                raise A1Error("these shards hold no samples")
            return np.concatenate([labels[name] for labels in loaded])

        sizes = [len(labels["image"]) for labels in loaded]
        self.state_ND = joined("state")
        self.actions_NHD = joined("actions")
        self.action_valid_N = joined("action_valid")
        self.end_N = joined("end")
        self.points_NV2 = joined("points")
        self.target_points_NV2 = joined("target_points")
        self.episode_N, self.tick_N, self.seed_N = (joined(x) for x in ("episode", "tick", "seed"))
        self.instructions = [str(text) for text in joined("instruction")]
        self.image_N = joined("image") + np.repeat(self._starts[:-1], sizes)
        self._first_U = np.searchsorted(self.image_N, np.arange(self.num_images + 1))

    def __len__(self) -> int:
        return len(self.image_N)

    @property
    def num_images(self) -> int:
        """U."""
        return int(self._starts[-1])

    def samples_about(self, images: np.ndarray) -> np.ndarray:
        """Indices of all samples that belong to the given images, in the order of these."""
        groups = [np.arange(self._first_U[i], self._first_U[i + 1]) for i in images]
        return np.concatenate(groups) if groups else np.empty(0, np.int64)

    def samples_per_image(self, images: np.ndarray) -> np.ndarray:
        """How many samples belong to each of the given images."""
        counts: np.ndarray = np.diff(self._first_U)[images]
        return counts

    def images_UVHWC(self, images: np.ndarray) -> np.ndarray:  # noqa: N802
        """uint8 [n, 2, h, w, 3] of the images asked for, in model order of cameras."""
        which = np.searchsorted(self._starts, images, side="right") - 1
        shape = (len(images), *self._images[0].shape[1:])
        images_UVHWC = np.empty(shape, np.uint8)
        for place, (part, image) in enumerate(zip(which, images, strict=True)):
            images_UVHWC[place] = self._images[part][image - self._starts[part]]
        return images_UVHWC


def _parts(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    stream = iter(samples)
    while part := list(itertools.islice(stream, size)):
        yield part


def _write_part(folder: Path, samples: list[Sample]) -> None:
    folder.mkdir()
    no_actions = np.zeros((HORIZON, len(samples[0].state_D)), np.float32)
    images = [sample.images for sample in samples]
    new_N = [i == 0 or images[i] is not images[i - 1] for i in range(len(images))]
    looks = [one for one, new in zip(images, new_N, strict=True) if new]
    np.save(
        folder / "images.npy",
        np.stack([np.stack([look[camera] for camera in CAMERAS]) for look in looks]),
    )
    np.savez(
        folder / "labels.npz",
        image=np.cumsum(new_N, dtype=np.int64) - 1,
        state=np.stack([s.state_D for s in samples]),
        actions=np.stack([no_actions if s.actions_HD is None else s.actions_HD for s in samples]),
        action_valid=np.array([s.actions_HD is not None for s in samples]),
        end=np.array([s.end for s in samples]),
        points=_points_NV2([s.points for s in samples]),
        target_points=_points_NV2([s.target_points for s in samples]),
        instruction=np.array([s.instruction for s in samples]),
        episode=np.array([s.episode for s in samples], np.int64),
        tick=np.array([s.tick for s in samples], np.int64),
        seed=np.array([s.seed for s in samples], np.int64),
    )


def _points_NV2(points: Sequence[Mapping[str, tuple[float, float] | None]]) -> np.ndarray:  # noqa: N802
    nowhere = (np.nan, np.nan)
    return np.array([[at[c] or nowhere for c in CAMERAS] for at in points], np.float32)


def _read_manifest(directory: Path) -> dict[str, Any] | None:
    path = directory / MANIFEST
    if not path.is_file():
        return None
    manifest: dict[str, Any] = json.loads(path.read_text())
    if manifest.get("version") != VERSION:
        raise A1Error(
            f"{path}: version is {manifest.get('version')}, this code reads {VERSION}; "
            "delete the directory and generate its samples anew"
        )
    return manifest
