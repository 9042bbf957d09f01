"""Rendering and projection: one renderer per image size, opened at first use."""

from __future__ import annotations

import weakref

import mujoco
import numpy as np

from a1_core.errors import A1Error

OVERVIEW_SIZE = (480, 360)
# The overview is drawn this many times larger and averaged down: smooth edges for people.
OVERVIEW_OVERSAMPLE = 2
# Rays see the table, cubes and bowl (group 0) and the robot's solid shapes (group 3).
RAY_GROUPS = np.array([1, 0, 0, 1, 0, 0], np.uint8)


class Cameras:
    """Cameras of a model: `front` and `wrist` square, `overview` for people."""

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, *, image_size: int, enabled: bool
    ) -> None:
        self._model, self._data, self._enabled = model, data, enabled
        square = (image_size, image_size)
        self.sizes = {"front": square, "wrist": square, "overview": OVERVIEW_SIZE}
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self._closed = False
        # Contexts must be gone before the interpreter takes OpenGL down.
        self._release = weakref.finalize(self, _close_all, self._renderers)

    def render(self, camera: str) -> np.ndarray:
        """uint8 [h, w, 3] RGB."""
        width, height = self._size(camera)
        if not self._enabled or self._closed:
            state = "is closed" if self._closed else "was made with render=False"
            raise A1Error(f"render('{camera}'): this world {state}")
        scale = OVERVIEW_OVERSAMPLE if camera == "overview" else 1
        renderer = self._renderer((width * scale, height * scale))
        renderer.update_scene(self._data, camera)
        image = renderer.render()
        if scale == 1:
            return image
        blocks = image.reshape(height, scale, width, scale, 3)
        return blocks.mean(axis=(1, 3)).astype(np.uint8)

    def _renderer(self, size: tuple[int, int]) -> mujoco.Renderer:
        if size not in self._renderers:
            renderer = mujoco.Renderer(self._model, height=size[1], width=size[0])
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                renderer.scene.flags[flag] = 0
            self._renderers[size] = renderer
        return self._renderers[size]

    def project(
        self, camera: str, xyz: np.ndarray, *, see_through: int | None
    ) -> tuple[float, float] | None:
        """Normalised pixel of a point, None when out of view or behind something else.

        `see_through` is a body that hides nothing.
        """
        width, height = self._size(camera)
        index = self._model.camera(camera).id
        eye = self._data.cam_xpos[index]
        ray = np.asarray(xyz, float) - eye
        right, up, depth = ray @ self._data.cam_xmat[index].reshape(3, 3)
        if depth >= 0.0:
            return None
        scale = 0.5 / (np.tan(np.radians(self._model.cam_fovy[index]) / 2.0) * -depth)
        x, y = 0.5 + right * scale * height / width, 0.5 - up * scale
        if not (0.0 <= x < 1.0 and 0.0 <= y < 1.0):
            return None
        distance = float(np.linalg.norm(ray))
        hit = np.full(1, -1, np.int32)
        exclude = -1 if see_through is None else see_through
        reach = mujoco.mj_ray(
            self._model, self._data, eye, ray / distance, RAY_GROUPS, 1, exclude, hit
        )
        hidden = hit[0] >= 0 and reach < distance - 0.004
        return None if hidden else (float(x), float(y))

    def close(self) -> None:
        """Release every OpenGL context; safe to call twice."""
        self._release()
        self._closed = True

    def _size(self, camera: str) -> tuple[int, int]:
        if camera not in self.sizes:
            raise A1Error(f"camera '{camera}' is unknown; use one of {', '.join(self.sizes)}")
        return self.sizes[camera]


def _close_all(renderers: dict[tuple[int, int], mujoco.Renderer]) -> None:
    while renderers:
        renderers.popitem()[1].close()
