"""What one training step sees."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TrainBatch:
    """B samples about U images; a sample may lack action labels, end labels or points.

    V cameras in model order, T text tokens (padded on the right), D dimensions, H rows.

    Attributes:
        images_UVHWC: uint8 RGB.
        image_of_B: int64, index into the images.
        text_ids_BT, text_mask_BT: int64 ids; bool, True where a token is real.
        state_BD, actions_BHD: float32, normalised to [-1, 1].
        action_valid_B: bool, the sample has an action label.
        row_weight_BH: float32, how much a row counts (0: padding at the end of an episode).
        end_B, end_valid_B: float32 0 or 1, the substep ends within the next row; bool.
        points_BV2, points_valid_BV: float32 x, y of the named object in [0, 1] of the image
            as the model sees it; bool, the object is visible.
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
    points_BV2: Tensor
    points_valid_BV: Tensor
