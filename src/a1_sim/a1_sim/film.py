"""The film of a run: overview, what the policy saw, and how deep it thought at that moment."""

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from a1_msgs.msg import EpisodeState
from numpy.typing import NDArray

from a1_sim.spectator import Footage
from a1_world.tasks import parse_steps
from a1_world.world import World

Picture = NDArray[np.uint8]
WIDTH, HEIGHT, SIDE = 720, 480, 240
FRAMES_PER_S = 10
HELD_FRAMES = 8
INK, PAPER, FAINT = (235, 238, 242), (24, 27, 33), (70, 76, 88)
WARM, GOOD, BAD = (255, 176, 59), (96, 210, 130), (240, 96, 96)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_film(path: Path, footages: list[Footage]) -> int:
    """Write an H.264 MP4 of the footage in order; returns the number of frames."""
    frames = 0
    with av.open(str(path), "w") as container, World() as world:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "22", "preset": "veryfast"}
        for footage in footages:
            for picture in _with_pause(pictures(footage, world)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
                frames += 1
        container.mux(stream.encode(None))
    return frames


def _with_pause(moving: Iterator[Picture]) -> Iterator[Picture]:
    last = None
    for last in moving:
        yield last
    if last is not None:
        yield from [last] * HELD_FRAMES


def pictures(footage: Footage, world: World) -> Iterator[Picture]:
    """One picture [480, 720, 3] for every moment at which all cameras and the world were seen."""
    shown: tuple[int, str] | None = None
    recent: list[float] = []
    moments = sorted(set(footage.qpos) & set(footage.episodes))
    for cameras in footage.pictures.values():
        moments = [stamp for stamp in moments if stamp in cameras]
    for stamp in moments:
        episode = footage.episodes[stamp]
        scene = (episode.seed, episode.instruction)
        if scene != shown:
            world.reset(episode.seed, parse_steps(episode.instruction))
            shown, recent = scene, []
        world.data.qpos[:] = footage.qpos[stamp]
        world.refresh()
        depth = footage.exit_at(stamp)
        if depth is not None:
            recent.append(depth[0] / depth[1])
        seen = [cameras[stamp] for cameras in footage.pictures.values()]
        yield _compose(world.render("overview"), seen[:2], episode, depth, recent)


def _compose(
    overview: Picture,
    seen: list[Picture],
    episode: EpisodeState,
    depth: tuple[int, int] | None,
    recent: list[float],
) -> Picture:
    canvas = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    canvas[: overview.shape[0], : overview.shape[1]] = overview
    for index, picture in enumerate(seen):
        big = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        canvas[index * SIDE : (index + 1) * SIDE, WIDTH - SIDE :] = big
    for index, name in enumerate(("front camera", "wrist camera")[: len(seen)]):
        left, top = WIDTH - SIDE, index * SIDE
        canvas[top : top + 22, left : left + 100] = PAPER
        _write(canvas, name, (left + 6, top + 15), 0.42, INK)
    _write(canvas, _asked(episode), (14, 388), 0.62, INK)
    state, colour = _state(episode)
    _write(canvas, state, (14, 410), 0.46, colour)
    _draw_depth(canvas, depth, recent)
    return canvas


def _asked(episode: EpisodeState) -> str:
    """What is in hand, and of how many things it is which."""
    count = len(episode.steps)
    if count < 2:
        return str(episode.instruction)
    step = min(episode.steps_done, count - 1)
    return f"{step + 1} of {count}: {episode.steps[step]}"


def _state(episode: EpisodeState) -> tuple[str, tuple[int, int, int]]:
    if episode.success:
        return f"done after {episode.elapsed_s:.1f} s", GOOD
    if episode.failed:
        return "failed", BAD
    return f"{episode.elapsed_s:4.1f} s   {episode.phase}", FAINT if not episode.running else INK


def _draw_depth(canvas: Picture, depth: tuple[int, int] | None, recent: list[float]) -> None:
    if depth is None:
        return
    layer, layers = depth
    left, top, cell = 14, 424, min(24, 190 // layers)
    for index in range(layers):
        corner = (left + index * cell, top)
        end = (corner[0] + cell - 4, top + 20)
        cv2.rectangle(canvas, corner, end, WARM if index < layer else FAINT, -1)
    _write(canvas, f"left the network at layer {layer} of {layers}", (left, 466), 0.44, INK)
    box = (250, 424, 216, 44)
    cv2.rectangle(canvas, box[:2], (box[0] + box[2], box[1] + box[3]), FAINT, 1)
    values = recent[-box[2] // 2 :]
    points = [
        (box[0] + 1 + 2 * index, round(box[1] + box[3] - 2 - value * (box[3] - 4)))
        for index, value in enumerate(values)
    ]
    cv2.polylines(canvas, [np.array(points, np.int32)], False, WARM, 1, cv2.LINE_AA)
    _write(canvas, "depth over time", (box[0] + 110, 418), 0.38, INK)


def _write(
    canvas: Picture, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> None:
    cv2.putText(canvas, text, at, FONT, size, colour, 1, cv2.LINE_AA)
