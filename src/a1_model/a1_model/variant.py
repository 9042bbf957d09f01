"""The same weights, another way to run the head: a checkpoint of its own that takes no room."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a1_core.errors import CheckpointError
from a1_model.checkpoint import read_without_weights
from a1_model.checkpoint_folder import directory_digest, plain_json, put_in_place
from a1_model.weights import weight_file_names

# Fields of `ModelConfig` that another value of needs no other weights.
VARIED = ("head", "num_steps", "start", "signal", "renoise_tau", "metric")


def vary_checkpoint(directory: Path | str, out: Path | str, changes: Mapping[str, Any]) -> str:
    """The same weights as another checkpoint, whose head is run another way; returns its digest.

    Weights are linked where the file system can, so a variant takes hardly any room. Changes that
    change nothing give the digest of `directory`. The variant is left alone where it is already.

    Args:
        changes: of fields in VARIED.

    Raises:
        CheckpointError: `directory` cannot be read, the configuration cannot be so, or a change
            needs other weights.
    """
    directory, out = Path(directory), Path(out)
    others = sorted(set(changes) - set(VARIED))
    if others:
        raise CheckpointError(
            f"{directory}: {', '.join(others)}: not to be varied without training; one of "
            f"{', '.join(VARIED)}"
        )
    config = read_without_weights(directory).config
    content = json.loads((directory / "config.json").read_bytes())
    try:
        content["model"] = dataclasses.replace(config, **changes).to_json()
    except ValueError as error:
        raise CheckpointError(f"{directory}: {error}; vary it otherwise") from None
    kept = ["normaliser.json", "tokenizer.json", *weight_file_names(directory)]
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        (partial / "config.json").write_bytes(plain_json(content))
        for name in (*kept, "metadata.json"):
            _link(directory / name, partial / name)
        digest = directory_digest(partial, ["config.json", *kept])
        (partial / "digest").write_text(f"{digest}\n")
        partial.chmod(0o755)
        if not (out.exists() and read_without_weights(out).digest == digest):
            put_in_place(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return digest


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
