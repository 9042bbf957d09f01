"""`demonstrations --out DIR`: the scripted expert's episodes as a LeRobot v3.0 data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from a1_core.errors import A1Error
from a1_core.spec import RobotSpec
from a1_data.lerobot.from_bags import policy_fps
from a1_data.lerobot.writer import DatasetWriter, Frame
from a1_data.share import find_spec
from a1_world.episodes import Demonstration, demonstrations
from a1_world.tasks import KINDS

INTERRUPTED = 130


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="demonstrations", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set; new")
    parser.add_argument("--episodes", type=int, default=50, help="to generate")
    parser.add_argument("--seed", type=int, default=0, help="of layouts and disturbances")
    parser.add_argument(
        "--noise", type=float, default=1.0, help="how much the expert is disturbed; 0: not at all"
    )
    parser.add_argument("--image-size", type=int, default=128, help="side of the pictures [px]")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of tasks")
    parser.add_argument("--keep-failures", action="store_true", help="write failed episodes too")
    parser.add_argument("--robot", default="franka", help="name of the robot spec, or its path")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Exits with 1 on a mistake."""
    options = parse(argv)
    console = Console()
    made = {name: getattr(options, name) for name in ("episodes", "seed", "noise", "image_size")}
    try:
        spec = find_spec(options.robot)
        generated = demonstrations(
            options.episodes,
            options.seed,
            options.noise,
            image_size=options.image_size,
            kinds=tuple(options.kinds),
        )
        told = {"made_by": "a1_training demonstrations", **made, "kinds": list(options.kinds)}
        shown = track(generated, "episodes", options.episodes, console=console, transient=True)
        kept, failed = write_demonstrations(
            shown, spec, options.out, told, failures=options.keep_failures
        )
    except (A1Error, OSError) as error:
        console.print(f"[red]demonstrations:[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("demonstrations: interrupted; nothing was written")
        sys.exit(INTERRUPTED)
    fate = "failures among them" if options.keep_failures else "failures left out"
    console.print(
        f"{kept} episodes in {escape(str(options.out))}; {failed} {fate}", highlight=False
    )


def write_demonstrations(
    episodes: Iterable[Demonstration],
    spec: RobotSpec,
    out: Path,
    told: dict[str, object],
    *,
    failures: bool,
) -> tuple[int, int]:
    """Write the episodes as one data set; how many are in it, and how many failed.

    Raises DatasetError where `out` is there already or no episode is left.
    """
    failed = 0
    told = {"robot": spec.robot, "spec_digest": spec.digest, "action": "commanded", **told}
    with DatasetWriter(
        out, robot=spec.robot, fps=policy_fps(spec), names=spec.action_names, told=told
    ) as writer:
        for episode in episodes:
            failed += episode.outcome == "failure"
            if failures or episode.outcome == "success":
                writer.add_episode(
                    _frames(episode), {"outcome": episode.outcome, "seed": episode.seed}
                )
        writer.finish()
        return writer.episodes, failed


def _frames(episode: Demonstration) -> Iterator[Frame]:
    for moment in episode.moments:
        yield Frame(
            images=moment.images,
            state_D=moment.state_D,
            action_D=moment.action_D,
            task=episode.instruction,
        )


if __name__ == "__main__":
    main()
