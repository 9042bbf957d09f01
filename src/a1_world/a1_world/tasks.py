"""The tasks of the world: what may be asked, in which words."""

from __future__ import annotations

from dataclasses import dataclass

from a1_core.errors import A1Error

KINDS = ("touch", "bowl")
TEMPLATES = {"touch": "touch the {colour} cube", "bowl": "put the {colour} cube in the bowl"}

# Linear RGB of the cubes: hues at least 25 degrees apart under the scene's white light.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.05, 0.06),
    "green": (0.06, 0.58, 0.14),
    "blue": (0.06, 0.20, 0.88),
    "yellow": (0.98, 0.85, 0.05),
    "purple": (0.52, 0.10, 0.72),
    "orange": (1.00, 0.42, 0.02),
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to do: `kind` of KINDS, `colour` of COLOURS, and the sentence that asks for it."""

    kind: str
    colour: str
    instruction: str


def make_task(kind: str, colour: str) -> Task:
    """The task of that kind about the cube of that colour; A1Error for an unknown word."""
    if kind not in KINDS:
        raise A1Error(f"task kind '{kind}' is unknown; use one of {', '.join(KINDS)}")
    if colour not in COLOURS:
        raise A1Error(f"colour '{colour}' is unknown; use one of {', '.join(COLOURS)}")
    return Task(kind=kind, colour=colour, instruction=TEMPLATES[kind].format(colour=colour))


def parse(instruction: str) -> Task:
    """The task that an instruction asks for; A1Error names the sentences that are understood."""
    words = " ".join(instruction.lower().split()).rstrip(".")
    for kind, template in TEMPLATES.items():
        before, after = template.split("{colour}")
        if not (words.startswith(before) and words.endswith(after)):
            continue
        colour = words[len(before) : len(words) - len(after)]
        if " " not in colour:
            return make_task(kind, colour)
    understood = "; ".join(template.format(colour="<colour>") for template in TEMPLATES.values())
    raise A1Error(f"instruction '{instruction}' is not understood; say one of: {understood}")
