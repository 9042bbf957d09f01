"""The tasks of the world: what may be asked, in which words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from a1_core import substeps
from a1_core.errors import A1Error

KINDS = ("touch", "bowl", "stack", "push")
TEMPLATES = {
    "touch": "touch the {colour} cube",
    "bowl": "put the {colour} cube in the bowl",
    "stack": "stack the {colour} cube on the {target} cube",
    "push": "push the {colour} cube to the square",
}
# Those that name a second cube.
KINDS_WITH_TARGET = ("stack",)

# Linear RGB of the cubes: hues at least 25 degrees apart under the scene's white light.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.05, 0.06),
    "green": (0.06, 0.58, 0.14),
    "blue": (0.06, 0.20, 0.88),
    "yellow": (0.98, 0.85, 0.05),
    "purple": (0.52, 0.10, 0.72),
    "orange": (1.00, 0.42, 0.02),
}

_PATTERNS = {
    kind: re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\S+)", re.escape(template)))
    for kind, template in TEMPLATES.items()
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to do, and the sentence that asks for it.

    `kind` is one of KINDS, `colour` (of COLOURS) the cube to move or touch, `target` the cube to
    stack it on; None for every other kind.
    """

    kind: str
    colour: str
    target: str | None = None
    instruction: str


def make_task(kind: str, colour: str, target: str | None = None) -> Task:
    """The task of that kind about these cubes.

    A1Error for an unknown word, and for a target that is missing, too many or the cube itself.
    """
    if kind not in KINDS:
        raise A1Error(f"task kind '{kind}' is unknown; use one of {', '.join(KINDS)}")
    for word in (colour, target):
        if word is not None and word not in COLOURS:
            raise A1Error(f"colour '{word}' is unknown; use one of {', '.join(COLOURS)}")
    if target is None and kind in KINDS_WITH_TARGET:
        raise A1Error(f"task kind '{kind}' needs a target; give the colour of another cube")
    if target is not None and kind not in KINDS_WITH_TARGET:
        raise A1Error(f"task kind '{kind}' has no target, '{target}' was given; leave it out")
    if target == colour:
        raise A1Error(f"target '{target}' is the cube itself; give the colour of another cube")
    sentence = TEMPLATES[kind].format(colour=colour, target=target)
    return Task(kind=kind, colour=colour, target=target, instruction=sentence)


def parse(instruction: str) -> Task:
    """The task that an instruction asks for; A1Error names the sentences that are understood."""
    words = " ".join(instruction.lower().split()).rstrip(".")
    for kind, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(words):
            return make_task(kind, **found.groupdict())
    understood = "; ".join(
        template.format(colour="<colour>", target="<colour>") for template in TEMPLATES.values()
    )
    raise A1Error(f"instruction '{instruction}' is not understood; say one of: {understood}")


def parse_steps(instruction: str) -> tuple[Task, ...]:
    """The tasks of a sentence whose parts are joined by ', then ', in order; A1Error as `parse`."""
    return tuple(parse(part) for part in substeps.split_steps(instruction))


def join_steps(steps: tuple[Task, ...]) -> str:
    """One sentence that asks for `steps` in order; what `parse_steps` reads."""
    return substeps.join_steps(step.instruction for step in steps)


def vocabulary() -> set[str]:
    """Every word that an instruction may hold."""
    sentences = [TEMPLATES[k].format(colour=c, target=c) for k in KINDS for c in COLOURS]
    return {word for sentence in sentences for word in sentence.split()}
