"""What a network is: sizes as data, JSON in and out, and the presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from a1_core.exit_rule import parse_metric
from a1_model.plain import from_plain, one_of, to_plain
from a1_model.released_config import AttentionConnector, ReleasedExpert, ReleasedQueries
from a1_model.vision_config import CameraTokens, VisionConfig

HEADS = ("fm", "mlp")
PREDICTIONS = ("velocity", "data")
PARTS = ("fm", "mlp", "point", "end")
MORE_PARTS = ("fast",)
STARTS = ("cold", "shared", "direct", "renoise")
SIGNALS = ("fm", "mlp", "probe")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The Qwen2 decoder over [cameras][text].

    Attributes:
        causal: a token sees those before it; otherwise every token sees all (the public A1 code
            with the MLP head).
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    rope_theta: float
    rms_norm_eps: float
    vocab_size: int
    init_std: float
    causal: bool = True

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(
                f"backbone: heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})"
            )


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """The Qwen3 layers of the flow-matching head; KV heads, head_dim, theta: the backbone's."""

    hidden: int
    heads: int
    ffn: int
    init_std: float
    released: ReleasedExpert | None = None


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One network and how its head is integrated.

    Attributes:
        cameras: in model order.
        horizon: rows H of a chunk.
        dim: real action and state dimensions D.
        exits: block indices, ascending; an exit reads blocks 0..index.
        head: the head a policy uses by default.
        prediction: what the flow-matching readout says, from which the velocity follows:
            "velocity" itself (the paper) or the "data" it leads to (see `velocity_towards`).
        num_steps: Euler steps of the flow-matching head.
        start: where exit k + 1 starts ("cold", "shared", "direct", "renoise").
        renoise_tau: tau at which the "renoise" start begins.
        metric: discrepancy between exits.
        mlp_queries: action query tokens of the MLP head; divides the horizon.
        flow_draws: (tau, noise) draws per sample and training pass.
        insulate: no gradient from the flow-matching loss into the backbone.
        parts: readouts the network has: the heads "fm" and "mlp", "point", "end" of substep, and
            "fast", the next action token (training only).
        released_mlp: the MLP head is that of the public A1 code.
        fast_vocab: action tokens that the part "fast" knows.
        signal: what is compared between exits: the chunks of the head "fm" or "mlp", or "probe",
            the flow-matching head's one-step estimates. None: the acting head's own chunks.
    """

    vision: VisionConfig
    cameras: tuple[CameraTokens, ...]
    backbone: BackboneConfig
    expert: ExpertConfig
    horizon: int
    dim: int
    exits: tuple[int, ...]
    head: str
    prediction: str
    num_steps: int
    start: str
    renoise_tau: float
    metric: str
    mlp_queries: int
    flow_draws: int
    insulate: bool
    parts: tuple[str, ...] = PARTS
    released_mlp: ReleasedQueries | None = None
    fast_vocab: int = 0
    signal: str | None = None

    def __post_init__(self) -> None:
        one_of("head", self.head, HEADS)
        one_of("prediction", self.prediction, PREDICTIONS)
        for part in self.parts:
            one_of("parts", part, PARTS + MORE_PARTS)
        if ("fast" in self.parts) is not (self.fast_vocab > 0):
            raise ValueError(f'fast_vocab: {self.fast_vocab}; the part "fast" has tokens, no other')
        if self.expert.released is not None and self.prediction != "velocity":
            raise ValueError(f"prediction: {self.prediction}, but expert.released says velocities")
        if "point" in self.parts and self.vision.connector is not None:
            raise ValueError('parts: "point" needs image tokens alone, not vision.connector')
        one_of("start", self.start, STARTS)
        parse_metric(self.metric)
        for name in ("horizon", "dim", "num_steps", "mlp_queries", "flow_draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)}; give at least 1")
        if not 0.0 <= self.renoise_tau < 1.0:
            raise ValueError(f"renoise_tau: {self.renoise_tau}; give 0 or more, and less than 1")
        if self.signal is not None:
            one_of("signal", self.signal, SIGNALS)
            check_signal(self.signal, self.head, self.start)
        if list(self.exits) != sorted(set(self.exits)) or not self.exits:
            raise ValueError(f"exits: must ascend, got {self.exits}")
        if self.exits[0] < 0 or self.exits[-1] >= self.backbone.layers:
            raise ValueError(f"exits: must lie in 0..{self.backbone.layers - 1}, got {self.exits}")
        if self.horizon % self.mlp_queries:
            raise ValueError(
                f"mlp_queries: {self.mlp_queries} does not divide the horizon {self.horizon}"
            )
        if "fm" in self.parts and self.expert.heads % self.backbone.kv_heads:
            raise ValueError(
                f"expert.heads: {self.expert.heads} is no multiple of the backbone's "
                f"{self.backbone.kv_heads} kv_heads"
            )
        for camera in self.cameras:
            if self.vision.grid % camera.grid:
                raise ValueError(
                    f"cameras.{camera.name}.grid: {camera.grid} does not divide the tower's "
                    f"grid {self.vision.grid}"
                )
        for name, released in (
            ("expert.released", self.expert.released),
            ("released_mlp", self.released_mlp),
        ):
            widths = (released.width, released.state_width) if released is not None else (self.dim,)
            if min(widths) < self.dim:
                raise ValueError(f"{name}: its widths {widths} are less than dim {self.dim}")

    @property
    def front_grid(self) -> int:
        """Tokens along one side of the first camera."""
        return self.cameras[0].grid

    @property
    def image_tokens(self) -> int:
        """Prefix tokens of all cameras."""
        connector = self.vision.connector
        if connector is None:
            return sum(camera.grid**2 for camera in self.cameras)
        return 1 + connector.crops * sum(
            camera.grid * (camera.grid + 1) + 2 for camera in self.cameras
        )

    @property
    def noise_dim(self) -> int:
        """Dimensions the flow-matching head integrates; the first `dim` are real."""
        released = self.expert.released
        return self.dim if released is None else released.width

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings; what has a default and is equal to it is left out."""
        return to_plain(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_json`.

        Raises:
            ValueError: a key is missing or unknown, or a value is impossible.
        """
        return from_plain(content, cls, _NESTED)


def check_signal(signal: str, head: str, start: str) -> None:
    """ValueError when exits cannot be compared by `signal` while `head` acts."""
    if signal == head:
        return
    if head != "fm":
        raise ValueError(f"signal: {signal}, but the head {head} is compared by its own chunks")
    if start != "shared":
        raise ValueError(
            f"signal: {signal}, but with the start {start} a chunk depends on its exit's noise or "
            'on the chunk before; choose the start "shared"'
        )


_NESTED: dict[str, type] = {
    "vision": VisionConfig,
    "cameras": CameraTokens,
    "backbone": BackboneConfig,
    "expert": ExpertConfig,
    "vision.connector": AttentionConnector,
    "expert.released": ReleasedExpert,
    "released_mlp": ReleasedQueries,
}


def tiny(*, vocab_size: int, **changes: Any) -> ModelConfig:
    """The demo and test network: about two million weights, trained on a CPU."""
    config = ModelConfig(
        vision=VisionConfig(
            kind="convnext",
            image_size=128,
            patch_size=4,
            hidden_sizes=(24, 48, 96),
            depths=(1, 1, 1),
            heads=0,
            ffn=0,
            activation="relu",
            frozen=False,
        ),
        cameras=(CameraTokens(name="front", grid=8), CameraTokens(name="wrist", grid=4)),
        backbone=BackboneConfig(
            hidden=96,
            layers=12,
            heads=3,
            kv_heads=1,
            head_dim=32,
            ffn=192,
            rope_theta=10_000.0,
            rms_norm_eps=1e-6,
            vocab_size=vocab_size,
            init_std=0.08,
        ),
        expert=ExpertConfig(hidden=96, heads=3, ffn=192, init_std=0.08),
        horizon=16,
        dim=8,
        exits=(1, 2, 3, 4, 5, 7, 9, 11),
        head="fm",
        prediction="data",
        num_steps=2,
        start="shared",
        renoise_tau=0.5,
        metric="l2",
        mlp_queries=8,
        flow_draws=2,
        insulate=False,
    )
    return dataclasses.replace(config, **changes)


def small(*, vocab_size: int, **changes: Any) -> ModelConfig:
    """About 450 million weights, 422 of them in the backbone; 320 image tokens."""
    config = ModelConfig(
        vision=VisionConfig(
            kind="clip",
            image_size=224,
            patch_size=14,
            hidden_sizes=(320,),
            depths=(6,),
            heads=5,
            ffn=1280,
            activation="quick_gelu",
            frozen=False,
        ),
        cameras=(CameraTokens(name="front", grid=16), CameraTokens(name="wrist", grid=8)),
        backbone=BackboneConfig(
            hidden=1024,
            layers=24,
            heads=16,
            kv_heads=4,
            head_dim=64,
            ffn=4864,
            rope_theta=1_000_000.0,
            rms_norm_eps=1e-6,
            vocab_size=vocab_size,
            init_std=0.02,
        ),
        expert=ExpertConfig(hidden=192, heads=4, ffn=768, init_std=0.02),
        horizon=16,
        dim=8,
        exits=tuple(range(1, 24, 2)),
        head="fm",
        prediction="data",
        num_steps=2,
        start="shared",
        renoise_tau=0.5,
        metric="l2",
        mlp_queries=4,
        flow_draws=2,
        insulate=False,
    )
    return dataclasses.replace(config, **changes)


def molmo_7b(*, dim: int, horizon: int, cameras: tuple[str, ...], **changes: Any) -> ModelConfig:
    """Molmo-7B-D with a 400M expert: CLIP ViT-L/14-336, Molmo's connector, Qwen2-7B.

    Molmo's tower has 23 blocks and reads the 15th and the 22nd; the last one is not here.
    """
    config = ModelConfig(
        vision=VisionConfig(
            kind="clip",
            image_size=336,
            patch_size=14,
            hidden_sizes=(1024,),
            depths=(22,),
            heads=16,
            ffn=4096,
            activation="quick_gelu",
            frozen=True,
            connector=AttentionConnector(
                layers=(21, 14), heads=16, ffn=18944, padding=True, crops=1, one_place=False
            ),
        ),
        cameras=tuple(CameraTokens(name=name, grid=12) for name in cameras),
        backbone=BackboneConfig(
            hidden=3584,
            layers=28,
            heads=28,
            kv_heads=4,
            head_dim=128,
            ffn=18944,
            rope_theta=1_000_000.0,
            rms_norm_eps=1e-6,
            vocab_size=152_064 + 128,
            init_std=0.02,
        ),
        expert=ExpertConfig(hidden=896, heads=8, ffn=4096, init_std=0.02),
        horizon=horizon,
        dim=dim,
        exits=tuple(range(1, 28, 2)),
        head="fm",
        prediction="velocity",
        num_steps=2,
        start="shared",
        renoise_tau=0.5,
        metric="l2",
        mlp_queries=horizon,
        flow_draws=1,
        insulate=False,
        parts=("fm", "mlp", "end"),
    )
    return dataclasses.replace(config, **changes)
