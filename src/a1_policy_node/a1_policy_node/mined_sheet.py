"""What the cameras saw at mined ticks, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a1_data.reader import Bag
from a1_policy_node.mining import MinedTick
from a1_policy_node.prediction_plots import figure_png, new_figure
from a1_ros.images import shrink

COLUMNS = 3
HEIGHT_PX = 128


def sheet(bags: Sequence[Bag], ticks: Sequence[MinedTick]) -> bytes | None:
    """The ticks' images side by side, best first; None where the bags hold none for them."""
    images: dict[tuple[str, int], NDArray[np.uint8]] = {}
    for bag in bags:
        wanted = {tick.stamp_ns for tick in ticks if tick.bag == str(bag.path)}
        for frame in bag.frames() if wanted else ():
            stamp_ns = frame.observation.stamp_ns
            if stamp_ns in wanted:
                wanted.discard(stamp_ns)
                images[str(bag.path), stamp_ns] = _row(list(frame.observation.images.values()))
            if not wanted:
                break
    shown = [tick for tick in ticks if (tick.bag, tick.stamp_ns) in images]
    if not shown:
        return None
    rows = -(-len(shown) // COLUMNS)
    figure, places = new_figure(rows, COLUMNS, (11.0, 2.4 * rows))
    for axes in places.flat:
        axes.axis("off")
    for axes, tick in zip(places.flat, shown, strict=False):
        axes.imshow(images[tick.bag, tick.stamp_ns])
        axes.set_title(
            f"{' '.join(tick.reasons)}: layer {tick.exit_layer}, {tick.time_s:.1f} s\n"
            f"{Path(tick.bag).name}",
            fontsize=7,
        )
    return figure_png(figure)


def _row(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = min(HEIGHT_PX, *(image.shape[0] for image in images))
    return np.concatenate([shrink(image, height) for image in images], axis=1)
