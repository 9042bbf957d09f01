"""Does the instruction matter? Pointing at what it names on layouts never trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from a1_model.batch import OBJECTS
from a1_model.network import A1Network
from a1_training.samples import BatchSampler


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """Fractions in 0..1, one per exit, over the samples whose object the front camera sees.

    Attributes:
        hits: of each of `OBJECTS`: the pixel read from the instruction's last token is at most half
            a patch (4 cm on the table) from the labelled one, in x and in y.
        samples: how many of each were looked at.
    """

    hits: dict[str, tuple[float, ...]]
    samples: dict[str, int]


@torch.inference_mode()
def measure_grounding(
    network: A1Network, sampler: BatchSampler, source: str, images: int, images_per_batch: int = 64
) -> Grounding:
    """Looks at `images` draws of `source` (held-out layouts) through the point head.

    The sampler goes on as if nothing had been drawn: what trains next does not depend on a look.
    """
    network.eval()
    before = sampler.rng.bit_generator.state
    hits_KO = torch.zeros(len(network.config.exits), len(OBJECTS), dtype=torch.int64)
    seen_O = torch.zeros(len(OBJECTS), dtype=torch.int64)
    for _ in range(max(1, images // images_per_batch)):
        batch = sampler.draw({source: 1.0}, images_per_batch)
        point_KBO2 = network.point(batch)
        visible_BO = batch.points_valid_BOV[:, :, 0]
        side = network.config.front_grid
        distance_KBO = (point_KBO2 - batch.points_BOV2[None, :, :, 0]).abs().amax(-1) * side
        hits_KO += ((distance_KBO <= 0.5) & visible_BO).sum(1)
        seen_O += visible_BO.sum(0)
    sampler.rng.bit_generator.state = before
    shares_OK = (hits_KO / seen_O.clamp(min=1)).T
    return Grounding(
        hits={
            name: tuple(share_K.tolist()) for name, share_K in zip(OBJECTS, shares_OK, strict=True)
        },
        samples=dict(zip(OBJECTS, seen_O.tolist(), strict=True)),
    )
