"""The pictures of README and docs, out of what `make demo` and `make screenshots` left in out/.

`make pictures` takes those first.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import av

ROOT = Path(__file__).resolve().parents[1]
DEMO, SHOTS, PICTURES = ROOT / "out/demo", ROOT / "out/screenshots", ROOT / "docs/pictures"
COPIED = {
    DEMO / "exits.png": "exits.png",
    SHOTS / "rqt-1280x800-light.png": "rqt.png",
}
FRAMES_PER_S, HELD_FRAMES = 10, 8
"""Of the film: a second of the run, and what is shown of the end of every episode."""
MOMENT = 0.6
"""Where in an episode something is to be seen, as a share of its length."""


def busiest_frame(runs: list[dict]) -> int:
    """Number of a frame in the middle of the longest task that was done."""
    done = [k for k, run in enumerate(runs) if run["success"]] or range(len(runs))
    chosen = max(done, key=lambda k: runs[k]["seconds"])
    before = sum(FRAMES_PER_S * run["seconds"] + HELD_FRAMES for run in runs[:chosen])
    return round(before + MOMENT * FRAMES_PER_S * runs[chosen]["seconds"])


def main() -> None:
    """Write docs/pictures; exits with 1 and one line when something was not taken before."""
    missing = [path for path in (*COPIED, DEMO / "run.mp4") if not path.exists()]
    if missing:
        names = ", ".join(str(path.relative_to(ROOT)) for path in missing)
        sys.exit(f"documents: no {names}; make pictures takes them first")
    runs = json.loads((DEMO / "summary.json").read_text())["runs"]
    with av.open(str(DEMO / "run.mp4")) as film:
        for number, frame in enumerate(film.decode(video=0)):
            if number == busiest_frame(runs):
                frame.to_image().save(PICTURES / "running.png", optimize=True)
    for path, name in COPIED.items():
        shutil.copyfile(path, PICTURES / name)
    print(f"written: {PICTURES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
