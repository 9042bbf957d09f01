"""Checkpoints: a directory that is either whole and unchanged, or refused.

Files: model.safetensors (or shards and model.safetensors.index.json), config.json,
normaliser.json, tokenizer.json, metadata.json, digest. The digest is a SHA-256 over names and
contents of all but the last two (what decides a chunk); metadata tells where the weights came
from and decides nothing.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from a1_core.errors import A1Error, CheckpointError
from a1_core.normaliser import Normaliser
from a1_core.spec import RobotSpec
from a1_model.checkpoint_folder import (
    SMALL,
    check_place,
    directory_digest,
    plain_json,
    put_in_place,
    unreadable,
)
from a1_model.config import ModelConfig
from a1_model.network import A1Network
from a1_model.policy import AdaptivePolicy
from a1_model.sizes import network_outline
from a1_model.tokenizer import InstructionTokenizer
from a1_model.weights import (
    SHARD_BYTES,
    WeightFiles,
    checked_weights,
    weight_file_names,
    write_weights,
)

FORMAT = 1
_MADE_FOR = ("name", "names", "period_s")


@dataclass(frozen=True, kw_only=True)
class LoadedCheckpoint:
    """A policy ready to act and what it was made of."""

    policy: AdaptivePolicy
    network: A1Network
    tokenizer: InstructionTokenizer
    config: ModelConfig
    normaliser: Normaliser
    digest: str
    metadata: dict[str, Any]


def save_checkpoint(
    directory: Path | str,
    *,
    network: A1Network,
    tokenizer: InstructionTokenizer,
    normaliser: Normaliser,
    spec: RobotSpec,
    metadata: Mapping[str, Any],
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    beside: Mapping[str, bytes] | None = None,
) -> str:
    """Writes the whole directory beside its place, then renames it; returns the digest.

    Args:
        beside: further files, by name; like the metadata they decide no chunk.
        dtype: the weights are stored as, for example `torch.bfloat16`; None: as they are.
        shard_bytes: more than this makes several files.

    Raises:
        CheckpointError: see `check_place`.
    """
    weights = {name: value.to(dtype or value.dtype) for name, value in network.state_dict().items()}
    return write_checkpoint(
        directory,
        config=network.config,
        weights=weights,
        tokenizer=tokenizer,
        normaliser=normaliser,
        spec=spec,
        metadata=metadata,
        shard_bytes=shard_bytes,
        beside=beside,
    )


def write_checkpoint(
    directory: Path | str,
    *,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    tokenizer: InstructionTokenizer,
    normaliser: Normaliser,
    spec: RobotSpec,
    metadata: Mapping[str, Any],
    shard_bytes: int = SHARD_BYTES,
    outline: Mapping[str, Tensor] | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> str:
    """`save_checkpoint` of tensors; `outline`: see `write_weights`.

    Raises:
        CheckpointError: see `check_place`.
    """
    directory = Path(directory)
    check_place(directory)
    content = {
        "config.json": plain_json(
            {
                "format": FORMAT,
                "robot": {
                    "name": spec.robot,
                    "names": list(spec.action_names),
                    "period_s": spec.policy.period_s,
                    **action_space(spec),
                },
                "model": config.to_json(),
            }
        ),
        "normaliser.json": plain_json(normaliser.to_arrays()),
        "tokenizer.json": tokenizer.to_json().encode(),
    }
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        told = {"metadata.json": plain_json(dict(metadata)), **(beside or {})}
        for name, data in (content | told).items():
            (partial / name).write_bytes(data)
        files = write_weights(partial, weights, shard_bytes, outline)
        digest = directory_digest(partial, [*content, *files])
        (partial / "digest").write_text(f"{digest}\n")
        partial.chmod(0o755)
        put_in_place(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return digest


def load_checkpoint(
    directory: Path | str,
    spec: RobotSpec,
    *,
    dtype: torch.dtype | None = None,
    device: str = "cpu",
) -> LoadedCheckpoint:
    """Reads and checks a checkpoint for the robot of `spec`.

    Weights are mapped from the files: they take no second copy in memory.

    Args:
        dtype: of the network; None: as stored. Another type than the stored one makes a copy.
        device: as torch calls it, e.g. "cuda:1".

    Raises:
        A1Error: there is no such device, or the network does not fit onto it.
        CheckpointError: a file is missing or changed; tensors are missing, unknown or
            misshaped; the checkpoint is for another robot, action space, other action names, rows
            or cameras, or has no head.
    """
    directory = Path(directory)
    read = read_without_weights(directory)
    _check_robot(directory, read.made_for, read.config, read.normaliser, spec)
    if read.config.head not in read.config.parts:
        raise CheckpointError(
            f"{directory}: parts: it has {list(read.config.parts)} and no action head "
            f"{read.config.head}; a converted vision-language model has to be trained first"
        )
    network = _moved(_filled(directory, read.config, dtype), device)
    policy = AdaptivePolicy(
        network, read.tokenizer, read.normaliser, digest=read.digest, spec_digest=spec.digest
    )
    return LoadedCheckpoint(
        policy=policy,
        network=network,
        tokenizer=read.tokenizer,
        config=read.config,
        normaliser=read.normaliser,
        digest=read.digest,
        metadata=_parse_json(directory / "metadata.json", _read(directory / "metadata.json")),
    )


def grow_network(directory: Path | str, config: ModelConfig) -> A1Network:
    """A network to train: new, but for the tensors that the checkpoint has.

    Args:
        directory: of a checkpoint whose tensors all belong to `config` too, such as a converted
            vision-language model.

    Raises:
        CheckpointError: the checkpoint cannot be read, or a tensor does not fit `config`.
    """
    directory = Path(directory)
    stored = _filled(directory, read_without_weights(directory).config, None).state_dict()
    network = A1Network(config)
    own = network.state_dict()
    for name, value in stored.items():
        found, expected = tuple(value.shape), tuple(own[name].shape) if name in own else None
        if found != expected:
            raise CheckpointError(
                f"{directory}: {name}: shape {found}, the network to train has {expected}; give it "
                "the sizes of the checkpoint's config.json"
            )
    network.load_state_dict(own | stored)
    return network


@dataclass(frozen=True, kw_only=True)
class CheckpointDescription:
    """All of a checkpoint but its weights; `digest` covers them too."""

    directory: Path
    config: ModelConfig
    normaliser: Normaliser
    tokenizer: InstructionTokenizer
    made_for: Mapping[str, Any]
    digest: str


def read_without_weights(directory: Path | str) -> CheckpointDescription:
    """What a checkpoint says of itself, after a check of its digest.

    Raises:
        CheckpointError: a file is missing, changed or cannot be understood.
    """
    directory = Path(directory)
    content = {name: _read(directory / name) for name in SMALL}
    digest = directory_digest(directory, [*SMALL, *weight_file_names(directory)])
    written = _read(directory / "digest").decode(errors="replace").strip()
    if digest != written:
        raise CheckpointError(
            f"{directory}: the content's digest {digest[:12]} is not {written[:12]} as written "
            "in the file digest; the checkpoint was changed or copied in part, copy it again"
        )
    config = _parse_json(directory / "config.json", content["config.json"])
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"{directory / 'config.json'}: format: {config.get('format')!r}, this version reads "
            f"{FORMAT}; save the checkpoint again with this version"
        )
    try:
        return CheckpointDescription(
            directory=directory,
            config=ModelConfig.from_json(config["model"]),
            normaliser=Normaliser.from_arrays(
                _parse_json(directory / "normaliser.json", content["normaliser.json"])
            ),
            tokenizer=InstructionTokenizer.from_json(content["tokenizer.json"].decode()),
            made_for={**config["robot"], **{key: config["robot"][key] for key in _MADE_FOR}},
            digest=digest,
        )
    except KeyError as error:
        raise CheckpointError(
            f"{directory / 'config.json'}: the key {error} is missing; write the checkpoint again"
        ) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{directory}: {error}; write the checkpoint again") from error


def _filled(directory: Path, config: ModelConfig, dtype: torch.dtype | None) -> A1Network:
    """The network with mapped weights, in eval mode and without gradients."""
    network = network_outline(config)
    tensors = checked_weights(WeightFiles.find(directory), network.state_dict())
    if dtype is not None:
        tensors = {name: value.to(dtype) for name, value in tensors.items()}
    elif len({value.dtype for value in tensors.values()}) > 1:
        kinds = sorted({str(value.dtype) for value in tensors.values()})
        raise CheckpointError(f"{directory}: weights of several types {kinds}; store them as one")
    network.load_state_dict(tensors, assign=True)
    for module in network.modules():
        fill = getattr(module, "fill_buffers", None)
        if callable(fill):
            fill()
    assert not any(x.is_meta for x in (*network.parameters(), *network.buffers()))
    return network.eval().requires_grad_(False)


def _moved(network: A1Network, device: str) -> A1Network:
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:  # torch's for builds without CUDA
        reason = str(error).strip().splitlines()[0]
        raise A1Error(
            f"device '{device}' cannot be used ({reason}); name another, e.g. cpu"
        ) from None


def _check_robot(
    directory: Path,
    made_for: Mapping[str, Any],
    config: ModelConfig,
    normaliser: Normaliser,
    spec: RobotSpec,
) -> None:
    # Checkpoints written before the action space stood in them do not say it.
    space = [
        (key, made_for[key], ours) for key, ours in action_space(spec).items() if key in made_for
    ]
    wanted = (
        ("robot", made_for["name"], spec.robot),
        *space,
        ("names", list(made_for["names"]), list(spec.policy_names)),
        ("normaliser names", list(normaliser.names), list(spec.action_names)),
        ("dim", config.dim, spec.dim),
        ("horizon", config.horizon, spec.policy.horizon),
        ("period_s", made_for["period_s"], spec.policy.period_s),
        (
            "cameras",
            [camera.name for camera in config.cameras],
            [camera.name for camera in spec.cameras],
        ),
    )
    for field, ours, theirs in wanted:
        if ours != theirs:
            raise CheckpointError(
                f"{directory}: {field}: the checkpoint has {ours}, the robot spec {spec.path} "
                f"has {theirs}; choose the checkpoint trained for this robot"
            )


def action_space(spec: RobotSpec) -> dict[str, str]:
    """What the numbers of a chunk mean, as config.json says it of a robot."""
    policy = spec.policy
    return {
        "action_space": policy.action_space.name.lower(),
        "delta_base": policy.delta_base.name.lower(),
    }


def _parse_json(path: Path, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; copy the checkpoint again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds {type(content).__name__}, expected an object")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
