"""Molmo's tensors: CLIP tower, attention connector and Qwen2 decoder, and their conversion.

Source of names and meanings: allenai/Molmo-7B-D-0924 on Hugging Face (configuration, weight map
and modelling code) and github.com/allenai/molmo.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from a1_core.errors import CheckpointError
from a1_core.normaliser import Normaliser
from a1_core.spec import RobotSpec
from a1_model.config import BackboneConfig, CameraTokens, ExpertConfig, ModelConfig, VisionConfig
from a1_model.foreign import Conversion, Fields, ForeignWeights, Plan, Rule, refusing, rows
from a1_model.released_config import AttentionConnector
from a1_model.tokenizer import InstructionTokenizer, Prompt

BEGIN = "<|endoftext|>"
# Rows of the added vocabulary, in the order of Molmo's list of extra tokens.
START, END, PATCH, COLUMN = range(4)
POOLED = 2  # patches along a side of a pooled window

# What Molmo-7B-D's own code fixes and its config.json does not say.
_TAKEN = (-2, -9)
_TOWER_HEAD_DIM = 64
_TOWER_NORM_EPS = 1e-5
_TOWER_ACTIVATION = "quick_gelu"

_UNREAD = "blocks of the tower behind the last one that the connector reads"
_READOUT = "norm and readout of the vocabulary: no words are written"


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """Sizes of tower, connector and decoder in Molmo's terms.

    Attributes:
        prefix: of all tensor names.
        base_vocabulary, added_vocabulary: rows of the two embedding tables.
        tower_layers: how many there are; `taken`: which the connector joins, 0 the first.
        padding: the connector marks padding.
    """

    prefix: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    rope_theta: float
    norm_eps: float
    base_vocabulary: int
    added_vocabulary: int
    image_size: int
    patch: int
    width: int
    tower_layers: int
    tower_heads: int
    tower_ffn: int
    tower_norm_eps: float
    activation: str
    taken: tuple[int, ...]
    connector_ffn: int
    padding: bool

    def __post_init__(self) -> None:
        if self.hidden % self.heads:
            raise ValueError(f"{self.heads} heads do not share a width of {self.hidden}")
        if self.added_vocabulary <= COLUMN:
            raise ValueError(f"{self.added_vocabulary} added tokens, images need {COLUMN + 1}")

    def vision(self, crops: int, one_place: bool) -> VisionConfig:
        """Our configuration of tower and connector."""
        return VisionConfig(
            kind="clip",
            image_size=self.image_size,
            patch_size=self.patch,
            hidden_sizes=(self.width,),
            depths=(max(self.taken) + 1,),
            heads=self.tower_heads,
            ffn=self.tower_ffn,
            activation=self.activation,
            frozen=True,
            norm_eps=self.tower_norm_eps,
            connector=AttentionConnector(
                layers=self.taken,
                heads=self.tower_heads,
                ffn=self.connector_ffn,
                padding=self.padding,
                crops=crops,
                one_place=one_place,
            ),
        )

    def cameras(self, names: Sequence[str]) -> tuple[CameraTokens, ...]:
        """Pooled tokens of every camera."""
        grid = self.image_size // self.patch // POOLED
        return tuple(CameraTokens(name=name, grid=grid) for name in names)

    def backbone(self, causal: bool) -> BackboneConfig:
        """Our configuration of the decoder."""
        return BackboneConfig(
            hidden=self.hidden,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.hidden // self.heads,
            ffn=self.ffn,
            rope_theta=self.rope_theta,
            rms_norm_eps=self.norm_eps,
            vocab_size=self.base_vocabulary + self.added_vocabulary,
            init_std=0.02,
            causal=causal,
        )

    def plan(self, begin: int) -> Plan:
        """Rules for vision and backbone; `begin`: the token before the first image."""
        rules = self._embedding_rules(begin)
        for index in range(self.layers):
            rules |= self._block_rules(index)
        rules |= self._tower_rules()
        rules |= self._connector_rules()
        name = self.prefix.replace(".", r"\.")
        unread = range(max(self.taken) + 1, self.tower_layers)
        resblock = rf"{name}vision_backbone\.image_vit\.transformer\.resblocks\.%d\..*"
        return Plan(
            rules=rules,
            left_out={
                rf"{name}transformer\.(ln_f|ff_out)\.weight": _READOUT,
                **{resblock % index: _UNREAD for index in unread},
            },
        )

    def _embedding_rules(self, begin: int) -> dict[str, Rule]:
        base = f"{self.prefix}transformer.wte.embedding", (self.base_vocabulary, self.hidden)
        added = f"{self.prefix}transformer.wte.new_embedding", (self.added_vocabulary, self.hidden)
        chosen = [START, END, PATCH, COLUMN]
        return {
            "backbone.embed_tokens.weight": Rule((base, added), lambda b, a: torch.cat((b, a))),
            "vision.frame": Rule(
                (base, added), lambda b, a: torch.cat((b[begin : begin + 1], a[chosen]))
            ),
        }

    def _block_rules(self, index: int) -> dict[str, Rule]:
        ours, theirs = f"backbone.layers.{index}.", f"{self.prefix}transformer.blocks.{index}."
        hidden, ffn = self.hidden, self.ffn
        kv = self.kv_heads * hidden // self.heads
        fused = hidden + 2 * kv
        rules = {
            "input_layernorm.weight": Rule(((f"{theirs}attn_norm.weight", (hidden,)),)),
            "post_attention_layernorm.weight": Rule(((f"{theirs}ff_norm.weight", (hidden,)),)),
            "self_attn.o_proj.weight": Rule(((f"{theirs}attn_out.weight", (hidden, hidden)),)),
            "mlp.down_proj.weight": Rule(((f"{theirs}ff_out.weight", (hidden, ffn)),)),
        }
        edges = {"q": (0, hidden), "k": (hidden, hidden + kv), "v": (hidden + kv, fused)}
        for letter, (start, stop) in edges.items():
            for kind, shape in (("weight", (fused, hidden)), ("bias", (fused,))):
                source = ((f"{theirs}att_proj.{kind}", shape),)
                rules[f"self_attn.{letter}_proj.{kind}"] = Rule(source, rows(start, stop))
        # The first half is multiplied, the second one goes through the gate's SiLU.
        source = ((f"{theirs}ff_proj.weight", (2 * ffn, hidden)),)
        rules["mlp.up_proj.weight"] = Rule(source, rows(0, ffn))
        rules["mlp.gate_proj.weight"] = Rule(source, rows(ffn, 2 * ffn))
        return {ours + name: rule for name, rule in rules.items()}

    def _tower_rules(self) -> dict[str, Rule]:
        ours, theirs = "vision.tower.", f"{self.prefix}vision_backbone.image_vit."
        width, patch = self.width, self.patch
        pixels = 3 * patch**2
        positions = 1 + (self.image_size // patch) ** 2
        rules = {
            "embeddings.class_embedding": Rule(((f"{theirs}class_embedding", (width,)),)),
            "embeddings.position_embedding.weight": Rule(
                ((f"{theirs}positional_embedding", (positions, width)),)
            ),
            # A patch lies there row by row, pixel by pixel, colours last.
            "embeddings.patch_embedding.weight": Rule(
                ((f"{theirs}patch_embedding.weight", (width, pixels)),),
                lambda x: x.view(width, patch, patch, 3).permute(0, 3, 1, 2),
            ),
        }
        for kind in ("weight", "bias"):
            rules[f"norm.{kind}"] = Rule(((f"{theirs}pre_ln.{kind}", (width,)),))
        names = {
            "self_attn.q_proj": ("attention.wq", width, width),
            "self_attn.k_proj": ("attention.wk", width, width),
            "self_attn.v_proj": ("attention.wv", width, width),
            "self_attn.out_proj": ("attention.wo", width, width),
            "mlp.fc1": ("feed_forward.w1", self.tower_ffn, width),
            "mlp.fc2": ("feed_forward.w2", width, self.tower_ffn),
        }
        for index in range(max(self.taken) + 1):
            block, own = f"{theirs}transformer.resblocks.{index}.", f"layers.{index}."
            for name, (other, out, into) in names.items():
                rules |= linear_rules(own + name, block + other, out, into)
            for name, other in (("layer_norm1", "attention_norm"), ("layer_norm2", "ffn_norm")):
                for kind in ("weight", "bias"):
                    source = ((f"{block}{other}.{kind}", (width,)),)
                    rules[f"{own}{name}.{kind}"] = Rule(source)
        return {ours + name: rule for name, rule in rules.items()}

    def _connector_rules(self) -> dict[str, Rule]:
        ours, theirs = "vision.pool.", f"{self.prefix}vision_backbone."
        width, ffn, hidden = self.width, self.connector_ffn, self.hidden
        joined = width * len(self.taken)
        rules: dict[str, Rule] = {}
        for name, other, into in (
            ("query", "wq", joined),
            ("key", "wk", joined),
            ("value", "wv", joined),
            ("out", "wo", width),
        ):
            rules |= linear_rules(name, f"{theirs}image_pooling_2d.{other}", width, into)
        for name, other, shape in (
            ("gate", "w1", (ffn, width)),
            ("down", "w2", (hidden, ffn)),
            ("up", "w3", (ffn, width)),
        ):
            source = ((f"{theirs}image_projector.{other}.weight", shape),)
            rules[f"{name}.weight"] = Rule(source)
        if self.padding:
            rules["padding"] = Rule(((f"{theirs}pad_embed", (2, joined)),))
        return {ours + name: rule for name, rule in rules.items()}


def linear_rules(ours: str, theirs: str, out: int, into: int) -> dict[str, Rule]:
    """Weight and bias of a linear layer under another name."""
    return {
        f"{ours}.weight": Rule(((f"{theirs}.weight", (out, into)),)),
        f"{ours}.bias": Rule(((f"{theirs}.bias", (out,)),)),
    }


def read_tokenizer(path: Path, base_vocabulary: int) -> tuple[Tokenizer, int]:
    """A Qwen2 tokenizer and the id of the token that begins every prefix.

    Raises:
        CheckpointError: it cannot be read or does not belong to the embedding table.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: {error}; give the tokenizer.json of the language model"
        ) from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        raise CheckpointError(f"{path}: model.vocab: missing; give one of `tokenizers`")
    tokenizer = Tokenizer.from_str(text)
    begin = tokenizer.token_to_id(BEGIN)
    if begin is None or begin >= base_vocabulary:
        raise CheckpointError(
            f"{path}: {BEGIN}: id {begin}, expected one below {base_vocabulary}; give the "
            "tokenizer of this language model"
        )
    return tokenizer, begin


def convert_molmo(
    source: Path, spec: RobotSpec, *, tokenizer_file: Path | None = None, crops: int = 1
) -> Conversion:
    """Molmo-7B-D's layout as Hugging Face has it, as vision and language without an action head.

    Args:
        source: config.json, tokenizer.json and safetensors.
        spec: names the cameras and dimensions of the network to train from it.
        crops: how often a camera's image stands in the prefix, 1 or 2.

    Raises:
        CheckpointError: a file is missing or broken, a tensor does not fit, or Molmo's variant
            cannot be represented exactly.
    """
    path = source / "config.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; give the model's directory") from error
    weights = ForeignWeights.safetensors(source)
    with refusing(path):
        trunk = _hugging_face_trunk(Fields(path, content), weights)
    tokenizer, begin = read_tokenizer(
        tokenizer_file or source / "tokenizer.json", trunk.base_vocabulary
    )
    with refusing(path):
        config = ModelConfig(
            vision=trunk.vision(crops, one_place=False),
            cameras=trunk.cameras([camera.name for camera in spec.cameras]),
            backbone=trunk.backbone(causal=True),
            expert=ExpertConfig(hidden=896, heads=8, ffn=4096, init_std=0.02),
            horizon=spec.policy.horizon,
            dim=spec.dim,
            exits=tuple(sorted({*range(1, trunk.layers, 2), trunk.layers - 1})),
            head="fm",
            prediction="velocity",
            num_steps=2,
            start="shared",
            renoise_tau=0.5,
            metric="l2",
            mlp_queries=spec.policy.horizon,
            flow_draws=1,
            insulate=False,
            parts=(),
        )
    return Conversion(
        kind="molmo",
        weights=weights,
        plan=trunk.plan(begin),
        config=config,
        tokenizer=InstructionTokenizer(
            tokenizer, Prompt(before=" User: ", after=" Assistant:", answer="")
        ),
        normaliser=unit_normaliser(spec.action_names),
    )


def unit_normaliser(names: Sequence[str]) -> Normaliser:
    """Leaves every value as it is."""
    ones = np.ones(len(names))
    return Normaliser(
        names=tuple(names),
        state_low_D=-ones,
        state_high_D=ones,
        action_low_D=-ones,
        action_high_D=ones,
    )


def _hugging_face_trunk(fields: Fields, weights: ForeignWeights) -> Trunk:
    for name, good, why, default in (
        ("attention_layer_norm", False, "queries and keys have no norm here", False),
        ("norm_after", False, "norms come before attention and MLP here", False),
        ("clip_qkv", None, "queries, keys and values are not clipped here", None),
        ("layer_norm_type", "rms", "the decoder's norms are RMS norms here", "rms"),
        ("use_position_ids", True, "keys are rotated before they are kept here", True),
        ("qkv_bias", True, "queries, keys and values have a bias here", False),
    ):
        fields.require(name, (good,), why, default)
    base = fields.number("vocab_size")
    fields.require("embedding_size", (base, None), "added tokens follow the table directly", None)
    fused = fields.number("intermediate_size")
    vit = "model.vision_backbone.image_vit."
    positions, width = _shape(weights, f"{vit}positional_embedding", 2)
    pixels = _shape(weights, f"{vit}patch_embedding.weight", 2)[1]
    grid, patch = round((positions - 1) ** 0.5), round((pixels / 3) ** 0.5)
    blocks = [
        int(name.removeprefix(f"{vit}transformer.resblocks.").split(".")[0])
        for name in weights.tensors
        if name.startswith(f"{vit}transformer.resblocks.")
    ]
    tower_layers = max(blocks, default=-1) + 1
    if tower_layers + min(_TAKEN) < 0:
        raise CheckpointError(
            f"{weights.directory / weights.files[0]}: the tower has {tower_layers} blocks, "
            f"expected at least {-min(_TAKEN)}"
        )
    return Trunk(
        prefix="model.",
        hidden=fields.number("hidden_size"),
        layers=fields.number("num_hidden_layers"),
        heads=fields.number("num_attention_heads"),
        kv_heads=fields.number("num_key_value_heads"),
        ffn=fused // 2,
        rope_theta=float(fields.value("rope_theta")),
        norm_eps=float(fields.value("layer_norm_eps")),
        base_vocabulary=base,
        added_vocabulary=_shape(weights, "model.transformer.wte.new_embedding", 2)[0],
        image_size=grid * patch,
        patch=patch,
        width=width,
        tower_layers=tower_layers,
        tower_heads=max(1, width // _TOWER_HEAD_DIM),
        tower_ffn=_shape(weights, f"{vit}transformer.resblocks.0.feed_forward.w1.weight", 2)[0],
        tower_norm_eps=_TOWER_NORM_EPS,
        activation=_TOWER_ACTIVATION,
        taken=tuple(tower_layers + index for index in _TAKEN),
        connector_ffn=_shape(weights, "model.vision_backbone.image_projector.w1.weight", 2)[0],
        padding=True,
    )


def _shape(weights: ForeignWeights, name: str, dimensions: int) -> Any:
    tensor = weights.tensors.get(name)
    if tensor is None or tensor.dim() != dimensions:
        found = "none" if tensor is None else f"shape {tuple(tensor.shape)}"
        raise CheckpointError(
            f"{weights.directory / weights.files[0]}: {name}: found {found}, expected a tensor of "
            f"{dimensions} dimensions; this is not Molmo's layout"
        )
    return tuple(tensor.shape)
