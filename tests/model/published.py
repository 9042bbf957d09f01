"""Published layouts at small widths with random weights, and what they compute, written plainly.

Nothing here is taken from the network under test: one head, one window and one token at a time,
straight from the equations of Molmo and of the public A1 code.
"""

import json
import math
from types import SimpleNamespace

import torch
import yaml
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch.nn import functional

HIDDEN, LAYERS, HEADS, KV_HEADS, FFN = 64, 4, 4, 2, 96
HEAD_DIM = HIDDEN // HEADS
THETA, EPS = 1e6, 1e-6
WIDTH, TOWER_LAYERS, TOWER_HEADS, TOWER_FFN = 128, 10, 2, 96
IMAGE, PATCH = 56, 14
GRID, TAKEN = IMAGE // PATCH, (8, 1)
CONNECTOR_FFN = FFN
BASE, ADDED = 40, 128
START, END, PATCH_TOKEN, COLUMN = (BASE + i for i in range(4))
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
WORDS = ["User", ":", "Assistant", "Action", "touch", "the", "red", "cube", "put", "it", "down"]
BEGIN = BASE - 1
CHUNK, ACTIONS, STATES, STEPS = 5, 6, 7, 3
SEQUENCE = 40
EXPERT, EXPERT_FFN, EXPERT_THETA = 96, 80, 1e4

# --- layouts


def molmo_tensors(prefix, seed=0):
    random = Random(seed)
    vit, connector = f"{prefix}vision_backbone.image_vit.", f"{prefix}vision_backbone."
    t = {
        f"{prefix}transformer.wte.embedding": random.normal(BASE, HIDDEN),
        f"{prefix}transformer.wte.new_embedding": random.normal(ADDED, HIDDEN),
        f"{prefix}transformer.ln_f.weight": random.scale(HIDDEN),
        f"{prefix}transformer.ff_out.weight": random.normal(BASE, HIDDEN),
        f"{vit}class_embedding": random.normal(WIDTH),
        f"{vit}positional_embedding": random.normal(1 + GRID**2, WIDTH),
        f"{vit}patch_embedding.weight": random.weight(WIDTH, 3 * PATCH**2),
        f"{vit}pre_ln.weight": random.scale(WIDTH),
        f"{vit}pre_ln.bias": random.normal(WIDTH),
        f"{connector}pad_embed": random.normal(2, 2 * WIDTH),
        f"{connector}image_projector.w1.weight": random.weight(CONNECTOR_FFN, WIDTH),
        f"{connector}image_projector.w2.weight": random.weight(HIDDEN, CONNECTOR_FFN),
        f"{connector}image_projector.w3.weight": random.weight(CONNECTOR_FFN, WIDTH),
    }
    for name, into in (("wq", 2 * WIDTH), ("wk", 2 * WIDTH), ("wv", 2 * WIDTH), ("wo", WIDTH)):
        t |= random.linear(f"{connector}image_pooling_2d.{name}", WIDTH, into)
    for index in range(TOWER_LAYERS):
        block = f"{vit}transformer.resblocks.{index}."
        for name in ("wq", "wk", "wv", "wo"):
            t |= random.linear(f"{block}attention.{name}", WIDTH, WIDTH)
        t |= random.linear(f"{block}feed_forward.w1", TOWER_FFN, WIDTH)
        t |= random.linear(f"{block}feed_forward.w2", WIDTH, TOWER_FFN)
        for name in ("attention_norm", "ffn_norm"):
            t[f"{block}{name}.weight"] = random.scale(WIDTH)
            t[f"{block}{name}.bias"] = random.normal(WIDTH)
    for index in range(LAYERS):
        block = f"{prefix}transformer.blocks.{index}."
        t |= random.linear(f"{block}att_proj", HIDDEN + 2 * KV_HEADS * HEAD_DIM, HIDDEN)
        t[f"{block}attn_out.weight"] = random.weight(HIDDEN, HIDDEN)
        t[f"{block}ff_proj.weight"] = random.weight(2 * FFN, HIDDEN)
        t[f"{block}ff_out.weight"] = random.weight(HIDDEN, FFN)
        t[f"{block}attn_norm.weight"] = random.scale(HIDDEN)
        t[f"{block}ff_norm.weight"] = random.scale(HIDDEN)
    return t


def flow_tensors(seed=1, layers=LAYERS):
    random = Random(seed)
    head = "action_head."
    t = random.linear(f"{head}state_proj", EXPERT, STATES)
    t |= random.linear(f"{head}action_in_proj", EXPERT, ACTIONS)
    t |= random.linear(f"{head}action_time_in", EXPERT, 2 * EXPERT)
    t |= random.linear(f"{head}action_time_out", EXPERT, EXPERT)
    t |= readout_tensors(f"{head}action_out.", EXPERT, EXPERT, random)
    t[f"{head}qwen2.model.norm.weight"] = random.scale(EXPERT)
    t[f"{head}qwen2.lm_head.weight"] = random.normal(11, EXPERT)
    heads = EXPERT // HEAD_DIM
    for index in range(layers):
        block = f"{head}qwen2.model.layers.{index}."
        t |= random.linear(f"{block}self_attn.q_proj", heads * HEAD_DIM, EXPERT)
        t |= random.linear(f"{block}self_attn.k_proj", KV_HEADS * HEAD_DIM, EXPERT)
        t |= random.linear(f"{block}self_attn.v_proj", KV_HEADS * HEAD_DIM, EXPERT)
        t[f"{block}self_attn.o_proj.weight"] = random.weight(EXPERT, heads * HEAD_DIM)
        t[f"{block}mlp.gate_proj.weight"] = random.weight(EXPERT_FFN, EXPERT)
        t[f"{block}mlp.up_proj.weight"] = random.weight(EXPERT_FFN, EXPERT)
        t[f"{block}mlp.down_proj.weight"] = random.weight(EXPERT, EXPERT_FFN)
        t[f"{block}input_layernorm.weight"] = random.scale(EXPERT)
        t[f"{block}post_attention_layernorm.weight"] = random.scale(EXPERT)
    return t | projector_tensors(random)


def mlp_tensors(width, seed=2):
    random = Random(seed)
    return readout_tensors(
        "action_head.model.", width * HIDDEN, HIDDEN, random, out=width
    ) | projector_tensors(random)


def readout_tensors(name, width, hidden, random, out=None):
    out = ACTIONS if out is None else out
    t = random.linear(f"{name}fc1", hidden, width) | random.linear(f"{name}fc2", out, hidden)
    norms = {"layer_norm1": width, "layer_norm2": hidden}
    for index in range(2):
        t |= random.linear(f"{name}mlp_resnet_blocks.{index}.ffn.1", hidden, hidden)
        norms[f"mlp_resnet_blocks.{index}.ffn.0"] = hidden
    for norm, size in norms.items():
        t[f"{name}{norm}.weight"] = random.scale(size)
        t[f"{name}{norm}.bias"] = random.normal(size)
    return t


def projector_tensors(random):
    return random.linear("proprio_projector.fc1", HIDDEN, STATES) | random.linear(
        "proprio_projector.fc2", HIDDEN, HIDDEN
    )


def write_molmo(directory, tensors, *, shards=1, **changes):
    """Hugging Face's directory of Molmo-7B-D."""
    directory.mkdir(exist_ok=True)
    config = {
        "model_type": "molmo",
        "attention_layer_norm": False,
        "clip_qkv": None,
        "embedding_size": BASE,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * FFN,
        "layer_norm_eps": EPS,
        "layer_norm_type": "rms",
        "max_position_embeddings": 4096,
        "norm_after": False,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KV_HEADS,
        "qkv_bias": True,
        "rope_theta": THETA,
        "use_position_ids": True,
        "vocab_size": BASE,
        "weight_tying": False,
    }
    (directory / "config.json").write_text(json.dumps(config | changes))
    (directory / "tokenizer.json").write_text(tokenizer_json())
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, directory / "model.safetensors")
        return directory
    weight_map = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = names[number::shards]
        save_file({name: tensors[name] for name in part}, directory / file)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def write_a1(directory, tensors, *, statistics=None, early_exit=True, data=None, **changes):
    """The directory that the public A1 code saves and loads."""
    directory.mkdir(exist_ok=True)
    model = {
        "d_model": HIDDEN,
        "n_heads": HEADS,
        "n_kv_heads": KV_HEADS,
        "qkv_bias": True,
        "clip_qkv": None,
        "n_layers": LAYERS,
        "mlp_ratio": 4,
        "mlp_hidden_size": 2 * FFN,
        "activation_type": "swiglu",
        "block_type": "sequential",
        "block_group_size": 1,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": THETA,
        "vision_backbone": {
            "image_model_type": "openai",
            "image_default_input_size": [IMAGE, IMAGE],
            "image_patch_size": PATCH,
            "image_pos_patch_size": PATCH,
            "image_emb_dim": WIDTH,
            "image_num_heads": TOWER_HEADS,
            "image_num_key_value_heads": TOWER_HEADS,
            "image_num_layers": TOWER_LAYERS,
            "image_head_dim": WIDTH // TOWER_HEADS,
            "image_mlp_dim": TOWER_FFN,
            "image_mlp_activations": "quick_gelu",
            "image_num_pos": 1 + GRID**2,
            "image_norm_eps": 1e-5,
            "resize_mode": "default",
        },
        "attention_layer_norm": False,
        "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "layer_norm_eps": EPS,
        "max_sequence_length": 4096,
        "include_bias": False,
        "bias_for_layer_norm": None,
        "vocab_size": BASE,
        "embedding_size": BASE,
        "additional_vocab_size": ADDED,
        "weight_tying": False,
        "norm_after": False,
        "max_crops": 2,
        "crop_mode": "resize",
        "use_col_tokens": True,
        "prompt_type": "uber_model",
        "system_prompt_kind": "demo_or_style",
        "message_formatting": "role",
        "always_start_with_space": True,
        "pad_value": 0.0,
        "image_padding_embed": "pad_and_partial_pad",
        "vit_layers": [-2, -9],
        "image_pooling_h": 2,
        "image_pooling_w": 2,
        "image_pooling_2d": "attention_meanq",
        "image_projector": "mlp",
        "normalize_input_embeds": False,
        "use_position_ids": True,
        "head_dim": None,
        "tokenizer": {"identifier": "Qwen/Qwen2-7B", "tokenizer_dir": None},
        "pad_tokenizer": True,
        "action_head": "flow_matching",
        "action_dim": ACTIONS,
        "fixed_action_dim": ACTIONS,
        "right_end_effector_dim": ACTIONS,
        "left_end_effector_dim": 0,
        "mobile_base_dim": 0,
        "num_actions_chunk": CHUNK,
        "proprio_dim": STATES,
        "num_diffusion_inference_steps": STEPS,
        "use_proprio": True,
        "action_head_flow_matching_dim": EXPERT,
        "action_head_flow_matching_layers": LAYERS,
        "action_head_flow_matching_heads": EXPERT // HEAD_DIM,
        "action_head_flow_matching_intermediate_size": EXPERT_FFN,
        "action_head_flow_matching_kv_heads": KV_HEADS,
        "action_head_flow_matching_pvf_function": "2d_attn_mask",
        "llm_causal_attention": False,
        "action_use_left_eef": False,
        "action_use_mobile_base": False,
    }
    content = {
        "run_name": "libero",
        "early_exit": early_exit,
        "model": model | changes,
        "data": {"sequence_length": SEQUENCE, "pad": "to_max", "use_proprio": True} | (data or {}),
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(content))
    (directory / "tokenizer.json").write_text(tokenizer_json())
    if statistics is not None:
        (directory / "dataset_statistics.json").write_text(json.dumps(statistics))
    torch.save(tensors, directory / "model.pt")
    return directory


def tokenizer_json():
    words = {word: i for i, word in enumerate(WORDS)} | {"<|endoftext|>": BEGIN}
    tokenizer = Tokenizer(WordLevel(words, unk_token="it"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer.to_str()


def robot(dim=4, horizon=CHUNK, cameras=("front",)):
    """What a conversion asks of a robot spec."""
    return SimpleNamespace(
        robot="arm",
        action_names=tuple(f"j{i}" for i in range(dim)),
        dim=dim,
        policy=SimpleNamespace(period_s=0.1, horizon=horizon),
        cameras=tuple(SimpleNamespace(name=name) for name in cameras),
        digest="s",
        path="arm.yaml",
    )


class Random:
    def __init__(self, seed):
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(shape, generator=self._generator) * 0.3

    def scale(self, size):
        return 1 + self.normal(size)

    def weight(self, out, into):
        return torch.randn(out, into, generator=self._generator) / into**0.5

    def linear(self, name, out, into):
        return {f"{name}.weight": self.weight(out, into), f"{name}.bias": self.normal(out)}


# --- equations


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
