"""How large a network is and what its stages cost, without its weights."""

from __future__ import annotations

import torch

from a1_model.config import ModelConfig, molmo_7b, small, tiny
from a1_model.flops import FlopTable
from a1_model.network import A1Network

# What docs/sizes.md tells of.
PRESETS = {
    "tiny": tiny(vocab_size=15),
    "small": small(vocab_size=64),
    "molmo_7b": molmo_7b(dim=7, horizon=8, cameras=("front", "wrist")),
}
# GFLOPs by stage that the paper states (arXiv 2604.05672).
PAPER_GFLOPS = {"vision": 2013.36, "block": 323.61, "expert_step": 0.493, "mlp_readout": 1.850}
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
    """Weights of tower, connector, embedding, backbone, expert, mlp_head and point_head.

    And of token_head, where there is one.
    """
    counts = dict.fromkeys((name for name, _ in _PARTS), 0)
    for name, weight in network_outline(config).named_parameters():
        own = name.partition(".")[0]
        part = next((part for part, prefix in _PARTS if name.startswith(prefix)), own)
        counts[part] = counts.get(part, 0) + weight.numel()
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
