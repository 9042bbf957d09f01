"""Does the instruction matter? Pointing at the named object on layouts never trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from a1_model.network import A1Network
from a1_training.samples import BatchSampler


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """Fractions in 0..1, one per exit, over the samples whose object the front camera sees.

    Attributes:
        hits: the pixel read from the instruction's last token is at most half a patch (4 cm on the
            table) from the labelled one, in x and in y.
        samples: how many were looked at.
    """

    hits: tuple[float, ...]
    samples: int


@torch.inference_mode()
def measure_grounding(
    network: A1Network, sampler: BatchSampler, source: str, images: int, images_per_batch: int = 64
) -> Grounding:
    """Looks at `images` draws of `source` (held-out layouts) through the point head."""
    network.eval()
    hits_K = torch.zeros(len(network.config.exits), dtype=torch.int64)
    seen = 0
    for _ in range(max(1, images // images_per_batch)):
        batch = sampler.draw({source: 1.0}, images_per_batch)
        point_KB2 = network.point(batch)
        visible_B = batch.points_valid_BV[:, 0]
        side = network.config.front_grid
        distance_KB = (point_KB2 - batch.points_BV2[None, :, 0]).abs().amax(-1) * side
        hits_K += ((distance_KB <= 0.5) & visible_B).sum(-1)
        seen += int(visible_B.sum())
    return Grounding(hits=tuple((hits_K / max(seen, 1)).tolist()), samples=seen)
