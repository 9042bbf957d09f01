"""The A1 network: vision, backbone, flow-matching expert and readouts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from a1_model.backbone import Backbone, Layout
from a1_model.batch import TrainBatch
from a1_model.config import ModelConfig
from a1_model.expert import Expert
from a1_model.heads import PointHead, QueryHead, TokenHead, last_token
from a1_model.released_heads import ReleasedExpert, ReleasedQueryHead
from a1_model.shared_images import SharedImages, WholeSequences
from a1_model.vision import FramedVision, Vision


class A1Network(nn.Module):
    """All weights of a policy. Usually it has both action heads; a policy chooses one.

    `config.parts` says which of `expert`, `query_head`, `point_head` and `token_head` exist.
    """

    expert: Expert | ReleasedExpert
    query_head: QueryHead | ReleasedQueryHead
    point_head: PointHead
    token_head: TokenHead

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.vision = (FramedVision if config.vision.connector else Vision)(config)
        self.backbone = Backbone(config.backbone)
        if "fm" in config.parts:
            self.expert = (ReleasedExpert if config.expert.released else Expert)(config)
        if "mlp" in config.parts:
            self.query_head = (ReleasedQueryHead if config.released_mlp else QueryHead)(config)
        if "point" in config.parts:
            self.point_head = PointHead(config)
        if "fast" in config.parts:
            self.token_head = TokenHead(config)

    def prefix(
        self,
        images_VNHWC: Sequence[Tensor],
        text_ids_BT: Tensor,
        text_mask_BT: Tensor,
        *,
        state_BD: Tensor | None,
        image_tokens_BNC: Tensor | None = None,
    ) -> tuple[Tensor, Layout]:
        """The backbone's input [cameras][text], and [queries] when a state is given.

        Args:
            images_VNHWC: one uint8 [B, H, W, 3] per camera in model order.
            state_BD: normalised state of the MLP head's queries, or None for no queries.
            image_tokens_BNC: the vision tower's tokens, when the caller has them already.
        """
        if image_tokens_BNC is None:
            image_tokens_BNC = self.vision(list(images_VNHWC))
        parts = [image_tokens_BNC, self.backbone.embed_tokens(text_ids_BT)]
        queries = 0
        if state_BD is not None:
            parts.append(self.query_head.tokens(state_BD.to(parts[1].dtype)))
            queries = self.query_head.count
        layout = self.backbone.layout(self.config.image_tokens, text_mask_BT, queries)
        return torch.cat(parts, dim=1), layout

    def shared_prefix(
        self, batch: TrainBatch, with_queries: bool, with_tokens: bool = False
    ) -> tuple[SharedImages | WholeSequences, Layout]:
        """The same for training: what the samples of an image have in common is done once.

        Args:
            with_queries, with_tokens: lanes after the text, of the MLP head's queries and of the
                action tokens.
        """
        image_tokens_UMC = self.vision(list(batch.images_UVHWC.unbind(1)))
        parts, queries, tokens = [self.backbone.embed_tokens(batch.text_ids_BT)], 0, 0
        if with_queries:
            parts.append(self.query_head.tokens(batch.state_BD))
            queries = self.query_head.count
        if with_tokens:
            assert batch.fast_ids_BA is not None
            parts.append(self.token_head.tokens(batch.state_BD, batch.fast_ids_BA))
            tokens = batch.fast_ids_BA.shape[1]
        layout = self.backbone.layout(self.config.image_tokens, batch.text_mask_BT, queries, tokens)
        sequences = SharedImages if self.config.backbone.causal else WholeSequences
        own_BTC = torch.cat(parts, dim=1)
        return sequences(self.backbone, layout, image_tokens_UMC, own_BTC, batch.image_of_B), layout

    @torch.no_grad()
    def point(self, batch: TrainBatch, camera: int = 0) -> Tensor:
        """Where each exit says the objects are: x, y in [0, 1] of the image, [K, B, O, 2]."""
        prefix, layout = self.shared_prefix(batch, with_queries=False)
        points = []
        for block in range(self.config.exits[-1] + 1):
            hidden = prefix.finish(block, prefix.keys_values(block))
            if block in self.config.exits:
                exit_index = self.config.exits.index(block)
                last_B1C = last_token(hidden, layout.valid_B)[:, None]
                pixels_B1OV2 = self.point_head.pixels("instruction", exit_index, last_B1C)
                points.append(pixels_B1OV2[:, 0, :, camera])
        return torch.stack(points)
