"""Checkpoints: a directory that is either whole and unchanged, or refused.

Files: model.safetensors, config.json, normaliser.json, tokenizer.json, metadata.json, digest.
The digest is a SHA-256 over the contents of the first four (what decides a chunk); metadata
tells where the weights came from and decides nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from a1_core.errors import CheckpointError
from a1_core.normaliser import Normaliser
from a1_core.spec import RobotSpec
from a1_model.config import ModelConfig
from a1_model.network import A1Network
from a1_model.policy import AdaptivePolicy
from a1_model.tokenizer import InstructionTokenizer

FORMAT = 1
_CONTENT = ("config.json", "model.safetensors", "normaliser.json", "tokenizer.json")


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
) -> str:
    """Writes the whole directory beside its place, then renames it; returns the digest."""
    directory = Path(directory)
    config = {
        "format": FORMAT,
        "robot": {
            "name": spec.robot,
            "names": list(spec.action_names),
            "period_s": spec.policy.period_s,
        },
        "model": network.config.to_json(),
    }
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    content = {
        "config.json": _json(config),
        "model.safetensors": save_tensors(tensors),
        "normaliser.json": _json(normaliser.to_arrays()),
        "tokenizer.json": tokenizer.to_json().encode(),
    }
    digest = content_digest(content)
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        files = content | {
            "metadata.json": _json(dict(metadata)),
            "digest": f"{digest}\n".encode(),
        }
        for name, data in files.items():
            (partial / name).write_bytes(data)
        partial.chmod(0o755)
        _replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return digest


def load_checkpoint(directory: Path | str, spec: RobotSpec) -> LoadedCheckpoint:
    """Reads and checks a checkpoint for the robot of `spec`.

    Raises:
        CheckpointError: a file is missing or changed; tensors are missing, unknown or
            misshaped; the checkpoint is for other action names, rows or cameras.
    """
    directory = Path(directory)
    content = {name: _read(directory / name) for name in _CONTENT}
    digest = content_digest(content)
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
        model_config = ModelConfig.from_json(config["model"])
        normaliser = Normaliser.from_arrays(
            _parse_json(directory / "normaliser.json", content["normaliser.json"])
        )
        tokenizer = InstructionTokenizer.from_json(content["tokenizer.json"].decode())
        made_for = {key: config["robot"][key] for key in ("names", "period_s")}
    except KeyError as error:
        raise CheckpointError(
            f"{directory / 'config.json'}: the key {error} is missing; write the checkpoint again"
        ) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{directory}: {error}; write the checkpoint again") from error
    _check_robot(directory, made_for, model_config, normaliser, spec)
    network = A1Network(model_config)
    _fill(directory / "model.safetensors", network, content["model.safetensors"])
    network.eval().requires_grad_(False)
    metadata = _parse_json(directory / "metadata.json", _read(directory / "metadata.json"))
    policy = AdaptivePolicy(network, tokenizer, normaliser, digest=digest, spec_digest=spec.digest)
    return LoadedCheckpoint(
        policy=policy,
        network=network,
        tokenizer=tokenizer,
        config=model_config,
        normaliser=normaliser,
        digest=digest,
        metadata=metadata,
    )


def content_digest(content: Mapping[str, bytes]) -> str:
    """SHA-256 over names, lengths and contents, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name} {len(content[name])}\n".encode())
        digest.update(content[name])
    return digest.hexdigest()


def _check_robot(
    directory: Path,
    made_for: Mapping[str, Any],
    config: ModelConfig,
    normaliser: Normaliser,
    spec: RobotSpec,
) -> None:
    wanted = (
        ("names", list(made_for["names"]), list(spec.action_names)),
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


def _fill(path: Path, network: A1Network, data: bytes) -> None:
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}; copy the checkpoint again") from error
    expected = network.state_dict()
    missing, unknown = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or unknown:
        raise CheckpointError(
            f"{path}: missing tensors {missing[:3]}, unknown tensors {unknown[:3]} "
            f"({len(missing)} and {len(unknown)} in all); config.json and weights do not belong "
            "together"
        )
    for name, value in expected.items():
        if tensors[name].shape != value.shape:
            raise CheckpointError(
                f"{path}: {name}: shape {tuple(tensors[name].shape)}, config.json asks for "
                f"{tuple(value.shape)}; config.json and weights do not belong together"
            )
        if not torch.isfinite(tensors[name]).all():
            raise CheckpointError(f"{path}: {name}: has values that are not finite; train again")
    network.load_state_dict(tensors)


def _replace(partial: Path, directory: Path) -> None:
    """Puts `partial` in the place of `directory`; a directory cannot be renamed over a full one."""
    if not directory.exists():
        partial.rename(directory)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent))
    os.replace(directory, old / directory.name)
    partial.rename(directory)
    shutil.rmtree(old)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _parse_json(path: Path, data: bytes) -> dict[str, Any]:
    try:
        return json.loads(data)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; copy the checkpoint again") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: {error.strerror}; a checkpoint has the files {', '.join(_CONTENT)}, "
            "metadata.json and digest"
        ) from error
