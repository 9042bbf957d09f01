"""Pointing while acting: every token that decides has to know where the named object is.

Cloning alone leaves the instruction unheard: the one token that knows what is meant is one of
about a hundred that the actions attend to, and for thousands of steps nothing tells them apart.
So the last instruction token is taught to find the object and where it is to go, and the tokens
that decide (state, actions, MLP queries) to look at that token, each by one attention head, and all
of them to say the pixels.

Matching comes first and alone (the loss "match"): it is learned in minutes. Looking and saying
(the loss "point") build on it; from scratch they settle on all cubes alike and hold matching there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from a1_model.backbone import Layout
from a1_model.batch import TrainBatch
from a1_model.blocks import HalfBlock, attention_scores
from a1_model.draws import Totals
from a1_model.heads import last_token, masked_mean, point_target
from a1_model.network import A1Network

# A pixel error of a tenth of the image weighs as much as one nat of the patch's cross-entropy.
PIXEL_WEIGHT = 10.0
LOOK_WEIGHT = 0.5


class Pointing:
    """The pointing losses of one training pass; each method returns a scalar for one exit."""

    def __init__(self, network: A1Network, batch: TrainBatch, layout: Layout, totals: Totals):
        self._head = network.point_head
        self._backbone = network.backbone
        self._config = network.config
        self._layout = layout
        self._totals = totals
        self._points_BOV2, self._valid_BOV = batch.points_BOV2, batch.points_valid_BOV
        self._targets = [
            [
                point_target(points_BV2[:, view], camera)
                for view, camera in enumerate(self._config.cameras)
            ]
            for points_BV2 in batch.points_BOV2.unbind(1)
        ]
        self._rows_B = torch.arange(len(layout.valid_B), device=layout.valid_B.device)

    def match(self, exit_index: int, hidden_BNC: Tensor) -> Tensor:
        """The last instruction token matches the objects' patches, in every camera.

        Args:
            hidden_BNC: after the exit's block.
        """
        return self._found(self._head.matches(exit_index, hidden_BNC, self._layout.valid_B))

    def instruction(self, exit_index: int, half: HalfBlock, hidden_BNC: Tensor) -> Tensor:
        """The last instruction token looks at the objects and says their pixels.

        One attention head each: the named object in every camera, then where it goes, as far as
        there are heads.

        Args:
            half: the exit's block. hidden_BNC: after it.
        """
        last_B1 = self._layout.valid_B[:, None] - 1
        heads = self._config.backbone.heads
        looks = self._looks(self._config.exits[exit_index], half, last_B1, range(heads))[:, :, 0]
        sizes = [target_BP.shape[1] for target_BP in self._targets[0]]
        shares_BAP = looks[..., : sum(sizes)].split(sizes, dim=-1)
        free = iter(range(heads))
        shares = [
            [share_BAP[:, head] for share_BAP, head in zip(shares_BAP, free, strict=False)]
            for _ in self._targets
        ]
        last_B1C = last_token(hidden_BNC, self._layout.valid_B)[:, None]
        return self._found(shares) + self._said("instruction", exit_index, last_B1C)

    def queries(self, exit_index: int, half: HalfBlock, hidden_BQC: Tensor) -> Tensor:
        """The MLP head's queries look (by the last attention head) and say.

        Args:
            half: the exit's block, with the queries after the prefix. hidden_BQC: theirs, after it.
        """
        count, queries, _ = hidden_BQC.shape
        where_Q = self._layout.prefix + torch.arange(queries, device=hidden_BQC.device)
        last_head = self._config.backbone.heads - 1
        looks = self._looks(
            self._config.exits[exit_index], half, where_Q.expand(count, -1), [last_head]
        )
        return self._told("queries", exit_index, hidden_BQC, looks[:, 0])

    def lane(self, name: str, exit_index: int, hidden_BRC: Tensor, log_share_BRN: Tensor) -> Tensor:
        """A lane of the expert ("state" or "actions") looks and says.

        Args:
            hidden_BRC: its tokens after the exit's block.
            log_share_BRN: log of the attention of one of its heads over prefix and state.
        """
        return self._told(name, exit_index, hidden_BRC, log_share_BRN)

    def _found(self, log_shares: Sequence[Sequence[Tensor]]) -> Tensor:
        """Cross-entropy over each camera's patches, mean over the cameras, sum over the objects.

        Args:
            log_shares: of an object, of as many cameras as look at it.
        """
        total = self._valid_BOV.new_zeros((), dtype=torch.float32)
        for item, (shares, targets) in enumerate(zip(log_shares, self._targets, strict=True)):
            for view, (log_share_BP, target_BP) in enumerate(zip(shares, targets, strict=False)):
                total = total + masked_mean(
                    -(target_BP * log_share_BP).sum(-1),
                    self._valid_BOV[:, item, view],
                    self._totals.points_OV[item, view],
                ) / len(shares)
        return total

    def _told(self, name: str, exit_index: int, hidden_BRC: Tensor, log_share: Tensor) -> Tensor:
        look_B = -log_share[self._rows_B, :, self._layout.valid_B - 1].mean(-1)
        look = masked_mean(look_B, self._valid_BOV[:, 0].any(-1), self._totals.pointed)
        return LOOK_WEIGHT * look + self._said(name, exit_index, hidden_BRC)

    def _said(self, name: str, exit_index: int, hidden_BRC: Tensor) -> Tensor:
        pixels_BROV2 = self._head.pixels(name, exit_index, hidden_BRC)
        error_BOV = (pixels_BROV2 - self._points_BOV2[:, None]).abs().mean((1, 4))
        totals_O1 = self._totals.points_OV.sum(-1, keepdim=True).clamp(min=1)
        return PIXEL_WEIGHT * (error_BOV * self._valid_BOV / totals_O1).sum()

    def _looks(
        self, block: int, half: HalfBlock, where_BR: Tensor, heads: range | list[int]
    ) -> Tensor:
        """Log of what the tokens at `where_BR` attend to in the prefix, [B, heads, R, N]."""
        layout = self._layout
        scores = attention_scores(
            cast(Qwen2DecoderLayer, self._backbone.layers[block]),
            half.normed_BNC[self._rows_B[:, None], where_BR],
            layout.rope.select(where_BR),
            half.key_BGNd[:, :, : layout.prefix],
            heads,
        )
        if layout.key_valid_BN is not None:
            scores = scores.masked_fill(~layout.key_valid_BN[:, None, None], float("-inf"))
        return scores.log_softmax(-1)
