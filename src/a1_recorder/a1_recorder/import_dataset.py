"""`import DATASET --robot R --out DIR`: a LeRobot v3.0 data set as bags, one an episode.

So public data can be looked at, replayed and calibrated on like what was recorded here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from a1_core.errors import A1Error, BagError, DatasetError
from a1_core.spec import RobotSpec
from a1_core.times import NS_PER_S
from a1_data.definitions import Definitions
from a1_data.lerobot.columns import Columns, Naming
from a1_data.lerobot.dataset import Dataset, Episode, Rows
from a1_data.lerobot.episode_filters import Dropped, Wanted, sound_episodes
from a1_data.lerobot.naming_options import add_naming, naming_of
from a1_data.share import find_spec
from a1_recorder.bag_writer import BagWriter
from a1_recorder.robot_messages import RobotMessages
from a1_ros.command_line import ends_in_one_line

FIRST_NS = 1_000_000_000 * NS_PER_S
"""Where time begins for episodes whose own stamps nobody kept (2001)."""
APART_NS = 10 * NS_PER_S


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="import", description=__doc__)
    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("--robot", required=True, help="name of a robot spec, or its path")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bags; new")
    add_naming(parser)
    parser.add_argument("--strict", action="store_true", help="stop at the first broken episode")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Exits with 1 on a mistake, or when no episode was imported."""
    options = parse(argv)
    console = Console()
    kept = "the bags that have their names are whole"
    with ends_in_one_line("import", console, left=kept):
        sys.exit(0 if _import(options, console) else 1)


def import_dataset(
    dataset: Dataset, spec: RobotSpec, out: Path, naming: Naming, wanted: Wanted, dropped: Dropped
) -> list[Path]:
    """Every sound episode as a bag `out`/episode_NNNNNN; broken ones are counted in `dropped`.

    Raises DatasetError where the data set is not of this robot, BagError where `out` is there.
    """
    if out.exists():
        raise BagError(f"{out}: is there already; choose another folder, or remove it")
    columns = Columns(dataset, spec, naming)
    definitions, written = Definitions(), []
    begin_ns = FIRST_NS
    for episode, rows in sound_episodes(dataset, columns, wanted, dropped):
        path = out / f"episode_{episode.index:06d}"
        try:
            _write(path, dataset, episode, rows, columns, spec, definitions, begin_ns)
            written.append(path)
        except DatasetError as error:
            if wanted.strict:
                raise
            dropped.note("UNREADABLE", str(error))
        begin_ns += round(episode.length / dataset.info.fps * NS_PER_S) + APART_NS
    return written


def _write(
    path: Path,
    dataset: Dataset,
    episode: Episode,
    rows: Rows,
    columns: Columns,
    spec: RobotSpec,
    definitions: Definitions,
    begin_ns: int,
) -> None:
    custom = {
        "episode": path.name,
        "instruction": rows.tasks[0],
        "outcome": episode.outcome,
        "robot": spec.robot,
        "spec": spec.path.read_text(encoding="utf-8"),
        "spec_digest": spec.digest,
        "source": f"{dataset.path.name} episode {episode.index}",
    }
    custom = {key: text for key, text in custom.items() if text}
    bag = BagWriter(path, custom)
    try:
        messages = RobotMessages(bag, spec, definitions)
        first_ns = episode.begin_ns or begin_ns
        drivers_T = episode.frame_drivers
        for place, images in enumerate(dataset.images(episode, columns.cameras)):
            stamp_ns = first_ns + round(place * NS_PER_S / dataset.info.fps)
            messages.write(
                stamp_ns,
                images,
                rows.state_TD[place],
                rows.action_TD[place],
                rows.tasks[place],
                drivers_T[place],
            )
    except (A1Error, OSError, KeyboardInterrupt):
        bag.discard()
        raise
    bag.finish(custom)


def _import(options: argparse.Namespace, console: Console) -> bool:
    spec, dropped = find_spec(options.robot), Dropped()
    dataset = Dataset(options.dataset)
    written = import_dataset(
        dataset, spec, options.out, naming_of(options), Wanted(strict=options.strict), dropped
    )
    console.print(
        f"{len(written)} of {len(dataset.episodes)} episodes of {escape(str(dataset.path))} in "
        f"{escape(str(options.out))}, {dataset.info.fps} frames a second",
        highlight=False,
    )
    for reason, count in dropped.counts.items():
        console.print(
            f"[yellow]{reason}[/yellow] {count}: {escape(dropped.details[reason])}", highlight=False
        )
    return bool(written)


if __name__ == "__main__":
    main()
