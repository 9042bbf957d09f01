"""Published layouts at small widths with random weights; names and settings as published."""

import json
from types import SimpleNamespace

import torch
import yaml
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from a1_core.chunk import ActionSpace, DeltaBase

HIDDEN, LAYERS, HEADS, KV_HEADS, FFN = 64, 4, 4, 2, 96
HEAD_DIM = HIDDEN // HEADS
THETA, EPS = 1e6, 1e-6
WIDTH, TOWER_LAYERS, TOWER_HEADS, TOWER_FFN = 128, 10, 2, 96
IMAGE, PATCH = 56, 14
GRID, TAKEN = IMAGE // PATCH, (8, 1)
CONNECTOR_FFN = FFN
BASE, ADDED = 40, 128
START, END, PATCH_TOKEN, COLUMN = (BASE + i for i in range(4))
WORDS = ["User", ":", "Assistant", "Action", "touch", "the", "red", "cube", "put", "it", "down"]
BEGIN = BASE - 1
CHUNK, ACTIONS, STATES, STEPS = 5, 6, 7, 3
SEQUENCE = 40
EXPERT, EXPERT_FFN, EXPERT_THETA = 96, 80, 1e4


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
        policy_names=tuple(f"j{i}" for i in range(dim)),
        dim=dim,
        policy=SimpleNamespace(
            period_s=0.1,
            horizon=horizon,
            action_space=ActionSpace.JOINT_DELTA,
            delta_base=DeltaBase.OBSERVED,
        ),
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
