"""What one training step sees."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

# What an instruction is about: the object that it names and, where it moves that, where to.
OBJECTS = ("named", "target")


@dataclass(frozen=True, kw_only=True)
class TrainBatch:
    """B samples about U images; a sample may lack action labels, end labels or points.

    O objects (`OBJECTS`), V cameras in model order, T text tokens (padded on the right), D
    dimensions, H rows.

    Attributes:
        images_UVHWC: uint8 RGB.
        image_of_B: int64, index into the images.
        text_ids_BT, text_mask_BT: int64 ids; bool, True where a token is real.
        state_BD, actions_BHD: float32, normalised to [-1, 1].
        action_valid_B: bool, the sample has an action label.
        row_weight_BH: float32, how much a row counts in the losses.
        end_B, end_valid_B: float32 0 or 1, the substep ends within the next row; bool.
        points_BOV2, points_valid_BOV: float32 x, y of an object in [0, 1] of the image as the
            model sees it; bool, there is one and it is visible.
        fast_ids_BA, fast_mask_BA: int64 action tokens of the chunk (see `fast_tokens`), padded on
            the right; bool, True where a token counts. None: no such tokens are learned.
    """

    images_UVHWC: Tensor
    image_of_B: Tensor
    text_ids_BT: Tensor
    text_mask_BT: Tensor
    state_BD: Tensor
    actions_BHD: Tensor
    action_valid_B: Tensor
    row_weight_BH: Tensor
    end_B: Tensor
    end_valid_B: Tensor
    points_BOV2: Tensor
    points_valid_BOV: Tensor
    fast_ids_BA: Tensor | None = None
    fast_mask_BA: Tensor | None = None

    @property
    def images(self) -> int:
        """U."""
        return len(self.images_UVHWC)

    def of_images(self, first: int, stop: int) -> tuple[TrainBatch, slice]:
        """The samples about the images first .. stop - 1, and which of this batch's they are.

        Samples must be in the order of their images.
        """
        assert bool((self.image_of_B.diff() >= 0).all())
        edges = torch.tensor([first, stop], device=self.image_of_B.device)
        begin, end = torch.searchsorted(self.image_of_B, edges).tolist()
        rows = slice(begin, end)
        values = {
            field.name: value[rows]
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        values["images_UVHWC"] = self.images_UVHWC[first:stop]
        values["image_of_B"] = values["image_of_B"] - first
        return dataclasses.replace(self, **values), rows

    def to(self, device: torch.device) -> TrainBatch:
        """All tensors there."""
        values = {
            field.name: value.to(device)
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return dataclasses.replace(self, **values)
