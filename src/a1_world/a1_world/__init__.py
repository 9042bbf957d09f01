"""MuJoCo table-top world with an FR3 arm, its tasks, a scripted expert and their samples."""

import os

# MuJoCo chooses its OpenGL backend when it is imported; EGL needs no display.
os.environ.setdefault("MUJOCO_GL", "egl")
