"""The folder of a checkpoint: its digest, and how it gets into its place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from a1_core.errors import CheckpointError

SMALL = ("config.json", "normaliser.json", "tokenizer.json")
_HASHED_AT_ONCE = 2**22  # bytes


def directory_digest(directory: Path, names: Iterable[str]) -> str:
    """`content_digest` of files, without holding one in memory."""
    digest = hashlib.sha256()
    for name in sorted(names):
        path = directory / name
        try:
            with path.open("rb") as file:
                digest.update(f"{name} {path.stat().st_size}\n".encode())
                while piece := file.read(_HASHED_AT_ONCE):
                    digest.update(piece)
        except OSError as error:
            raise unreadable(path, error) from error
    return digest.hexdigest()


def content_digest(content: Mapping[str, bytes]) -> str:
    """SHA-256 over names, lengths and contents, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name} {len(content[name])}\n".encode())
        digest.update(content[name])
    return digest.hexdigest()


def check_place(directory: Path) -> None:
    """CheckpointError where a checkpoint written there would take the place of something else."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not all((directory / name).is_file() for name in ("config.json", "digest")):
        raise CheckpointError(
            f"{directory}: is there and is no checkpoint, so nothing is written over it; choose "
            "another folder, or remove it"
        )


def put_in_place(partial: Path, directory: Path) -> None:
    """Puts `partial` in the place of `directory`; a directory cannot be renamed over a full one.

    Raises:
        CheckpointError: see `check_place`.
    """
    check_place(directory)
    if not directory.exists():
        partial.rename(directory)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent))
    os.replace(directory, old / directory.name)
    partial.rename(directory)
    shutil.rmtree(old)


def plain_json(content: Mapping[str, Any]) -> bytes:
    """As every JSON file of a checkpoint is written."""
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """The error for a file of a checkpoint that cannot be read."""
    return CheckpointError(
        f"{path}: {error.strerror}; a checkpoint has the files {', '.join(SMALL)}, "
        "model.safetensors (or shards and their index), metadata.json and digest"
    )
