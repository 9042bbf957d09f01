"""Where a checkpoint comes from: code, data, recipe, machine, command."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import a1_core
import a1_model
import a1_training
from a1_training.recipe import Recipe
from a1_training.workers import Workers
from a1_world.shards import MANIFEST, Shards

_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy")


def provenance(
    recipe: Recipe, *, sources: Mapping[str, Any], workers: Workers, started_from: str | None
) -> dict[str, Any]:
    """JSON values for a checkpoint's metadata.

    Args:
        sources: of each source, what `source_account` says.
        started_from: digest of the checkpoint that training began with; None: from random weights.
    """
    device = workers.device
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return {
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "sources": dict(sources),
        "started_from": started_from,
        "code": code_digest(),
        "libraries": {library: version(library) for library in _LIBRARIES},
        "torch": version("torch"),
        "python": platform.python_version(),
        "device": name,
        "processes": workers.ranks,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def code_digest() -> str:
    """SHA-256 of the Python files of a1_core, a1_model and a1_training: names and contents."""
    digest = hashlib.sha256()
    for package in (a1_core, a1_model, a1_training):
        (root,) = package.__path__
        for path in sorted(Path(root).rglob("*.py")):
            digest.update(f"{package.__name__}/{path.relative_to(root)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def source_account(directories: Sequence[Path], shards: Shards) -> dict[str, Any]:
    """Of stored samples: how many, how they were made, and a SHA-256 of their labels."""
    digest = hashlib.sha256()
    made_by = []
    for directory in directories:
        made_by.append(json.loads((directory / MANIFEST).read_text())["made_by"])
        for path in sorted(directory.glob("*/labels.npz")):
            digest.update(path.read_bytes())
    return {
        "samples": len(shards),
        "images": shards.num_images,
        "made_by": made_by,
        "labels_sha256": digest.hexdigest(),
    }
