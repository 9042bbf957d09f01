"""The network of tests that name its exits, whatever size is shipped."""

import dataclasses

from a1_model.config import ModelConfig, tiny


def eight_blocks(vocab_size: int, **changes) -> ModelConfig:
    """`tiny` with eight blocks and an exit after each but the first."""
    config = tiny(vocab_size=vocab_size)
    changes = {
        "backbone": dataclasses.replace(config.backbone, layers=8),
        "exits": tuple(range(1, 8)),
        **changes,
    }
    return dataclasses.replace(config, **changes)
