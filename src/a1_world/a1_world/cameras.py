"""Rendering and projection: one renderer per image size, opened at first use."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from a1_core.errors import A1Error

OVERVIEW_SIZE = (480, 360)
# The overview is drawn this many times larger and averaged down: smooth edges for people.
OVERVIEW_OVERSAMPLE = 2
# Rays see the table, cubes and bowl (group 0) and the robot's solid shapes (group 3).
RAY_GROUPS = np.array([1, 0, 0, 1, 0, 0], np.uint8)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """What is different about a camera: somebody knocked it, or its exposure is another one.

    Attributes:
        shift_m: along its own axes, right, up and back (m).
        turn_rad: about the same axes, one after the other (rad).
        exposure: what the brightness of its pictures is multiplied by.
    """

    shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    exposure: float = 1.0

    def __post_init__(self) -> None:
        if len(self.shift_m) != 3 or len(self.turn_rad) != 3:
            raise A1Error(
                f"a camera's shift is {list(self.shift_m)}, its turn {list(self.turn_rad)}; give "
                "three numbers each: right, up, back"
            )
        if not (np.isfinite([*self.shift_m, *self.turn_rad]).all() and 0.0 < self.exposure < 100.0):
            raise A1Error(
                f"a camera's shift is {list(self.shift_m)}, its turn {list(self.turn_rad)}, its "
                f"exposure {self.exposure}; give finite numbers, and an exposure above 0"
            )


class Cameras:
    """Cameras of a model: `front` and `wrist` square, `overview` for people.

    `mounts` changes some of them, by name, in `model` itself.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        *,
        image_size: int,
        enabled: bool,
        mounts: Mapping[str, Mount] | None = None,
    ) -> None:
        self._model, self._data, self._enabled = model, data, enabled
        square = (image_size, image_size)
        self.sizes = {"front": square, "wrist": square, "overview": OVERVIEW_SIZE}
        self._mounts = dict(mounts or {})
        for camera, mount in self._mounts.items():
            self._size(camera)
            _move(model, camera, mount)
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
        image = self._exposed(camera, renderer.render())
        if scale == 1:
            return image
        blocks = image.reshape(height, scale, width, scale, 3)
        return blocks.mean(axis=(1, 3)).astype(np.uint8)

    def _exposed(self, camera: str, image: np.ndarray) -> np.ndarray:
        mount = self._mounts.get(camera)
        if mount is None or mount.exposure == 1.0:
            return image
        return np.clip(np.rint(image * mount.exposure), 0, 255).astype(np.uint8)

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


def _move(model: mujoco.MjModel, camera: str, mount: Mount) -> None:
    """Shift and turn a camera of `model` from where the scene has it."""
    index = model.camera(camera).id
    shift, quat = np.zeros(3), model.cam_quat[index].copy()
    mujoco.mju_rotVecQuat(shift, np.array(mount.shift_m), quat)
    for axis, angle in zip(np.eye(3), mount.turn_rad, strict=True):
        turn, turned = np.zeros(4), np.zeros(4)
        mujoco.mju_axisAngle2Quat(turn, axis, angle)
        mujoco.mju_mulQuat(turned, quat, turn)
        quat = turned
    model.cam_pos[index] += shift
    model.cam_quat[index] = quat


def _close_all(renderers: dict[tuple[int, int], mujoco.Renderer]) -> None:
    while renderers:
        renderers.popitem()[1].close()
