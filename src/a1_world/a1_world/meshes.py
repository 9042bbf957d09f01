"""Fewer faces for the robot's visual meshes: rendering on a CPU costs by the vertex."""

from __future__ import annotations

from pathlib import Path

import fast_simplification
import mujoco
import numpy as np
import trimesh

# Faces kept per mesh, by prefix of its name; what is close to a camera keeps more.
FACE_BUDGET = {
    "link0": 1400,
    "link1": 1200,
    "link2": 1200,
    "link3": 1200,
    "link4": 1200,
    "link5": 3000,
    "link6": 3000,
    "link7": 1400,
    "hand": 1000,
    "finger": 362,
}


def face_budget(name: str) -> int:
    """Faces that the visual mesh `name` may keep."""
    return next(budget for prefix, budget in FACE_BUDGET.items() if name.startswith(prefix))


def decimate_visuals(spec: mujoco.MjSpec, folder: Path) -> int:
    """Replace each visual mesh of `spec` by a lighter one kept in memory; returns faces in all."""
    total = 0
    for mesh in spec.meshes:
        if mesh.name.endswith("_coll"):
            continue
        loaded = trimesh.load(folder / mesh.file, force="mesh", process=True)
        loaded.merge_vertices(merge_norm=True, merge_tex=True)
        vertices = np.asarray(loaded.vertices, np.float32)
        faces = np.asarray(loaded.faces, np.int32)
        budget = face_budget(mesh.name)
        if len(faces) > budget:
            vertices, faces = fast_simplification.simplify(
                vertices, faces, target_count=budget, agg=5.0
            )
        mesh.file = ""
        mesh.uservert = vertices.ravel().tolist()
        mesh.userface = faces.ravel().tolist()
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        total += len(faces)
    return total
