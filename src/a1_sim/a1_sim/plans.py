"""Which episodes are run: layouts of the evaluation's seeds, and what is asked for on each."""

from collections.abc import Iterator, Sequence

from a1_sim.records import EpisodePlan
from a1_world.layout import FIRST_EVAL_SEED, make_layout

TIMEOUT_S = {"touch": 10.0, "bowl": 25.0, "stack": 25.0, "push": 20.0}
# `touch_exchanged` asks for another cube on the very layouts of `touch`: only the word differs.
TASKS = {
    "touch": "touch",
    "touch_exchanged": "touch",
    "bowl": "bowl",
    "stack": "stack",
    "push": "push",
}
SEEDS_A_KIND = 1000
# Layouts of recordings for calibration: neither trained nor evaluated on.
FIRST_RECORDING_SEED = FIRST_EVAL_SEED + 500_000
# What the shipped checkpoint has learnt.
LEARNT_TASKS = ("touch", "touch_exchanged", "bowl")

# Layouts that the expert records on: used neither to train the shipped checkpoint nor to evaluate.
EXPERT_SEED = 900_000


def evaluation_plans(task: str, episodes: int) -> Iterator[EpisodePlan]:
    """The first `episodes` layouts of the evaluation's seeds, with the task asked for on each."""
    kind = TASKS[task]
    for index in range(episodes):
        seed = FIRST_EVAL_SEED + index
        layout = make_layout(seed)
        named = layout.named
        if task == "touch_exchanged":
            named = (named + 1) % len(layout.colours)
        yield EpisodePlan(
            task=task,
            kind=kind,
            seed=seed,
            colour=layout.colours[named],
            timeout_s=TIMEOUT_S[kind],
        )


def table_plans(kinds: Sequence[str], each: int) -> list[EpisodePlan]:
    """`each` layouts of the evaluation's seeds a kind of task, at most SEEDS_A_KIND, all different.

    A kind's first layouts are the same ones however many are asked for.
    """
    return [
        EpisodePlan(
            task=kind,
            kind=kind,
            seed=seed,
            colour=layout.colours[layout.named],
            timeout_s=TIMEOUT_S[kind],
        )
        for place, kind in enumerate(kinds)
        for first in [FIRST_EVAL_SEED + place * SEEDS_A_KIND]
        for seed in range(first, first + min(each, SEEDS_A_KIND))
        for layout in [make_layout(seed)]
    ]


def recording_plans(
    tasks: Sequence[str], episodes: int, seed: int = FIRST_RECORDING_SEED
) -> Iterator[EpisodePlan]:
    """The tasks in turn, on layouts from `seed` on, each about the cube that the seed names."""
    for index in range(episodes):
        task = tasks[index % len(tasks)]
        layout = make_layout(seed + index)
        kind = TASKS[task]
        yield EpisodePlan(
            task=task,
            kind=kind,
            seed=seed + index,
            colour=layout.colours[layout.named],
            timeout_s=TIMEOUT_S[kind],
        )


def demonstration_plans(episodes: int) -> list[EpisodePlan]:
    """Touch and bowl in turn, with a colour that was not asked for yet wherever there is one."""
    plans: list[EpisodePlan] = []
    asked: list[str] = []
    for index in range(episodes):
        kind = ("touch", "bowl")[index % 2]
        seed = FIRST_EVAL_SEED + index
        colours = make_layout(seed).colours
        colour = min(colours, key=asked.count)
        asked.append(colour)
        plans.append(
            EpisodePlan(task=kind, kind=kind, seed=seed, colour=colour, timeout_s=TIMEOUT_S[kind])
        )
    return plans
