"""Weight files: safetensors, in one file or in shards with an index, read without a copy.

The index is that of Hugging Face: `{"metadata": {"total_size"}, "weight_map": {tensor: file}}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from a1_core.errors import CheckpointError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD_BYTES = 2 * 1024**3
MAPPED_FROM_BYTES = 64 * 1024**2
_CHECKED_AT_ONCE = 2**24  # elements
_SHOWN = 3  # tensors named in an error


@dataclass(frozen=True, kw_only=True)
class WeightFiles:
    """Where the tensors of a directory lie; nothing is read but names.

    Attributes:
        directory: of the files.
        file_of: tensor name to file name.
    """

    directory: Path
    file_of: Mapping[str, str]

    @classmethod
    def find(cls, directory: Path) -> WeightFiles:
        """Of `model.safetensors`, or of the shards that an index lists.

        Raises:
            CheckpointError: there is neither, or index and shards contradict each other.
        """
        index = directory / INDEX
        if not index.exists():
            names = _names(directory / SINGLE)
            return cls(directory=directory, file_of=dict.fromkeys(names, SINGLE))
        file_of = _weight_map(index)
        for shard in sorted(set(file_of.values())):
            listed = {name for name, file in file_of.items() if file == shard}
            present = set(_names(directory / shard))
            if listed != present:
                misfits = told_misfits(listed - present, present - listed)
                raise CheckpointError(
                    f"{directory / shard}: by {index.name} {misfits}; copy the files again"
                )
        return cls(directory=directory, file_of=file_of)

    def path(self, name: str) -> Path:
        """File of a tensor."""
        return self.directory / self.file_of[name]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor, mapped from its file: memory is used when values are read."""
        for file in sorted(set(self.file_of.values())):
            with _opened(self.directory / file) as opened:
                for name in opened.keys():  # noqa: SIM118 (it is no dictionary)
                    yield name, opened.get_tensor(name)


def weight_file_names(directory: Path) -> list[str]:
    """Names of the weight files, the index included; none of them but the index is read."""
    index = directory / INDEX
    if not index.exists():
        return [SINGLE]
    return sorted([INDEX, *set(_weight_map(index).values())])


def write_weights(
    directory: Path,
    weights: Mapping[str, Tensor],
    shard_bytes: int,
    outline: Mapping[str, Tensor] | None = None,
) -> list[str]:
    """Writes one file, or shards of at most `shard_bytes` and their index; returns the names.

    Args:
        outline: names, shapes and types of `weights`, if looking one of them up computes it:
            then one shard is held at a time.
    """
    shards: list[list[str]] = [[]]
    used = total = 0
    for name, tensor in (weights if outline is None else outline).items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and used + size > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used, total = used + size, total + size
    if len(shards) == 1:
        _write(directory / SINGLE, weights, shards[0])
        return [SINGLE]
    file_of: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write(directory / file, weights, names)
        file_of |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": total}, "weight_map": file_of}
    (directory / INDEX).write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    return sorted([INDEX, *set(file_of.values())])


def checked_weights(files: WeightFiles, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors after a check of names, shapes, types and values.

    They are mapped from their files, unless they are few: then they are copied to where memory is
    aligned, on which the last bits of products depend.

    Raises:
        CheckpointError: names every kind of misfit, its file, and what was expected.
    """
    tensors = dict(files.tensors())
    missing = [f"{n} {_kind(expected[n])}" for n in sorted(set(expected) - set(tensors))]
    unknown = [f"{files.file_of[n]}: {n}" for n in sorted(set(tensors) - set(expected))]
    wrong = [
        f"{files.file_of[name]}: {name}: {_kind(found)}, expected {_kind(expected[name])}"
        for name, found in sorted(tensors.items())
        if name in expected
        and (found.shape != expected[name].shape or not found.is_floating_point())
    ]
    misfits = told_misfits(missing, unknown, wrong)
    if misfits:
        path = files.directory / weight_file_names(files.directory)[-1]
        raise CheckpointError(f"{path}: {misfits}; config.json and weights do not belong together")
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise CheckpointError(
                f"{files.path(name)}: {name}: has values that are not finite; train again"
            )
    if sum(x.numel() * x.element_size() for x in tensors.values()) < MAPPED_FROM_BYTES:
        return {name: tensor.clone() for name, tensor in tensors.items()}
    return tensors


def told_misfits(missing: Iterable[str], unknown: Iterable[str], wrong: Iterable[str] = ()) -> str:
    """How many tensors do not fit and the first of every kind; empty if all do."""
    kinds = (
        ("missing tensors", sorted(missing)),
        ("unknown tensors", sorted(unknown)),
        ("misshaped tensors", sorted(wrong)),
    )
    return "; ".join(
        f"{len(names)} {kind}: {', '.join(names[:_SHOWN])}" for kind, names in kinds if names
    )


def is_finite(tensor: Tensor) -> bool:
    """Whether no value is NaN or infinite, in pieces: a mask of all values would be large."""
    return all(bool(torch.isfinite(x).all()) for x in tensor.flatten().split(_CHECKED_AT_ONCE))


def _kind(tensor: Tensor) -> str:
    kind = "floating" if tensor.is_meta else str(tensor.dtype).removeprefix("torch.")
    return f"shape {tuple(tensor.shape)} {kind}"


def _weight_map(index: Path) -> dict[str, str]:
    content = _json(index)
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: weight_map: {weight_map!r}; copy the file again")
    for name, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise CheckpointError(
                f"{index}: weight_map.{name}: {file!r} is not the name of a file beside it"
            )
    return weight_map


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; copy the file again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds {type(content).__name__}, expected an object")
    return content


def _names(path: Path) -> list[str]:
    with _opened(path) as opened:
        return list(opened.keys())


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except OSError as error:
        raise CheckpointError(
            f"{path}: {error.strerror or 'not found'}; a checkpoint has {SINGLE}, or shards and "
            f"{INDEX}"
        ) from error
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}; copy the file again") from error


def _write(path: Path, weights: Mapping[str, Tensor], names: list[str]) -> None:
    save_file({name: weights[name].contiguous() for name in names}, path)
    path.chmod(0o644)  # the library makes it the writer's alone
