"""What the published networks compute, written plainly.

Nothing here is taken from the network under test: one head, one window and one token at a time,
straight from the equations of Molmo and of the public A1 code.
"""

import math

import torch
from published import (
    BASE,
    BEGIN,
    CHUNK,
    COLUMN,
    END,
    EPS,
    EXPERT,
    EXPERT_THETA,
    FFN,
    GRID,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    IMAGE,
    KV_HEADS,
    LAYERS,
    PATCH,
    PATCH_TOKEN,
    START,
    TAKEN,
    THETA,
    TOWER_HEADS,
    TOWER_LAYERS,
    WIDTH,
)
from torch.nn import functional

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])


def linear(x, t, name):
    y = x @ t[f"{name}.weight"].T
    return y + t[f"{name}.bias"] if f"{name}.bias" in t else y


def layer_norm(x, t, name, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled * t[f"{name}.weight"] + t[f"{name}.bias"]


def rms_norm(x, weight, eps=EPS):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def rotate(x, positions, theta):
    """[tokens, HEAD_DIM]; pairs (i, i + half) turn by position * theta^(-2i / d)."""
    half = HEAD_DIM // 2
    angle = positions[:, None] * theta ** (-torch.arange(half) / half)
    a, b = x[:, :half], x[:, half:]
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), -1)


def attend(queries, keys, values, seen=None):
    """[q, d], [k, d], [k, d], bool [q, k]."""
    scores = queries @ keys.T / queries.shape[-1] ** 0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores.softmax(-1) @ values


def fit(image):
    """uint8 [h, w, 3] -> [IMAGE, IMAGE, 3] in 0..1, and which pixels are image."""
    height, width = image.shape[:2]
    scale = IMAGE / max(height, width)
    inner = [int(height * scale), int(width * scale)]
    pixels = (image.float() / 255).permute(2, 0, 1)[None]
    pixels = functional.interpolate(pixels, inner, mode="bilinear", antialias=True)[0]
    canvas, inside = torch.zeros(IMAGE, IMAGE, 3), torch.zeros(IMAGE, IMAGE)
    top, left = (IMAGE - inner[0]) // 2, (IMAGE - inner[1]) // 2
    canvas[top : top + inner[0], left : left + inner[1]] = pixels.permute(1, 2, 0)
    inside[top : top + inner[0], left : left + inner[1]] = 1
    return canvas, inside


def cut(pixels):
    """[IMAGE, IMAGE, ...] -> [GRID * GRID, PATCH * PATCH * ...]."""
    return torch.stack(
        [
            pixels[y : y + PATCH, x : x + PATCH].reshape(-1)
            for y in range(0, IMAGE, PATCH)
            for x in range(0, IMAGE, PATCH)
        ]
    )


def image_tokens(image, t, prefix, partial=False):
    """Connector tokens of one crop; `partial`: every patch counts as padded in part."""
    vit = f"{prefix}vision_backbone.image_vit."
    canvas, inside = fit(image)
    x = cut((canvas - MEAN) / STD) @ t[f"{vit}patch_embedding.weight"].T
    x = torch.cat((t[f"{vit}class_embedding"][None], x)) + t[f"{vit}positional_embedding"]
    x = layer_norm(x, t, f"{vit}pre_ln")
    after = []
    for index in range(TOWER_LAYERS):
        block = f"{vit}transformer.resblocks.{index}."
        normed = layer_norm(x, t, f"{block}attention_norm")
        q, k, v = (linear(normed, t, f"{block}attention.w{letter}") for letter in "qkv")
        heads = [
            attend(q[:, i], k[:, i], v[:, i])
            for i in torch.arange(WIDTH).split(WIDTH // TOWER_HEADS)
        ]
        x = x + linear(torch.cat(heads, -1), t, f"{block}attention.wo")
        inner = linear(layer_norm(x, t, f"{block}ffn_norm"), t, f"{block}feed_forward.w1")
        x = x + linear(inner * torch.sigmoid(1.702 * inner), t, f"{block}feed_forward.w2")
        after.append(x)
    features = torch.cat([after[index][1:] for index in TAKEN], -1)
    share = cut(inside).mean(-1)
    padding = t[f"{prefix}vision_backbone.pad_embed"]
    for patch in range(GRID**2):
        if partial or 0 < share[patch] < 1:
            features[patch] = features[patch] + padding[1]
        elif share[patch] == 0:
            features[patch] = features[patch] + padding[0]
    pool = f"{prefix}vision_backbone.image_pooling_2d."
    project = f"{prefix}vision_backbone.image_projector."
    tokens = []
    for y in range(0, GRID, 2):
        for x_ in range(0, GRID, 2):
            four = features.view(GRID, GRID, -1)[y : y + 2, x_ : x_ + 2].reshape(4, -1)
            q = linear(four.mean(0, keepdim=True), t, f"{pool}wq")
            k, v = linear(four, t, f"{pool}wk"), linear(four, t, f"{pool}wv")
            heads = [
                attend(q[:, i], k[:, i], v[:, i])
                for i in torch.arange(WIDTH).split(WIDTH // TOWER_HEADS)
            ]
            pooled = linear(torch.cat(heads, -1), t, f"{pool}wo")
            gate = functional.silu(linear(pooled, t, f"{project}w1"))
            tokens.append(linear(gate * linear(pooled, t, f"{project}w3"), t, f"{project}w2"))
    return torch.cat(tokens)


def prefix_inputs(shown, text, t, prefix):
    """Embeddings of [begin][images][text].

    Args:
        shown: image tokens in the order of their places; None: a place without an image.
    """
    side = GRID // 2
    image = [START, *([PATCH_TOKEN] * side + [COLUMN]) * side, END]
    ids = [BEGIN] + image * len(shown) + text
    x = embed(ids, t, prefix)
    for number, tokens in enumerate(shown):
        if tokens is None:
            continue
        first = 1 + number * len(image)
        places = [first + i for i, token in enumerate(image) if token == PATCH_TOKEN]
        x[places] = x[places] + tokens
    return x


def embed(ids, t, prefix):
    table = torch.cat(
        (t[f"{prefix}transformer.wte.embedding"], t[f"{prefix}transformer.wte.new_embedding"])
    )
    return table[ids]


def decode(x, seen, t, prefix):
    """Hidden states before the first and after every block; keys and values of every block."""
    hidden, cache = [x], []
    positions = torch.arange(len(x)).float()
    edges = [HIDDEN, KV_HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM]
    for index in range(LAYERS):
        block = f"{prefix}transformer.blocks.{index}."
        normed = rms_norm(x, t[f"{block}attn_norm.weight"])
        q, k, v = linear(normed, t, f"{block}att_proj").split(edges, -1)
        keys = [rotate(k_, positions, THETA) for k_ in k.split(HEAD_DIM, -1)]
        values = v.split(HEAD_DIM, -1)
        cache.append((keys, values))
        heads = [
            attend(
                rotate(q_, positions, THETA),
                keys[i * KV_HEADS // HEADS],
                values[i * KV_HEADS // HEADS],
                seen,
            )
            for i, q_ in enumerate(q.split(HEAD_DIM, -1))
        ]
        x = x + linear(torch.cat(heads, -1), t, f"{block}attn_out")
        both = linear(rms_norm(x, t[f"{block}ff_norm.weight"]), t, f"{block}ff_proj")
        inner, gate = both.split(FFN, -1)
        x = x + linear(functional.silu(gate) * inner, t, f"{block}ff_out")
        hidden.append(x)
    return hidden, cache


def read_out(x, t, name):
    x = functional.relu(linear(layer_norm(x, t, f"{name}layer_norm1"), t, f"{name}fc1"))
    for index in range(2):
        block = f"{name}mlp_resnet_blocks.{index}.ffn."
        x = x + functional.relu(linear(layer_norm(x, t, f"{block}0"), t, f"{block}1"))
    return linear(layer_norm(x, t, f"{name}layer_norm2"), t, f"{name}fc2")


def flow_field(x, time, state, cache, valid, t):
    """Their velocity at `time`; the cache holds the padded prefix, `valid` of it counts."""
    head = "action_head."
    half = EXPERT // 2
    angle = time * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
    clock = torch.cat((angle.sin(), angle.cos())).expand(CHUNK, -1)
    rows = torch.cat((linear(x, t, f"{head}action_in_proj"), clock), -1)
    rows = functional.silu(linear(rows, t, f"{head}action_time_in"))
    tokens = torch.cat(
        (linear(state, t, f"{head}state_proj")[None], linear(rows, t, f"{head}action_time_out"))
    )
    length = len(cache[0][0][0])
    positions = (length + torch.arange(1 + CHUNK)).float()
    past = (torch.arange(length) < valid).expand(1 + CHUNK, -1)
    seen = torch.cat((past, torch.ones(1 + CHUNK, 1 + CHUNK).tril().bool()), -1)
    heads = EXPERT // HEAD_DIM
    layers = sum(name.endswith("input_layernorm.weight") for name in t)
    for index, (keys, values) in enumerate(cache[:layers]):
        block = f"{head}qwen2.model.layers.{index}."
        normed = rms_norm(tokens, t[f"{block}input_layernorm.weight"])
        q, k, v = (
            linear(normed, t, f"{block}self_attn.{letter}_proj").split(HEAD_DIM, -1)
            for letter in "qkv"
        )
        mixed = []
        for i in range(heads):
            g = i * KV_HEADS // heads
            own = rotate(k[g], positions, EXPERT_THETA)
            mixed.append(
                attend(
                    rotate(q[i], positions, EXPERT_THETA),
                    torch.cat((keys[g], own)),
                    torch.cat((values[g], v[g])),
                    seen,
                )
            )
        tokens = tokens + linear(torch.cat(mixed, -1), t, f"{block}self_attn.o_proj")
        normed = rms_norm(tokens, t[f"{block}post_attention_layernorm.weight"])
        gate = functional.silu(linear(normed, t, f"{block}mlp.gate_proj"))
        inner = gate * linear(normed, t, f"{block}mlp.up_proj")
        tokens = tokens + linear(inner, t, f"{block}mlp.down_proj")
    normed = rms_norm(tokens, t[f"{head}qwen2.model.norm.weight"])
    return read_out(normed[1:], t, f"{head}action_out.")


def padded(x, length):
    """The prefix as their collator pads it, and which tokens see which."""
    valid = torch.arange(length) < len(x)
    x = torch.cat((x, x.new_full((length - len(x), x.shape[1]), 0.5)))
    seen = torch.ones(length, length).tril().bool() & valid
    # A padded token before the first valid one does not exist: no row is empty.
    return x, seen


def mlp_actions(prefix_x, state, t, width, rows, block, *, causal, final=False):
    """Their MLP head on the hidden state before `block`; `final`: after the last norm instead."""
    numbers = [13, 14, 15, 16, 17, 18, 19, 19][:width]
    proprio = linear(
        functional.gelu(linear(state, t, "proprio_projector.fc1")), t, "proprio_projector.fc2"
    )
    ids = [BASE + i for i in (11, 12, 5, *numbers * rows, 6)]
    queries = embed(ids, t, "")
    queries[0] = proprio
    x = torch.cat((prefix_x, queries))
    seen = torch.ones(len(x), len(x)).bool()
    hidden, _ = decode(x, seen.tril() if causal else seen, t, "")
    chosen = hidden[block]
    if final:
        chosen = rms_norm(hidden[-1], t["transformer.ln_f.weight"])
    first = len(prefix_x) + 3
    return read_out(chosen[first : first + rows * width].reshape(rows, -1), t, "action_head.model.")
