"""What the vision tower is and how many tokens each camera becomes."""

from __future__ import annotations

from dataclasses import dataclass

from a1_model.plain import one_of
from a1_model.released_config import AttentionConnector

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
        norm_eps: of the tower's layer norms (CLIP).
        connector: from features to tokens (CLIP); None: a linear map of whole windows.
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
    norm_eps: float = 1e-5
    connector: AttentionConnector | None = None

    def __post_init__(self) -> None:
        one_of("vision.kind", self.kind, VISION_KINDS)
        if len(self.hidden_sizes) != len(self.depths):
            raise ValueError("vision: hidden_sizes and depths must have the same length")
        if self.connector is None:
            return
        if self.kind != "clip":
            raise ValueError(f"vision.connector: needs the kind clip, not {self.kind}")
        layers, depth = self.connector.layers, self.depths[0]
        if not layers or min(layers) < 0 or max(layers) >= depth:
            raise ValueError(f"vision.connector.layers: {layers} must lie in 0..{depth - 1}")
        if self.hidden_sizes[0] % self.connector.heads:
            raise ValueError(
                f"vision.connector.heads: {self.connector.heads} does not divide the tower's width "
                f"{self.hidden_sizes[0]}"
            )

    @property
    def grid(self) -> int:
        """Side of the tower's feature map."""
        stages = len(self.hidden_sizes) if self.kind == "convnext" else 1
        return self.image_size // (self.patch_size * 2 ** (stages - 1))
