"""Compiled scene models kept on disk, keyed by the digest of everything that makes them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import tempfile
from functools import lru_cache
from pathlib import Path

import mujoco

from a1_world import layout, meshes, scene


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/a1-ros2 (by default ~/.cache/a1-ros2)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "a1-ros2"


@lru_cache(maxsize=1)
def scene_digest() -> str:
    """sha256 over the robot's files, our scene sources and MuJoCo's version."""
    digest = hashlib.sha256(mujoco.__version__.encode())
    record = importlib.metadata.distribution("franky-sim").read_text("RECORD") or ""
    digest.update("\n".join(sorted(x for x in record.splitlines() if "assets/" in x)).encode())
    for module in (scene, meshes, layout):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def load_scene_model() -> mujoco.MjModel:
    """The compiled scene: from the cache, else built (seconds) and stored by atomic rename."""
    path = cache_folder() / f"scene-{scene_digest()[:20]}.mjb"
    if path.is_file():
        return mujoco.MjModel.from_binary_path(str(path))
    scene.assets_folder()
    model = scene.scene_spec().compile()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        mujoco.mj_saveModel(model, str(draft), None)
        draft.replace(path)
    return model
