"""The directory of a released A1 checkpoint: model.pt and config.yaml, and its conversion.

Source of names and meanings: github.com/ATeam-Research/A1 (its modules `model`, `image_vit`,
`vla.action_heads`, `vla.affordvla_early_exit`, `data.model_preprocessor`, `data.collator`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a1_core.errors import CheckpointError
from a1_core.normaliser import DEGENERATE, Normaliser
from a1_core.spec import RobotSpec
from a1_core.strict_yaml import read_mapping
from a1_model.config import ExpertConfig, ModelConfig
from a1_model.foreign import Conversion, Fields, ForeignWeights, Plan, Rule, refusing
from a1_model.molmo_layout import (
    POOLED,
    Trunk,
    linear_rules,
    read_tokenizer,
    unit_normaliser,
)
from a1_model.released_config import ReleasedExpert, ReleasedQueries
from a1_model.tokenizer import InstructionTokenizer, Prompt

FEATURES = ("before", "after")
CAMERA_PLACES = ("own", "first")
NORMALISATIONS = ("q99", "bounds", "normal", "none")

# Rows of the added vocabulary behind Molmo's five, in the order of A1's list.
_ACTION_START, _ACTION_END, _MOBILE, _TIME = 5, 6, 10, 12
_RIGHT, _LEFT = range(13, 20), range(20, 27)

# What the expert's Qwen2 configuration does not state and its library assumes.
_EXPERT_THETA, _EXPERT_EPS = 10_000.0, 1e-6
_MLP_ROWS = 8  # rows the early-exit code's MLP head assumes, whatever the configuration says

_CROPS = {"resize": 1, "overlap-and-resize-c2": 2}
_MASKED = "the state's token in the prefix: it is written to a masked place and read by nothing"
_NO_WORDS = "readout of the expert's vocabulary: no words are written"
_UNREACHED = "expert layers behind the last exit"


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
    trunk = _trunk(model)
    one_place = _one_place(path, data, spec, choices)
    tokenizer, begin = read_tokenizer(
        choices.tokenizer_file or source / "tokenizer.json", trunk.base_vocabulary
    )
    normaliser, clip = _normaliser(source, spec, choices)
    weights = ForeignWeights.pickled(source, "model.pt")
    early = bool(fields.value("early_exit", False))
    blocks = _reference_exits(trunk.layers, choices.exit_interval) if early else [trunk.layers - 1]
    plan = trunk.plan(begin)
    if head == "flow_matching":
        parts = _flow(model, data, weights, trunk, choices, clip, blocks)
    else:
        parts = _mlp(model, trunk, choices, clip, blocks, early)
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


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What depends on the head."""

    head: str
    plan: Plan
    exits: tuple[int, ...]
    expert: ExpertConfig
    mlp: ReleasedQueries | None
    causal: bool


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


def _flow(
    model: Fields,
    data: Fields,
    weights: ForeignWeights,
    trunk: Trunk,
    choices: A1Choices,
    clip: bool,
    blocks: Sequence[int],
) -> _Parts:
    model.require("use_proprio", (True,), "the head has a state token here")
    model.require(
        "action_head_flow_matching_pvf_function",
        ("2d_attn_mask",),
        "the public code never masks the suffix otherwise",
        "2d_attn_mask",
    )
    depth = model.number("action_head_flow_matching_layers")
    # Deeper exits run no more expert layers than there are: they say the same.
    exits = tuple(sorted({min(block, depth - 1) for block in blocks}))
    hidden = model.number("action_head_flow_matching_dim")
    ffn = model.number("action_head_flow_matching_intermediate_size")
    heads = model.number("action_head_flow_matching_heads")
    width, state = model.number("fixed_action_dim"), model.number("proprio_dim")
    head_dim = trunk.hidden // trunk.heads
    if hidden != heads * head_dim:
        # The library may have been given another head size: the tensors decide.
        query = weights.tensors.get("action_head.qwen2.model.layers.0.self_attn.q_proj.weight")
        found = 0 if query is None else query.shape[0]
        if found == 0 or found % head_dim:
            raise model.refusal(
                "action_head_flow_matching_dim",
                hidden,
                f"{heads} heads of {hidden // heads} cannot read the backbone's keys of {head_dim}",
            )
        heads = found // head_dim
    position = data.number("sequence_length") if data.value("pad", None) == "to_max" else None
    rules = _expert_rules(hidden, ffn, heads * head_dim, trunk.kv_heads * head_dim, exits[-1] + 1)
    rules |= linear_rules("expert.state_in", "action_head.state_proj", hidden, state)
    rules |= linear_rules("expert.action_in", "action_head.action_in_proj", hidden, width)
    rules |= linear_rules("expert.time_in", "action_head.action_time_in", hidden, 2 * hidden)
    rules |= linear_rules("expert.time_out", "action_head.action_time_out", hidden, hidden)
    rules |= _readout_rules("expert.readout.", "action_head.action_out.", hidden, hidden, width)
    behind = r"action_head\.qwen2\.model\.layers\.%d\..*"
    return _Parts(
        head="fm",
        plan=Plan(
            rules=rules,
            left_out={
                r"action_head\.qwen2\.lm_head\.weight": _NO_WORDS,
                r"proprio_projector\..*": _MASKED,
                **{behind % index: _UNREACHED for index in range(exits[-1] + 1, depth)},
            },
        ),
        exits=exits,
        expert=ExpertConfig(
            hidden=hidden,
            heads=heads,
            ffn=ffn,
            init_std=0.02,
            released=ReleasedExpert(
                width=width,
                state_width=state,
                rope_theta=_EXPERT_THETA,
                rms_norm_eps=_EXPERT_EPS,
                noise_time=choices.noise_time,
                first_position=position,
                clip_state=clip,
            ),
        ),
        mlp=None,
        causal=True,
    )


def _expert_rules(hidden: int, ffn: int, query: int, kv: int, layers: int) -> dict[str, Rule]:
    rules = {"expert.norm.weight": Rule((("action_head.qwen2.model.norm.weight", (hidden,)),))}
    for index in range(layers):
        ours, theirs = f"expert.layers.{index}.", f"action_head.qwen2.model.layers.{index}."
        for letter, out in (("q", query), ("k", kv), ("v", kv)):
            name = f"self_attn.{letter}_proj"
            rules |= linear_rules(ours + name, theirs + name, out, hidden)
        for name, shape in (
            ("self_attn.o_proj", (hidden, query)),
            ("mlp.gate_proj", (ffn, hidden)),
            ("mlp.up_proj", (ffn, hidden)),
            ("mlp.down_proj", (hidden, ffn)),
            ("input_layernorm", (hidden,)),
            ("post_attention_layernorm", (hidden,)),
        ):
            rules[f"{ours}{name}.weight"] = Rule(((f"{theirs}{name}.weight", shape),))
    return rules


def _readout_rules(ours: str, theirs: str, width: int, hidden: int, out: int) -> dict[str, Rule]:
    rules = linear_rules(f"{ours}linear_in", f"{theirs}fc1", hidden, width)
    rules |= linear_rules(f"{ours}linear_out", f"{theirs}fc2", out, hidden)
    norms = [("norm_in", "layer_norm1", width), ("norm_out", "layer_norm2", hidden)]
    for index in range(2):
        block = f"{theirs}mlp_resnet_blocks.{index}.ffn."
        rules |= linear_rules(f"{ours}linears.{index}", f"{block}1", hidden, hidden)
        norms.append((f"norms.{index}", f"mlp_resnet_blocks.{index}.ffn.0", hidden))
    for name, other, size in norms:
        for kind in ("weight", "bias"):
            rules[f"{ours}{name}.{kind}"] = Rule(((f"{theirs}{other}.{kind}", (size,)),))
    return rules


def _mlp(
    model: Fields,
    trunk: Trunk,
    choices: A1Choices,
    clip: bool,
    blocks: Sequence[int],
    early: bool,
) -> _Parts:
    model.require("use_proprio", (True,), "the queries begin with the state here")
    width, state = model.number("action_dim"), model.number("proprio_dim")
    model.require("fixed_action_dim", (width,), "a row has one token a number here")
    numbers = _number_tokens(model)
    if len(numbers) != width:
        raise model.refusal(
            "action_dim", width, f"its code makes {len(numbers)} tokens a row for these arms"
        )
    if early and model.number("num_actions_chunk") != _MLP_ROWS:
        raise model.refusal(
            "num_actions_chunk",
            model.number("num_actions_chunk"),
            f"with early exit its head takes {_MLP_ROWS} rows",
        )
    if early and choices.features == "before":
        blocks = [block - 1 for block in blocks]
    hidden = trunk.hidden
    added = ("transformer.wte.new_embedding", (trunk.added_vocabulary, hidden))
    marks = [_TIME, _ACTION_START, _ACTION_END]
    rules = {
        "query_head.marks": Rule((added,), lambda x: x[marks]),
        "query_head.numbers": Rule((added,), lambda x: x[numbers]),
    }
    rules |= linear_rules("query_head.state_in", "proprio_projector.fc1", hidden, state)
    rules |= linear_rules("query_head.state_out", "proprio_projector.fc2", hidden, hidden)
    readout = "query_head.readout.", "action_head.model."
    rules |= _readout_rules(*readout, width * hidden, hidden, width)
    if not early:
        rules["query_head.norm.weight"] = Rule((("transformer.ln_f.weight", (hidden,)),))
    return _Parts(
        head="mlp",
        plan=Plan(rules=rules, left_out={}),
        exits=tuple(blocks),
        expert=ExpertConfig(hidden=hidden, heads=1, ffn=hidden, init_std=0.02),
        mlp=ReleasedQueries(width=width, state_width=state, final_norm=not early, clip_state=clip),
        causal=bool(model.value("llm_causal_attention", False)),
    )


def _number_tokens(model: Fields) -> list[int]:
    """Rows of the added vocabulary that stand for the numbers of one action row."""

    def arm(tokens: range, count: int) -> list[int]:
        return [*tokens, tokens[-1]][: max(count, len(tokens))]

    numbers = arm(_RIGHT, model.number("right_end_effector_dim"))
    if model.value("action_use_left_eef", False):
        numbers += arm(_LEFT, model.number("left_end_effector_dim"))
    if model.value("action_use_mobile_base", False):
        numbers += [_MOBILE] * model.number("mobile_base_dim")
    return numbers


def _normaliser(source: Path, spec: RobotSpec, choices: A1Choices) -> tuple[Normaliser, bool]:
    """The data set's bounds for our names, and whether states are clipped to them."""
    if choices.normalisation == "none":
        return unit_normaliser(spec.action_names), False
    path = source / "dataset_statistics.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: {error}; without it convert with the normalisation none"
        ) from error
    fields = Fields(path, content)
    name = choices.statistics
    if name is None:
        if len(content) != 1:
            raise CheckpointError(f"{path}: holds {sorted(content)}; choose one of them")
        name = next(iter(content))
    chosen = fields.section(name)
    bounds: dict[str, NDArray[np.float64]] = {}
    for kind, keys in (("state", ("proprio", "state")), ("action", ("action", "actions"))):
        key = next((key for key in keys if chosen.value(key, None) is not None), keys[0])
        low_D, high_D = _bounds(chosen.section(key), spec.dim, choices.normalisation)
        bounds |= {f"{kind}_low_D": low_D, f"{kind}_high_D": high_D}
    return Normaliser(names=spec.action_names, **bounds), choices.normalisation != "normal"


def _bounds(
    fields: Fields, dim: int, normalisation: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds under which our affine map is theirs, down to the 1e-8 they add to every range."""

    def column(name: str, *default: Any) -> NDArray[Any]:
        values = np.asarray(fields.value(name, *default))
        if values.shape != (dim,):
            raise fields.refusal(
                name, values.tolist(), f"the robot has {dim} dimensions, in states and in actions"
            )
        return values

    ones = np.ones(dim)
    mask_D = column("mask", ones).astype(bool)
    if normalisation == "normal":
        mean_D, std_D = column("mean"), column("std") + 1e-8
        low_D, high_D = mean_D - std_D, mean_D + std_D
    else:
        names = ("q01", "q99") if normalisation == "q99" else ("min", "max")
        low_D, high_D = (column(name).astype(np.float64) for name in names)
        high_D = high_D + 1e-8
        # Ours leaves a range without information unscaled, theirs divides by the 1e-8.
        while (narrow_D := (high_D - low_D) / 2 < DEGENERATE / 2).any():
            high_D = np.where(narrow_D, np.nextafter(high_D, np.inf), high_D)
    return np.where(mask_D, low_D, -ones), np.where(mask_D, high_D, ones)
