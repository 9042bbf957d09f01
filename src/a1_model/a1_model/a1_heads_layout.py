"""The two action heads of the public A1 code: their tensors, and rules that make ours of them.

Source of names and meanings: github.com/ATeam-Research/A1 (its modules `vla.action_heads`,
`vla.projectors`, `vla.affordvla_early_exit`, `data.collator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from a1_model.config import ExpertConfig
from a1_model.foreign import Fields, ForeignWeights, Plan, Rule
from a1_model.molmo_layout import Trunk, linear_rules
from a1_model.released_config import ReleasedExpert, ReleasedQueries

# Rows of the added vocabulary behind Molmo's five, in the order of A1's list.
_ACTION_START, _ACTION_END, _MOBILE, _TIME = 5, 6, 10, 12
_RIGHT, _LEFT = range(13, 20), range(20, 27)

# What the expert's Qwen2 configuration does not state and its library assumes.
_EXPERT_THETA, _EXPERT_EPS = 10_000.0, 1e-6
_MLP_ROWS = 8  # rows the early-exit code's MLP head assumes, whatever the configuration says

_MASKED = "the state's token in the prefix: it is written to a masked place and read by nothing"
_NO_WORDS = "readout of the expert's vocabulary: no words are written"
_UNREACHED = "expert layers behind the last exit"


@dataclass(frozen=True, kw_only=True)
class HeadParts:
    """What depends on the head."""

    head: str
    plan: Plan
    exits: tuple[int, ...]
    expert: ExpertConfig
    mlp: ReleasedQueries | None
    causal: bool


def flow_head(
    model: Fields,
    data: Fields,
    weights: ForeignWeights,
    trunk: Trunk,
    blocks: Sequence[int],
    *,
    noise_time: int,
    clip_state: bool,
) -> HeadParts:
    """The flow-matching head.

    Args:
        blocks: exits of their code.
        noise_time, clip_state: see `ReleasedExpert`.
    """
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
    query = weights.tensors.get("action_head.qwen2.model.layers.0.self_attn.q_proj.weight")
    # The library may have been given a head size of its own: the tensors tell.
    if hidden != heads * head_dim and (query is None or query.shape[0] != heads * head_dim):
        raise model.refusal(
            "action_head_flow_matching_dim",
            hidden,
            f"{heads} heads of {hidden // heads} cannot read the backbone's keys of {head_dim}",
        )
    position = data.number("sequence_length") if data.value("pad", None) == "to_max" else None
    rules = _expert_rules(hidden, ffn, heads * head_dim, trunk.kv_heads * head_dim, exits[-1] + 1)
    rules |= linear_rules("expert.state_in", "action_head.state_proj", hidden, state)
    rules |= linear_rules("expert.action_in", "action_head.action_in_proj", hidden, width)
    rules |= linear_rules("expert.time_in", "action_head.action_time_in", hidden, 2 * hidden)
    rules |= linear_rules("expert.time_out", "action_head.action_time_out", hidden, hidden)
    rules |= _readout_rules("expert.readout.", "action_head.action_out.", hidden, hidden, width)
    behind = r"action_head\.qwen2\.model\.layers\.%d\..*"
    return HeadParts(
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
                noise_time=noise_time,
                first_position=position,
                clip_state=clip_state,
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


def mlp_head(
    model: Fields,
    trunk: Trunk,
    blocks: Sequence[int],
    *,
    before: bool,
    early: bool,
    clip_state: bool,
) -> HeadParts:
    """The MLP head.

    Args:
        blocks: exits of their code.
        before: an exit reads the hidden state before its block.
        early: it was trained with early exit; otherwise on the normed end of full depth.
        clip_state: see `ReleasedQueries`.
    """
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
    if early and before:
        blocks = [block - 1 for block in blocks]
    hidden = trunk.hidden
    if trunk.added_vocabulary <= max(_LEFT):
        raise model.refusal(
            "additional_vocab_size", trunk.added_vocabulary, "it has no tokens for actions"
        )
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
    return HeadParts(
        head="mlp",
        plan=Plan(rules=rules, left_out={}),
        exits=tuple(blocks),
        expert=ExpertConfig(hidden=hidden, heads=1, ffn=hidden, init_std=0.02),
        mlp=ReleasedQueries(
            width=width, state_width=state, final_norm=not early, clip_state=clip_state
        ),
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
