"""What a network is: sizes as data, JSON in and out, and the presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADS = ("fm", "mlp")
PREDICTIONS = ("velocity", "data")
STARTS = ("cold", "shared", "direct", "renoise")
VISION_KINDS = ("convnext", "clip")


@dataclass(frozen=True, kw_only=True)
class CameraTokens:
    """Tokens of one camera: a square grid, pooled from the vision tower's feature map.

    Attributes:
        name: as in the robot spec; the order of cameras is the order in the prefix.
        grid: tokens along one side; divides the tower's own grid.
    """

    name: str
    grid: int


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """The vision tower, built from `transformers` parts.

    Attributes:
        kind: "convnext" (layer norm only, no batch statistics) or "clip".
        image_size: side of the square that the tower sees, px.
        patch_size: side of the first patches, px.
        hidden_sizes: channels of the ConvNext stages; one number for CLIP.
        depths: blocks in each ConvNext stage; one number for CLIP.
        heads: attention heads (CLIP).
        ffn: inner width (CLIP).
        activation: of the tower's blocks.
        frozen: the tower's weights get no gradient.
    """

    kind: str
    image_size: int
    patch_size: int
    hidden_sizes: tuple[int, ...]
    depths: tuple[int, ...]
    heads: int
    ffn: int
    activation: str
    frozen: bool

    def __post_init__(self) -> None:
        _one_of("vision.kind", self.kind, VISION_KINDS)
        if len(self.hidden_sizes) != len(self.depths):
            raise ValueError("vision: hidden_sizes and depths must have the same length")

    @property
    def grid(self) -> int:
        """Side of the tower's feature map."""
        stages = len(self.hidden_sizes) if self.kind == "convnext" else 1
        return self.image_size // (self.patch_size * 2 ** (stages - 1))


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The causal Qwen2 decoder over [cameras][text]."""

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

    def __post_init__(self) -> None:
        _one_of("head", self.head, HEADS)
        _one_of("prediction", self.prediction, PREDICTIONS)
        _one_of("start", self.start, STARTS)
        if list(self.exits) != sorted(set(self.exits)) or not self.exits:
            raise ValueError(f"exits: must ascend, got {self.exits}")
        if self.exits[0] < 0 or self.exits[-1] >= self.backbone.layers:
            raise ValueError(f"exits: must lie in 0..{self.backbone.layers - 1}, got {self.exits}")
        if self.horizon % self.mlp_queries:
            raise ValueError(
                f"mlp_queries: {self.mlp_queries} does not divide the horizon {self.horizon}"
            )
        for camera in self.cameras:
            if self.vision.grid % camera.grid:
                raise ValueError(
                    f"cameras.{camera.name}.grid: {camera.grid} does not divide the tower's "
                    f"grid {self.vision.grid}"
                )

    @property
    def front_grid(self) -> int:
        """Tokens along one side of the first camera."""
        return self.cameras[0].grid

    @property
    def image_tokens(self) -> int:
        """Prefix tokens of all cameras."""
        return sum(camera.grid**2 for camera in self.cameras)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_json`.

        Raises:
            ValueError: a key is missing or unknown, or a value is impossible.
        """
        content = dict(_exact("", content, cls))
        content["vision"] = _build("vision", content["vision"], VisionConfig)
        content["cameras"] = tuple(
            _build("cameras", camera, CameraTokens) for camera in content["cameras"]
        )
        content["backbone"] = _build("backbone", content["backbone"], BackboneConfig)
        content["expert"] = _build("expert", content["expert"], ExpertConfig)
        content["exits"] = tuple(content["exits"])
        return cls(**content)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{field}: {value!r} is not one of {', '.join(allowed)}")


def _exact(where: str, content: Mapping[str, Any], cls: type) -> Mapping[str, Any]:
    allowed = {field.name for field in dataclasses.fields(cls)}
    wrong = sorted(allowed ^ set(content))
    if wrong:
        raise ValueError(f"{where or 'model'}: missing or unknown keys {wrong}")
    return content


def _build(where: str, content: Mapping[str, Any], cls: type) -> Any:
    values = _exact(where, content, cls)
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def tiny(*, vocab_size: int, **changes: Any) -> ModelConfig:
    """The demo and test network: about one million weights, trained on one CPU core."""
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
            layers=8,
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
        exits=(1, 2, 3, 4, 5, 6, 7),
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


def molmo_7b(*, dim: int, horizon: int, cameras: tuple[str, ...]) -> ModelConfig:
    """The Molmo-7B-D layout of the paper: CLIP ViT-L/14-336, Qwen2-7B, a 400M expert."""
    return ModelConfig(
        vision=VisionConfig(
            kind="clip",
            image_size=336,
            patch_size=14,
            hidden_sizes=(1024,),
            depths=(23,),
            heads=16,
            ffn=4096,
            activation="quick_gelu",
            frozen=True,
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
            vocab_size=152_064,
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
    )
