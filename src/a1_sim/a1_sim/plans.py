"""Which episodes are run: layouts of the evaluation's seeds, and what is asked for on each."""

from collections.abc import Collection, Iterator, Sequence

from a1_core.errors import A1Error
from a1_sim.records import EpisodePlan
from a1_world.layout import FIRST_EVAL_SEED, NUM_CUBES, make_layout
from a1_world.tasks import KINDS, KINDS_WITH_TARGET, TEMPLATES, make_task

TIMEOUT_S = {"touch": 10.0, "bowl": 25.0, "stack": 25.0, "push": 20.0}
# Kinds of task, to be done in that order, each with another cube.
# `touch_exchanged` asks for another cube on the very layouts of `touch`: only the word differs.
TASKS = {
    "touch": ("touch",),
    "touch_exchanged": ("touch",),
    "bowl": ("bowl",),
    "stack": ("stack",),
    "push": ("push",),
    "bowl_then_touch": ("bowl", "touch"),
    "touch_then_bowl": ("touch", "bowl"),
    "push_then_stack": ("push", "stack"),
}
SEEDS_A_KIND = 1000
# Layouts of recordings for calibration: neither trained nor evaluated on, nor those by which
# training looks at exits (+ 500_000).
FIRST_RECORDING_SEED = FIRST_EVAL_SEED + 600_000
# Layouts that the expert records on: neither those of the shipped checkpoint's training, which lie
# anywhere below FIRST_EVAL_SEED, nor those of evaluation or calibration.
EXPERT_SEED = FIRST_EVAL_SEED + 700_000
# What a demonstration shows, in turn, of what the policy has learnt.
DEMONSTRATED = ("touch", "bowl", "bowl_then_touch", "stack", "push")


def learnt_tasks(words: Collection[str]) -> tuple[str, ...]:
    """The tasks whose sentences are made of `words`, those that a policy was taught.

    A1Error when there is none.
    """
    known = {kind for kind in TEMPLATES if _words(kind) <= set(words)}
    learnt = tuple(task for task, kinds in TASKS.items() if known.issuperset(kinds))
    if not learnt:
        raise A1Error(
            f"the checkpoint's {len(words)} words make no sentence of the simulated tasks; use one "
            f"that has learnt some of {', '.join(TASKS)}, or name the tasks"
        )
    return learnt


def learnt_kinds(words: Collection[str]) -> tuple[str, ...]:
    """Of `learnt_tasks` those of one step, one for every kind: what calibration records."""
    return tuple(task for task in learnt_tasks(words) if task in KINDS)


def evaluation_plans(task: str, episodes: int) -> Iterator[EpisodePlan]:
    """The first `episodes` layouts of the evaluation's seeds, with the task asked for on each."""
    for index in range(episodes):
        seed = FIRST_EVAL_SEED + index
        named = make_layout(seed).named
        yield _plan(task, seed, (named + (task == "touch_exchanged")) % NUM_CUBES)


def table_plans(kinds: Sequence[str], each: int) -> list[EpisodePlan]:
    """`each` layouts of the evaluation's seeds a kind of task, at most SEEDS_A_KIND, all different.

    A kind's first layouts are the same ones however many are asked for.
    """
    return [
        _plan(kind, seed, make_layout(seed).named)
        for place, kind in enumerate(kinds)
        for first in [FIRST_EVAL_SEED + place * SEEDS_A_KIND]
        for seed in range(first, first + min(each, SEEDS_A_KIND))
    ]


def recording_plans(
    tasks: Sequence[str], episodes: int, seed: int = FIRST_RECORDING_SEED
) -> Iterator[EpisodePlan]:
    """The tasks in turn, on layouts from `seed` on, each about the cube that the seed names."""
    for index in range(episodes):
        task = tasks[index % len(tasks)]
        yield _plan(task, seed + index, make_layout(seed + index).named)


def demonstration_plans(episodes: int, learnt: Sequence[str]) -> list[EpisodePlan]:
    """Learnt tasks in turn, with a colour that was not asked for yet wherever there is one."""
    shown = [task for task in DEMONSTRATED if task in learnt]
    plans: list[EpisodePlan] = []
    asked: list[str] = []
    for index in range(episodes):
        seed = FIRST_EVAL_SEED + index
        colours = make_layout(seed).colours
        colour = min(colours, key=asked.count)
        asked.append(colour)
        plans.append(_plan(shown[index % len(shown)], seed, colours.index(colour)))
    return plans


def _plan(task: str, seed: int, named: int) -> EpisodePlan:
    """A task that begins with cube `named` of the layout."""
    kinds, colours = TASKS[task], make_layout(seed).colours
    timeout_s = sum(TIMEOUT_S[kind] for kind in kinds)
    if len(kinds) == 1:
        return EpisodePlan(
            task=task, kind=kinds[0], seed=seed, colour=colours[named], timeout_s=timeout_s
        )
    first, second, rest = (colours[(named + offset) % NUM_CUBES] for offset in range(NUM_CUBES))
    steps = tuple(
        make_task(kind, colour, rest if kind in KINDS_WITH_TARGET else None).instruction
        for kind, colour in zip(kinds, (first, second), strict=True)
    )
    return EpisodePlan(task=task, kind="", seed=seed, steps=steps, timeout_s=timeout_s)


def _words(kind: str) -> set[str]:
    """Words of a kind's sentence, but the colours."""
    return {word for word in TEMPLATES[kind].split() if not word.startswith("{")}
