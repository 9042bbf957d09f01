"""The segments of a pass as compiled kernels (`torch.compile`), one switch for all of them."""

from __future__ import annotations

import torch

from a1_model.blocks import Halves, finish, keys_values
from a1_model.network import A1Network


def compile_segments(network: A1Network) -> None:
    """Compiles, in place, the vision part and both halves of a block.

    Layers of the same sizes share a kernel, so their number costs no time; a text of another length
    does, once. The first pass compiles. Chunks stay equal up to rounding.
    """
    network.vision.compile(dynamic=False)
    halves = Halves(torch.compile(keys_values), torch.compile(finish))
    network.backbone.halves = halves
    if "fm" in network.config.parts:
        network.expert.halves = halves
