"""Other pictures of the same moment: crops, light, sharpening, erased rectangles."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from a1_model.batch import TrainBatch

# Numbers in 0..1 that decide about one picture.
RANDOMS = 12
# An erased rectangle's share of the picture and its height over its width.
ERASED_SHARE, ERASED_ASPECT = (0.02, 0.2), (0.5, 2.0)
_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class ImageAugmentation:
    """How far pictures are changed; each camera's on its own. All zero: not at all.

    Attributes:
        crop: largest share of both sides that is cut away; the rest is scaled up again.
        brightness, contrast, saturation: largest relative change.
        sharpen: largest strength of an unsharp mask, in both directions (blurred, sharpened).
        erase: chance that a rectangle is made grey.
    """

    crop: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    sharpen: float = 0.0
    erase: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"augmentation.{field.name}: {value} is not in 0..1")

    @property
    def any(self) -> bool:
        """Whether anything is changed."""
        return any(getattr(self, field.name) for field in dataclasses.fields(self))


def augmented(
    batch: TrainBatch, how: ImageAugmentation, random_UVR: Tensor, *, padded: bool
) -> TrainBatch:
    """The batch with other pictures; points move with what they show, or are no longer valid.

    Args:
        random_UVR: uniform in 0..1, `RANDOMS` a picture; they decide everything.
        padded: the model pads pictures to a square instead of cropping them: what the points'
            coordinates refer to.
    """
    images_UVHWC, random = batch.images_UVHWC, random_UVR.unbind(-1)
    height, width = images_UVHWC.shape[2:4]
    pixels = images_UVHWC.flatten(0, 1).permute(0, 3, 1, 2).float()
    flat = [value.flatten() for value in random]
    keep_UV = 1.0 - how.crop * random[0]
    shift_UV2 = torch.stack(random[1:3], dim=-1).mul(2).sub(1) * (1 - keep_UV)[..., None]
    if how.crop:
        pixels = _cropped(pixels, keep_UV.flatten(), shift_UV2.flatten(0, 1))
    pixels = _lit(pixels, how, flat[3:6])
    if how.sharpen:
        blurred = functional.avg_pool2d(
            functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1
        )
        strength = how.sharpen * (2 * flat[6] - 1)
        pixels = pixels + strength[:, None, None, None] * (pixels - blurred)
    boxes_UV4 = _boxes(how, random[7:11], height / width)
    if how.erase:
        pixels = _erased(pixels, boxes_UV4.flatten(0, 1))
    pictures = pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    points, inside = _moved(batch, (height, width), keep_UV, shift_UV2, boxes_UV4, padded=padded)
    return dataclasses.replace(
        batch,
        images_UVHWC=pictures.reshape(images_UVHWC.shape),
        points_BOV2=points,
        points_valid_BOV=batch.points_valid_BOV & inside,
    )


def _cropped(pixels_N3HW: Tensor, keep_N: Tensor, shift_N2: Tensor) -> Tensor:
    """A window of `keep` of both sides, its centre at `shift` (in half sides), scaled up."""
    theta = torch.zeros(len(pixels_N3HW), 2, 3, device=pixels_N3HW.device)
    theta[:, 0, 0] = theta[:, 1, 1] = keep_N
    theta[:, :, 2] = shift_N2
    shape = list(pixels_N3HW.shape)
    grid = functional.affine_grid(theta, shape, align_corners=False)
    return functional.grid_sample(
        pixels_N3HW, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _lit(pixels_N3HW: Tensor, how: ImageAugmentation, random_3N: list[Tensor]) -> Tensor:
    def gain(largest: float, random_N: Tensor) -> Tensor:
        return (1 + largest * (2 * random_N - 1))[:, None, None, None]

    if how.brightness:
        pixels_N3HW = pixels_N3HW * gain(how.brightness, random_3N[0])
    grey = torch.tensor(_GREY, device=pixels_N3HW.device)[:, None, None]
    if how.contrast:
        mean = (pixels_N3HW * grey).sum(1, keepdim=True).mean((2, 3), keepdim=True)
        pixels_N3HW = mean + gain(how.contrast, random_3N[1]) * (pixels_N3HW - mean)
    if how.saturation:
        colourless = (pixels_N3HW * grey).sum(1, keepdim=True)
        pixels_N3HW = colourless + gain(how.saturation, random_3N[2]) * (pixels_N3HW - colourless)
    return pixels_N3HW.clamp(0, 255)


def _boxes(how: ImageAugmentation, random: tuple[Tensor, ...], aspect: float) -> Tensor:
    """Left, top, right, bottom [U, V, 4] in 0..1 of a picture; empty where nothing is erased."""
    size, shape, x, y = random
    # One number decides whether and how much: below `erase` it is again uniform.
    erased = size < how.erase
    least, most = ERASED_SHARE
    share = least + (most - least) * (size / max(how.erase, 1e-9)).clamp(max=1)
    low, high = ERASED_ASPECT
    ratio = low * (high / low) ** shape / aspect
    wide, tall = (share / ratio).sqrt().clamp(max=1), (share * ratio).sqrt().clamp(max=1)
    left, top = x * (1 - wide), y * (1 - tall)
    boxes = torch.stack((left, top, left + wide, top + tall), dim=-1)
    return torch.where(erased[..., None], boxes, torch.zeros_like(boxes))


def _erased(pixels_N3HW: Tensor, boxes_N4: Tensor) -> Tensor:
    height, width = pixels_N3HW.shape[2:]
    x = (torch.arange(width, device=pixels_N3HW.device) + 0.5) / width
    y = (torch.arange(height, device=pixels_N3HW.device) + 0.5) / height
    left, top, right, bottom = boxes_N4.unbind(-1)
    across = (x >= left[:, None]) & (x < right[:, None])
    down = (y >= top[:, None]) & (y < bottom[:, None])
    inside = (down[:, :, None] & across[:, None])[:, None]
    return pixels_N3HW.masked_fill(inside, 127.5)


def _moved(
    batch: TrainBatch,
    size: tuple[int, int],
    keep_UV: Tensor,
    shift_UV2: Tensor,
    boxes_UV4: Tensor,
    *,
    padded: bool,
) -> tuple[Tensor, Tensor]:
    """Points [B, O, V, 2] in the new pictures, and whether they still show them [B, O, V]."""
    height, width = size
    # The square that points refer to, over the picture's sides.
    square = max(size) if padded else min(size)
    sides = torch.tensor([width, height], device=keep_UV.device)
    keep_B1V1 = keep_UV[batch.image_of_B][:, None, :, None]
    shift_B1V2, boxes_B1V4 = (x[batch.image_of_B][:, None] for x in (shift_UV2, boxes_UV4))
    # In half sides of the picture, from its centre.
    before = (2 * batch.points_BOV2 - 1) * square / sides
    after = (before - shift_B1V2) / keep_B1V1
    shown = (after.abs() <= 1).all(-1)
    place = (after + 1) / 2
    left, top, right, bottom = boxes_B1V4.unbind(-1)
    hidden = (
        (place[..., 0] >= left)
        & (place[..., 0] < right)
        & (place[..., 1] >= top)
        & (place[..., 1] < bottom)
    )
    points = (after * sides / square + 1) / 2
    in_square = ((points >= 0) & (points <= 1)).all(-1)
    return points, shown & in_square & ~hidden
