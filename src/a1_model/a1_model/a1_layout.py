"""The directory of a released A1 checkpoint: model.pt and config.yaml, and its conversion.

Source of names and meanings: github.com/ATeam-Research/A1 (its modules `model`, `image_vit`,
`vla.action_heads`, `vla.affordvla_early_exit`, `data.model_preprocessor`, `data.collator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from a1_core.errors import CheckpointError
from a1_core.spec import RobotSpec
from a1_core.strict_yaml import read_mapping
from a1_model.a1_heads_layout import flow_head, mlp_head
from a1_model.a1_statistics import NORMALISATIONS, read_statistics
from a1_model.config import ModelConfig
from a1_model.foreign import Conversion, Fields, ForeignWeights, Plan, refusing
from a1_model.molmo_layout import POOLED, Trunk, read_tokenizer
from a1_model.tokenizer import InstructionTokenizer, Prompt

FEATURES = ("before", "after")
CAMERA_PLACES = ("own", "first")

_CROPS = {"resize": 1, "overlap-and-resize-c2": 2}


@dataclass(frozen=True, kw_only=True)
class A1Choices:
    """What the directory does not say.

    Attributes:
        noise_time: the time that means noise to the flow-matching head; 1 in the released ones.
        features: an MLP exit at block i was trained on the hidden state "before" it (the
            released ones) or "after" it.
        cameras: "own" or "first": whose tokens a camera is written to, if there are several.
            None refuses: the public code writes all to the first one's, and what an assignment
            to repeated places leaves there is undefined.
        normalisation: of states and actions: "q99", "bounds", "normal" or "none".
        statistics: name of the data set in dataset_statistics.json; None: the only one.
        tokenizer_file: of Qwen2; None: tokenizer.json in the directory.
        exit_interval: blocks between two exits.
    """

    noise_time: int = 1
    features: str = "before"
    cameras: str | None = None
    normalisation: str = "q99"
    statistics: str | None = None
    tokenizer_file: Path | None = None
    exit_interval: int = 2

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("noise_time", self.noise_time, (0, 1)),
            ("features", self.features, FEATURES),
            ("cameras", self.cameras, (None, *CAMERA_PLACES)),
            ("normalisation", self.normalisation, NORMALISATIONS),
        ):
            if value not in allowed:
                raise ValueError(f"{name}: {value!r} is not one of {allowed}")
        if self.exit_interval < 1:
            raise ValueError(f"exit_interval: {self.exit_interval} blocks; give at least 1")


def convert_a1(source: Path, spec: RobotSpec, choices: A1Choices) -> Conversion:
    """A released A1 policy for the robot of `spec`.

    Raises:
        CheckpointError: a file is missing or broken, a tensor does not fit, the checkpoint is
            for another robot, or something in it cannot be represented exactly.
    """
    path = source / "config.yaml"
    fields = Fields(path, read_mapping(path, CheckpointError))
    model, data = fields.section("model"), fields.section("data")
    head = model.require(
        "action_head", ("flow_matching", "l1_regression"), "this network has no such head"
    )
    rows_ = model.number("num_actions_chunk")
    if rows_ != spec.policy.horizon:
        raise CheckpointError(
            f"{path}: model.num_actions_chunk: {rows_}, the robot spec {spec.path} has a horizon "
            f"of {spec.policy.horizon}; they have to be equal"
        )
    with refusing(path):
        trunk = _trunk(model)
    one_place = _one_place(path, data, spec, choices)
    tokenizer, begin = read_tokenizer(
        choices.tokenizer_file or source / "tokenizer.json", trunk.base_vocabulary
    )
    normaliser, clip = read_statistics(source, spec, choices.normalisation, choices.statistics)
    weights = ForeignWeights.pickled(source, "model.pt")
    early = bool(fields.value("early_exit", False))
    blocks = _reference_exits(trunk.layers, choices.exit_interval) if early else [trunk.layers - 1]
    plan = trunk.plan(begin)
    if head == "flow_matching":
        parts = flow_head(
            model, data, weights, trunk, blocks, noise_time=choices.noise_time, clip_state=clip
        )
    else:
        before = choices.features == "before"
        parts = mlp_head(model, trunk, blocks, before=before, early=early, clip_state=clip)
    crops = model.require("crop_mode", tuple(_CROPS), "images are shown whole here")
    with refusing(path):
        config = ModelConfig(
            vision=trunk.vision(_CROPS[crops], one_place),
            cameras=trunk.cameras([camera.name for camera in spec.cameras]),
            backbone=trunk.backbone(parts.causal),
            expert=parts.expert,
            horizon=rows_,
            dim=spec.dim,
            exits=parts.exits,
            head=parts.head,
            prediction="velocity",
            num_steps=model.number("num_diffusion_inference_steps"),
            start="cold",
            renoise_tau=0.5,
            metric="l2",
            mlp_queries=rows_,
            flow_draws=1,
            insulate=False,
            parts=(parts.head,),
            released_mlp=parts.mlp,
        )
    return Conversion(
        kind="a1",
        weights=weights,
        plan=Plan(
            rules={**plan.rules, **parts.plan.rules},
            left_out={**parts.plan.left_out, **plan.left_out},
        ),
        config=config,
        tokenizer=InstructionTokenizer(tokenizer, _prompt(model)),
        normaliser=normaliser,
    )


def _trunk(model: Fields) -> Trunk:
    for name, good, why, default in (
        ("block_type", "sequential", "blocks have fused projections here", "sequential"),
        ("block_group_size", 1, "blocks are not grouped here", 1),
        ("activation_type", "swiglu", "the decoder's MLP is gated by SiLU here", "swiglu"),
        ("layer_norm_type", "rms", "the decoder's norms are RMS norms here", "default"),
        ("layer_norm_with_affine", True, "norms have weights here", True),
        ("attention_layer_norm", False, "queries and keys have no norm here", False),
        ("norm_after", False, "norms come before attention and MLP here", False),
        ("include_bias", False, "only queries, keys and values have a bias here", True),
        ("qkv_bias", True, "queries, keys and values have a bias here", False),
        ("clip_qkv", None, "queries, keys and values are not clipped here", None),
        ("head_dim", None, "heads share the width evenly here", None),
        ("rope", True, "positions are rotations here", False),
        ("use_position_ids", True, "keys are rotated before they are kept here", True),
        ("normalize_input_embeds", False, "embeddings are not scaled here", False),
        ("pad_tokenizer", True, "added tokens follow the embedding table here", True),
        ("image_projector", "mlp", "the connector is one gated MLP here", "mlp"),
        ("image_pooling_2d", "attention_meanq", "a window's mean is the query here", "attention"),
        ("image_pooling_h", POOLED, "windows are two patches high here", POOLED),
        ("image_pooling_w", POOLED, "windows are two patches wide here", POOLED),
        ("use_col_tokens", True, "rows of patches end with a token here", True),
    ):
        model.require(name, (good,), why, default)
    model.require("bias_for_layer_norm", (False, None), "norms have no bias here", None)
    if model.value("pad_value", 0) != 0:
        raise model.refusal("pad_value", model.value("pad_value"), "padding is black here")
    padding = model.require(
        "image_padding_embed", ("pad_and_partial_pad", None), "padding is marked otherwise", None
    )
    base = model.number("vocab_size")
    model.require("embedding_size", (base, None), "added tokens follow the table directly")
    tower = model.section("vision_backbone")
    tower.require("image_model_type", ("openai",), "the tower is CLIP's here")
    tower.require("resize_mode", ("default",), "images are resized otherwise", "default")
    size = tower.value("image_default_input_size")
    patch, width = tower.number("image_patch_size"), tower.number("image_emb_dim")
    heads, depth = tower.number("image_num_heads"), tower.number("image_num_layers")
    tower.require("image_num_key_value_heads", (heads,), "each head has its own keys here", heads)
    tower.require("image_head_dim", (width // heads,), "heads share the width evenly here")
    side = size[0] if isinstance(size, Sequence) and len(size) == 2 else None
    if side is None or size[0] != size[1] or side % (patch * POOLED):
        raise tower.refusal("image_default_input_size", size, "images are square pooled grids here")
    tower.require("image_num_pos", (1 + (side // patch) ** 2,), "positions are not stretched here")
    taken = model.value("vit_layers")
    if not isinstance(taken, list) or not taken or not set(taken) <= set(range(-depth, depth)):
        raise model.refusal("vit_layers", taken, f"the tower has {depth} blocks")
    hidden, eps = model.number("d_model"), model.value("layer_norm_eps")
    fused = model.value("mlp_hidden_size") or model.number("mlp_ratio") * hidden
    decoder_heads = model.number("n_heads")
    return Trunk(
        prefix="",
        hidden=hidden,
        layers=model.number("n_layers"),
        heads=decoder_heads,
        kv_heads=model.value("n_kv_heads") or decoder_heads,
        ffn=fused // 2,
        rope_theta=float(model.value("rope_theta")),
        norm_eps=1e-5 if eps is None else float(eps),
        base_vocabulary=base,
        added_vocabulary=model.number("additional_vocab_size"),
        image_size=side,
        patch=patch,
        width=width,
        tower_layers=depth,
        tower_heads=heads,
        tower_ffn=tower.number("image_mlp_dim"),
        tower_norm_eps=float(tower.value("image_norm_eps", 1e-5)),
        activation=tower.require(
            "image_mlp_activations",
            ("quick_gelu", "gelu", "gelu_pytorch_tanh"),
            "the tower knows no such activation",
        ),
        taken=tuple(index % depth for index in taken),
        connector_ffn=fused // 2,
        padding=padding is not None,
    )


def _one_place(path: Path, data: Fields, spec: RobotSpec, choices: A1Choices) -> bool:
    several = len(spec.cameras) > 1
    if data.value("use_wrist_image", several) is not several:
        raise CheckpointError(
            f"{path}: data.use_wrist_image: {not several}, the robot spec {spec.path} has "
            f"{len(spec.cameras)} cameras; give the robot it was trained for"
        )
    if several and choices.cameras is None:
        raise CheckpointError(
            f"{path}: cameras: the public code writes the features of all {len(spec.cameras)} "
            "cameras to the tokens of the first one, and which of them stay there is undefined; "
            "choose: own (each to its own tokens, as the paper has it) or first (the last camera "
            "stays)"
        )
    return several and choices.cameras == "first"


def _prompt(model: Fields) -> Prompt:
    kind = model.value("system_prompt_kind", "style")
    prefixes = {"none": "", None: "", "demo_or_style": "", "style": "action: "}
    if kind not in prefixes:
        raise model.refusal("system_prompt_kind", kind, "the prompt would be drawn by chance")
    role = model.require("message_formatting", ("role", "none", None), "unknown", "none") == "role"
    model.require("prompt_type", ("none", "uber_model"), "the prompt has no such template", "none")
    space = " " if model.value("always_start_with_space", True) else ""
    return Prompt(
        before=space + ("User: " if role else "") + prefixes[kind],
        after=" Assistant:" if role else "",
        answer=" Action",
    )


def _reference_exits(layers: int, interval: int) -> list[int]:
    return sorted({*range(1, layers, interval), layers - 1})
