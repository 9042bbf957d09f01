"""Other pictures of the same moment: what they show and where the points went."""

import dataclasses

import pytest
import torch

from a1_model.batch import TrainBatch
from a1_training.augment import RANDOMS, ImageAugmentation, augmented

HALF = torch.full((1, 1, RANDOMS), 0.5)


def spotted(points, size=(48, 48), side=3):
    """Grey pictures with a bright spot at each point; one sample a picture."""
    height, width = size
    square = min(size)
    images = torch.full((len(points), 1, height, width, 3), 60, dtype=torch.uint8)
    for image, (x, y) in zip(images, points, strict=True):
        column = round((x - 0.5) * square + width / 2 - 0.5)
        row = round((y - 0.5) * square + height / 2 - 0.5)
        image[0, row - side // 2 : row + side // 2 + 1, column - 1 : column + 2] = 250
    count, yes = len(points), torch.ones(len(points), dtype=torch.bool)
    return TrainBatch(
        images_UVHWC=images,
        image_of_B=torch.arange(count),
        text_ids_BT=torch.zeros(count, 1, dtype=torch.int64),
        text_mask_BT=yes[:, None],
        state_BD=torch.zeros(count, 8),
        actions_BHD=torch.zeros(count, 16, 8),
        action_valid_B=yes,
        row_weight_BH=torch.ones(count, 16),
        end_B=torch.zeros(count),
        end_valid_B=yes,
        points_BOV2=torch.tensor(points)[:, None, None],
        points_valid_BOV=yes[:, None, None],
    )


def brightest(image_HWC, size):
    """Centre of what is bright, in 0..1 of the middle square."""
    height, width = size
    weight = (image_HWC.float().mean(-1) - 110).clamp(min=0)
    weight = weight / weight.sum()
    y = (weight.sum(1) * (torch.arange(height) + 0.5)).sum()
    x = (weight.sum(0) * (torch.arange(width) + 0.5)).sum()
    square = min(size)
    return torch.stack(((x - width / 2) / square + 0.5, (y - height / 2) / square + 0.5))


@pytest.mark.parametrize("size", [(48, 48), (48, 64), (60, 48)])
def test_a_crop_takes_the_point_along(size):
    points = [(0.35, 0.5), (0.5, 0.4), (0.6, 0.6), (0.45, 0.65)]
    batch = spotted(points, size)
    random = torch.rand(4, 1, RANDOMS, generator=torch.Generator().manual_seed(1))
    new = augmented(batch, ImageAugmentation(crop=0.4), random, padded=False)
    assert new.points_valid_BOV.sum() >= 3
    for sample in new.points_valid_BOV[:, 0, 0].nonzero()[:, 0]:
        found = brightest(new.images_UVHWC[sample, 0], size)
        torch.testing.assert_close(found, new.points_BOV2[sample, 0, 0], atol=0.02, rtol=0)
    assert (new.points_BOV2 - batch.points_BOV2).abs().max() > 0.05


def test_what_is_cropped_away_is_not_pointed_at():
    batch = spotted([(0.05, 0.5), (0.9, 0.5)])
    random = HALF.repeat(2, 1, 1)
    random[:, :, 0], random[:, :, 1] = 1.0, 1.0  # half the width, all the way to the right
    new = augmented(batch, ImageAugmentation(crop=0.5), random, padded=False)
    assert new.points_valid_BOV[:, 0, 0].tolist() == [False, True]
    assert new.images_UVHWC[0].max() < 100


def test_what_is_erased_is_not_pointed_at():
    points = [(24.5 / 48, 24.5 / 48)] * 200  # the middle of a pixel
    batch = spotted(points)
    random = torch.rand(200, 1, RANDOMS, generator=torch.Generator().manual_seed(0))
    new = augmented(batch, ImageAugmentation(erase=0.5), random, padded=False)
    centre = new.images_UVHWC[:, 0, 24, 24, 0]
    assert torch.equal(new.points_valid_BOV[:, 0, 0], centre == 250)
    # About half the pictures are erased somewhere, by 2 to 20 per cent.
    erased = ((new.images_UVHWC[..., 0] == 128) | (new.images_UVHWC[..., 0] == 127)).float()
    share = erased.mean((1, 2, 3))
    assert 70 < int((share > 0).sum()) < 130
    assert share.max() < 0.22 and share[share > 0].min() > 0.01


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpen"])
def test_a_value_in_the_middle_changes_nothing_and_its_ends_do(name):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(60, 180, (2, 1, 24, 24, 3), generator=generator).to(torch.uint8)
    batch = dataclasses.replace(spotted([(0.5, 0.5)] * 2), images_UVHWC=images)
    how = ImageAugmentation(**{name: 0.3})
    same = augmented(batch, how, HALF.repeat(2, 1, 1), padded=False)
    assert (same.images_UVHWC.int() - images.int()).abs().max() <= 1
    assert torch.equal(same.points_BOV2, batch.points_BOV2) and same.points_valid_BOV.all()
    random = torch.stack((torch.zeros(1, RANDOMS), torch.ones(1, RANDOMS)))
    ends = augmented(batch, how, random, padded=False).images_UVHWC.float()
    low, high = ends[0].float() - images[0], ends[1].float() - images[1]
    assert low.abs().mean() > 2 and high.abs().mean() > 2
    if name == "brightness":
        assert low.mean() < 0 < high.mean()
    if name in ("contrast", "sharpen"):
        assert ends[0].std() < images[0].float().std() and ends[1].std() > images[1].float().std()


def test_the_same_random_numbers_give_the_same_pictures():
    batch = spotted([(0.5, 0.5)] * 3)
    how = ImageAugmentation(crop=0.3, brightness=0.2, contrast=0.2, erase=0.5, sharpen=0.3)
    random = torch.rand(3, 1, RANDOMS, generator=torch.Generator().manual_seed(0))
    whole = augmented(batch, how, random, padded=False)
    part, _ = batch.of_images(1, 3)
    alone = augmented(part, how, random[1:], padded=False)
    assert torch.equal(alone.images_UVHWC, whole.images_UVHWC[1:])
    assert torch.equal(alone.points_BOV2, whole.points_BOV2[1:])


def test_strengths_are_shares():
    with pytest.raises(ValueError, match=r"augmentation\.crop: 1\.5"):
        ImageAugmentation(crop=1.5)
