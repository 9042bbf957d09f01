"""`python -m a1_data.lerobot.found DATASET FILE`: all that our reader finds, for another to check.

FILE (.npz) holds observation.state and action [N, D], task [N], and every camera's pictures
[N, h, w, 3] under its feature's name. For small data sets: it holds them whole.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from a1_data.lerobot.dataset import Dataset
from a1_data.lerobot.layout import ACTION, STATE


def write_found(path: Path, file: Path) -> None:
    """Read the data set at `path` from front to back into `file`."""
    dataset = Dataset(path)
    found: dict[str, list[Any]] = {STATE: [], ACTION: [], "task": []}
    for episode in dataset.episodes:
        rows = dataset.rows(episode)
        found[STATE].extend(rows.state_TD)
        found[ACTION].extend(rows.action_TD)
        found["task"].extend(rows.tasks)
        for key in dataset.info.pictures:
            found.setdefault(key, []).extend(dataset.pictures(episode, key))
    arrays: dict[str, Any] = {key: np.array(values) for key, values in found.items()}
    np.savez(file, **arrays)


if __name__ == "__main__":
    write_found(Path(sys.argv[1]), Path(sys.argv[2]))
