"""Recipes by name: the paper's tables 8 and 9, and ours."""

from __future__ import annotations

from a1_core.errors import A1Error
from a1_training.augment import ImageAugmentation
from a1_training.recipe import Recipe, Stage

# The paper names its augmentations and no strengths, and says nothing of weight decay, gradient
# clipping, the cosine's end or averaged weights; these are ours.
_PICTURES = ImageAugmentation(erase=0.25, sharpen=0.5)
_WEIGHT_DECAY, _CLIP, _FINAL = 0.0, 1.0, 0.05
# Action tokens for joint offsets of ours: about 150 numbers, the rest for what comes together.
_FAST_VOCAB = 1024


def _paper(name: str, *, batch: int, steps: int, state_mask: float) -> Recipe:
    """Tables 8 and 9: AdamW, tower frozen, VLM 5e-6, head 5e-5, 2000 steps of warm-up, VLM frozen
    for the first 1000, cosine decay; one random exit a step.
    """
    stage = Stage(
        name=name,
        steps=steps,
        mixture={},
        loss_weights={"fm": 1.0},
        learning_rate=5e-5,
        final_fraction=_FINAL,
        warmup_steps=2_000,
        objective="random_exit",
        rates={"tower": 0.0, "vlm": 0.1},
        frozen_steps={"vlm": 1_000},
    )
    return Recipe(
        stages=(stage,),
        images_per_step=batch,
        weight_decay=_WEIGHT_DECAY,
        gradient_clip=_CLIP,
        state_mask_probability=state_mask,
        brightness=0.0,
        ema_decay=0.0,
        optimiser="adamw",
        precision="bfloat16",
        augmentation=_PICTURES,
        row_decay=0.0,
    )


def _insulated() -> Recipe:
    """Knowledge insulation: the backbone learns action tokens, the expert flow matching."""
    stage = Stage(
        name="insulated",
        steps=30_000,
        mixture={},
        loss_weights={"fast": 1.0, "fm": 1.0, "end": 0.05},
        learning_rate=5e-5,
        warmup_steps=1_000,
        rates={"tower": 0.0, "vlm": 0.2},
    )
    return Recipe(
        stages=(stage,),
        images_per_step=128,
        state_mask_probability=0.2,
        brightness=0.0,
        ema_decay=0.0,
        optimiser="adamw",
        precision="bfloat16",
        augmentation=ImageAugmentation(
            crop=0.1, brightness=0.2, contrast=0.2, saturation=0.2, erase=0.1
        ),
        insulate=True,
        fast_vocab=_FAST_VOCAB,
    )


def _small() -> Recipe:
    """Both heads from scratch on given data, all exits at once; for `--size tiny` and `small`."""
    stage = Stage(
        name="clone",
        steps=10_000,
        mixture={},
        loss_weights={"fm": 1.0, "mlp": 0.5, "end": 0.05},
        learning_rate=1e-3,
    )
    return Recipe(
        stages=(stage,),
        images_per_step=32,
        augmentation=ImageAugmentation(crop=0.05, contrast=0.1, saturation=0.1),
    )


def _fine_tune() -> Recipe:
    """A checkpoint of ours on a few dozen recorded episodes: low rate, its own normaliser."""
    stage = Stage(
        name="fine-tune",
        steps=400,
        mixture={},
        loss_weights={"fm": 1.0, "mlp": 0.5, "end": 0.05},
        learning_rate=3e-4,
        final_fraction=0.02,
        warmup_steps=50,
    )
    return Recipe(
        stages=(stage,),
        images_per_step=16,
        # Averaged over the last quarter of the steps.
        ema_decay=0.99,
        keep_normaliser=True,
    )


RECIPES: dict[str, Recipe] = {
    "paper-pretrain": _paper("pretrain", batch=1024, steps=200_000, state_mask=0.5),
    "paper-libero": _paper("libero", batch=128, steps=50_000, state_mask=0.0),
    "paper-vlabench": _paper("vlabench", batch=64, steps=50_000, state_mask=0.0),
    "paper-robochallenge-aloha": _paper("aloha", batch=64, steps=100_000, state_mask=0.3),
    "paper-robochallenge-arx5": _paper("arx5", batch=32, steps=50_000, state_mask=0.3),
    "paper-robochallenge-ur5": _paper("ur5", batch=64, steps=50_000, state_mask=0.3),
    "paper-robochallenge-franka": _paper("franka", batch=64, steps=50_000, state_mask=0.3),
    "insulated": _insulated(),
    "from-scratch": _small(),
    "fine-tune": _fine_tune(),
}


def recipe_by_name(name: str) -> Recipe:
    """One of RECIPES.

    Raises:
        A1Error: there is none of that name.
    """
    if name not in RECIPES:
        raise A1Error(f"--recipe: {name!r} is not one of {', '.join(RECIPES)}")
    return RECIPES[name]
