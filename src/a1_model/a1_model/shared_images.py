"""The backbone over images and, apart from them, over the texts that ask about them.

Images cannot see what comes after them, so the keys and values of one image's tokens serve every
instruction about it: a training batch with three questions an image costs about half.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from a1_model.backbone import Backbone, Layout, additive
from a1_model.blocks import HalfBlock, Rope, finish, keys_values


class SharedImages:
    """Steps a batch through the backbone block by block, as one sequence a sample.

    U images, B samples, M image tokens, T tokens of text and queries; a sample's sequence is
    [M tokens of its image][T of its own], laid out by `layout`.
    """

    def __init__(
        self,
        backbone: Backbone,
        layout: Layout,
        images_UMC: Tensor,
        own_BTC: Tensor,
        image_of_B: Tensor,
    ):
        self._backbone = backbone
        self._image_of_B = image_of_B
        self._images, self._own = images_UMC, own_BTC
        image_tokens, own_tokens = images_UMC.shape[1], own_BTC.shape[1]
        self._image_rope = backbone.rope.span(0, image_tokens)
        self._own_rope = Rope(
            layout.rope.cos[:, :, image_tokens:], layout.rope.sin[:, :, image_tokens:]
        )
        if layout.mask is None:
            total = image_tokens + own_tokens
            seen = torch.ones(own_tokens, total, dtype=torch.bool, device=own_BTC.device)
            self._own_mask = additive(seen.tril(image_tokens))[None, None]
        else:
            self._own_mask = layout.mask[:, :, image_tokens:]
        self._halves: tuple[HalfBlock, HalfBlock] | None = None

    def keys_values(self, index: int) -> HalfBlock:
        """First half of block `index`, of the whole sequences."""
        layer = cast(Qwen2DecoderLayer, self._backbone.layers[index])
        images = keys_values(layer, self._images, self._image_rope)
        own = keys_values(layer, self._own, self._own_rope)
        self._halves = images, own
        return HalfBlock(
            self._joined(images.hidden_BNC, own.hidden_BNC, 1),
            self._joined(images.normed_BNC, own.normed_BNC, 1),
            self._joined(images.key_BGNd, own.key_BGNd, 2),
            self._joined(images.value_BGNd, own.value_BGNd, 2),
        )

    def finish(self, index: int, half: HalfBlock) -> Tensor:
        """Second half of block `index`: the hidden state [B, M + T, C] after it.

        Args:
            half: what `keys_values` has just returned.
        """
        assert self._halves is not None
        layer = cast(Qwen2DecoderLayer, self._backbone.layers[index])
        images, own = self._halves
        self._images = finish(layer, images, self._image_rope, causal=True)
        self._own = finish(
            layer,
            own,
            self._own_rope,
            key=half.key_BGNd,
            value=half.value_BGNd,
            mask=self._own_mask,
        )
        return self._joined(self._images, self._own, 1)

    def _joined(self, images: Tensor, own: Tensor, dim: int) -> Tensor:
        return torch.cat((images[self._image_of_B], own), dim=dim)


class WholeSequences:
    """The same of a backbone in which images see what comes after them: nothing is shared."""

    def __init__(
        self,
        backbone: Backbone,
        layout: Layout,
        images_UMC: Tensor,
        own_BTC: Tensor,
        image_of_B: Tensor,
    ):
        self._backbone, self._layout = backbone, layout
        self._hidden = torch.cat((images_UMC[image_of_B], own_BTC), dim=1)

    def keys_values(self, index: int) -> HalfBlock:
        """See `SharedImages.keys_values`."""
        return self._backbone.keys_values(index, self._hidden, self._layout)

    def finish(self, index: int, half: HalfBlock) -> Tensor:
        """See `SharedImages.finish`."""
        self._hidden = self._backbone.finish(index, half, self._layout)
        return self._hidden
