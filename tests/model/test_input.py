"""Images and words on their way in."""

import dataclasses

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from a1_model.config import CameraTokens, VisionConfig, molmo_7b
from a1_model.losses import training_losses
from a1_model.network import A1Network
from a1_model.sizes import network_outline
from a1_model.tokenizer import InstructionTokenizer, Prompt
from a1_model.vision import fit_images, pad_images


def test_images_are_cropped_to_a_square_and_shrunk_by_area():
    images = torch.zeros(1, 4, 8, 3, dtype=torch.uint8)
    images[:, :, 2:6] = torch.arange(16, dtype=torch.uint8).reshape(4, 4, 1)
    small = fit_images(images, 2)
    assert torch.equal(small[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))


def test_images_of_the_right_size_are_not_touched():
    images = torch.randint(0, 256, (2, 8, 8, 3)).to(torch.uint8)
    assert torch.equal(fit_images(images, 8), images.permute(0, 3, 1, 2).float())


def test_padded_images_keep_their_shape_and_say_where_they_are():
    images = torch.full((1, 4, 8, 3), 90, dtype=torch.uint8)
    pixels, shares = pad_images(images, 8, 4)
    assert torch.equal(pixels[0, 0, :, 0], torch.tensor([0.0, 0, 90, 90, 90, 90, 0, 0]))
    assert torch.equal(shares, torch.full((2, 2), 0.5))
    _, shares = pad_images(images[:, :2], 8, 2)
    assert torch.equal(shares[:, 0], torch.tensor([0.0, 0.5, 0.5, 0.0]))


def test_a_prompt_stands_around_the_instruction():
    words = ["say", ":", "touch", "it", "now"]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="it"))
    tokenizer.pre_tokenizer = Whitespace()
    prompt = Prompt(before="say: ", after=" now", answer=" :")
    asked = InstructionTokenizer(tokenizer, prompt)
    again = InstructionTokenizer.from_json(asked.to_json())
    for one in (asked, again):
        ids, mask = one.encode(["touch it", "touch"])
        assert ids.tolist() == [[0, 1, 2, 3, 4, 1], [0, 1, 2, 4, 1, 0]]
        assert mask.sum(-1).tolist() == [6, 5]


def test_instructions_end_and_are_padded_on_the_right():
    tokenizer = InstructionTokenizer.from_words(["Touch", "red", "the", "cube"])
    ids, mask = tokenizer.encode(["touch the RED cube", "touch"])
    assert mask.tolist() == [[True] * 5, [True, True, False, False, False]]
    assert ids[0, 4] == ids[1, 1]
    again = InstructionTokenizer.from_json(tokenizer.to_json())
    assert torch.equal(again.encode(["touch the red cube", "touch"])[0], ids)
    assert len(again) == len(tokenizer) == 7


def test_words_never_seen_are_all_one_token():
    tokenizer = InstructionTokenizer.from_words(["touch"])
    ids, _ = tokenizer.encode(["grab it"])
    assert ids[0, 0] == ids[0, 1] == 1


def test_a_clip_tower_takes_the_place_of_the_convolutions(network, make_batch):
    clip = VisionConfig(
        kind="clip",
        image_size=56,
        patch_size=14,
        hidden_sizes=(32,),
        depths=(2,),
        heads=2,
        ffn=64,
        activation="quick_gelu",
        frozen=True,
    )
    config = dataclasses.replace(
        network.config,
        vision=clip,
        cameras=(CameraTokens(name="front", grid=4), CameraTokens(name="wrist", grid=2)),
    )
    with_clip = A1Network(config)
    losses = training_losses(with_clip, make_batch(), torch.Generator().manual_seed(0), ("fm",))
    losses["fm"].backward()
    assert all(p.grad is None for p in with_clip.vision.tower.parameters())
    assert with_clip.vision.connectors[0][1].weight.grad.any()


def test_the_papers_layout_is_a_config():
    config = molmo_7b(dim=8, horizon=8, cameras=("front", "wrist"))
    # 12 rows of 12 patches and a column token, start and end, twice; begin.
    assert config.vision.grid == 24 and config.image_tokens == 1 + 2 * (12 * 13 + 2)
    network = network_outline(config)
    weights = sum(p.numel() for p in network.backbone.parameters())
    assert weights == pytest.approx(7.07e9, rel=0.02)
    assert sum(p.numel() for p in network.expert.parameters()) == pytest.approx(0.4e9, rel=0.2)
