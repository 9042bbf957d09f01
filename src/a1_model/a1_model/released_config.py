"""Choices that hold weights published elsewhere: Molmo's connector, the public A1 code's heads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AttentionConnector:
    """Molmo's connector: windows pooled by attention, a gated MLP, and tokens around the rows.

    A camera becomes [start][g patches, column] x g [end]; the prefix begins with one more token.
    Images are padded to a square instead of cropped.

    Attributes:
        layers: blocks of the tower whose outputs are joined, in this order; 0 is the first.
        heads: of the pooling's attention.
        ffn: inner width of the gated MLP.
        padding: learned vectors mark patches that are padding, in whole or in part.
        crops: how often an image stands in the prefix; the second time all of it counts as padded
            in part (the public A1 code with the crop mode "overlap-and-resize-c2").
        one_place: every camera is written to the tokens of the first, so that only the last one
            is seen (the public A1 code with more than one camera).
    """

    layers: tuple[int, ...]
    heads: int
    ffn: int
    padding: bool
    crops: int
    one_place: bool

    def __post_init__(self) -> None:
        if self.crops not in (1, 2):
            raise ValueError(f"vision.connector.crops: {self.crops} is not 1 or 2")


@dataclass(frozen=True, kw_only=True)
class ReleasedExpert:
    """What the flow-matching head of the public A1 code does otherwise.

    Qwen2 layers with a rotation of their own, actions that see only earlier rows, one readout for
    all exits, no end-of-substep head.

    Attributes:
        width, state_width: dimensions of actions and state it was trained with; the real ones
            come first, then noise (actions) and zeros (state).
        rope_theta, rms_norm_eps: of its layers.
        noise_time: the time, 0 or 1, at which its input was pure noise. With 1 its time is
            1 - tau and its velocity points from the data to the noise.
        first_position: of the state token; None: the number of valid prefix tokens.
        clip_state: the normalised state is clipped to [-1, 1].
    """

    width: int
    state_width: int
    rope_theta: float
    rms_norm_eps: float
    noise_time: int
    first_position: int | None
    clip_state: bool

    def __post_init__(self) -> None:
        if self.noise_time not in (0, 1):
            raise ValueError(f"expert.released.noise_time: {self.noise_time} is not 0 or 1")


@dataclass(frozen=True, kw_only=True)
class ReleasedQueries:
    """What the MLP head of the public A1 code does otherwise: a token for every number.

    The tokens [state][time][start][H rows of `width`][end] follow the text; a row is read from
    its `width` hidden states by one residual MLP that serves all exits.

    Attributes:
        width: numbers of a row, the real ones first.
        state_width: dimensions of the state, padded with zeros.
        final_norm: the backbone's last norm comes before the readout (full depth only).
        clip_state: the normalised state is clipped to [-1, 1].
    """

    width: int
    state_width: int
    final_norm: bool
    clip_state: bool
