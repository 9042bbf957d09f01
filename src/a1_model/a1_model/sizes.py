"""How large a network is and what its stages cost, without its weights."""

from __future__ import annotations

import torch

from a1_model.config import ModelConfig
from a1_model.flops import FlopTable
from a1_model.network import A1Network

_PARTS = (
    ("tower", "vision.tower."),
    ("connector", "vision."),
    ("embedding", "backbone.embed_tokens."),
    ("backbone", "backbone."),
    ("expert", "expert."),
    ("mlp_head", "query_head."),
    ("point_head", "point_head."),
)


def network_outline(config: ModelConfig) -> A1Network:
    """The network on the meta device: names, shapes and types, no memory."""
    with torch.device("meta"):
        return A1Network(config)


def parameters_by_part(config: ModelConfig) -> dict[str, int]:
    """Weights of tower, connector, embedding, backbone, expert, mlp_head and point_head."""
    counts = dict.fromkeys((name for name, _ in _PARTS), 0)
    for name, weight in network_outline(config).named_parameters():
        part = next(part for part, prefix in _PARTS if name.startswith(prefix))
        counts[part] += weight.numel()
    return counts


def flops_by_stage(config: ModelConfig, prefix: int) -> dict[str, int]:
    """FLOPs (2 per multiply-add) of the stages of one tick; scope: see `flops`.

    Args:
        prefix: tokens of images and text.

    Returns:
        vision (all cameras), block (one of the backbone, over the prefix), expert_step (one
        velocity through all expert layers) and mlp_readout (one exit); only for parts that exist.
    """
    table = FlopTable(config, prefix - config.image_tokens, 0)
    stages = {"vision": table.vision, "block": table.block_keys_values + table.block_rest}
    if "fm" in config.parts:
        stages["expert_step"] = table.expert_step
    if "mlp" in config.parts:
        stages["mlp_readout"] = table.query_readout
    return stages
