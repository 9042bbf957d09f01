"""Images to prefix tokens: resize, vision tower, connector, 2-D positions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionConfig, ConvNextConfig, ConvNextModel
from transformers.models.clip.modeling_clip import CLIPEncoderLayer, CLIPVisionEmbeddings

from a1_model.config import ModelConfig, VisionConfig

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def fit_images(images_NHWC: Tensor, size: int) -> Tensor:
    """uint8 of any size -> float32 [N, 3, size, size] in 0..255: centre crop, area resize."""
    height, width = images_NHWC.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cropped = images_NHWC[:, top : top + side, left : left + side].permute(0, 3, 1, 2)
    cropped = cropped.to(torch.float32)
    if side == size:
        return cropped
    return functional.interpolate(cropped, size=(size, size), mode="area")


def pad_images(images_NHWC: Tensor, size: int, patch: int) -> tuple[Tensor, Tensor]:
    """uint8 of any size -> float32 [N, 3, size, size] in 0..255 and image shares [g, g].

    The longer side becomes `size` (bilinear, antialiased), the rest is black; a share says how
    much of a patch is image.
    """
    height, width = images_NHWC.shape[1:3]
    # In single precision, as Molmo was trained: the last bit decides the rounding.
    scale = min(np.float32(size) / np.float32(side) for side in (height, width))
    inner = [int(np.float32(side) * scale) for side in (height, width)]
    pixels = images_NHWC.permute(0, 3, 1, 2).to(torch.float32)
    if inner != [height, width]:
        pixels = functional.interpolate(pixels, size=inner, mode="bilinear", antialias=True)
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    edges = (left, size - inner[1] - left, top, size - inner[0] - top)
    inside = functional.pad(torch.ones(1, 1, *inner, device=pixels.device), edges)
    return functional.pad(pixels, edges), functional.avg_pool2d(inside, patch)[0, 0]


class ConvTower(nn.Module):
    """ConvNeXt stages without the pooled output. In: [N, 3, S, S]; out: [N, g, g, C]."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        model = ConvNextModel(
            ConvNextConfig(
                patch_size=config.patch_size,
                hidden_sizes=list(config.hidden_sizes),
                depths=list(config.depths),
                num_stages=len(config.depths),
                hidden_act=config.activation,
                layer_scale_init_value=0.0,
            )
        )
        self.embeddings = model.embeddings
        self.stages = model.encoder.stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, pixels_N3SS: Tensor) -> Tensor:
        features = self.embeddings(pixels_N3SS)
        for stage in self.stages:
            features = stage(features)
        return features.permute(0, 2, 3, 1)


class ClipTower(nn.Module):
    """CLIP's vision transformer without its class token and its last norm.

    In: [N, 3, S, S]; out: [N, g, g, C], the outputs of `layers` side by side.
    """

    def __init__(self, config: VisionConfig):
        super().__init__()
        sizes = CLIPVisionConfig(
            image_size=config.image_size,
            patch_size=config.patch_size,
            hidden_size=config.hidden_sizes[0],
            num_hidden_layers=config.depths[0],
            num_attention_heads=config.heads,
            intermediate_size=config.ffn,
            hidden_act=config.activation,
            layer_norm_eps=config.norm_eps,
            attn_implementation="sdpa",
        )
        self._grid = config.grid
        last = config.depths[0] - 1
        self._wanted = (last,) if config.connector is None else config.connector.layers
        self.embeddings = CLIPVisionEmbeddings(sizes)
        self.norm = nn.LayerNorm(config.hidden_sizes[0], eps=config.norm_eps)
        self.layers = nn.ModuleList(CLIPEncoderLayer(sizes) for _ in range(config.depths[0]))
        nn.init.normal_(self.embeddings.class_embedding, std=0.02)
        nn.init.normal_(self.embeddings.position_embedding.weight, std=0.02)

    def fill_buffers(self) -> None:
        """Computes what is no weight."""
        count = self._grid**2 + 1
        self.embeddings.position_ids = torch.arange(count).expand(1, -1)

    def forward(self, pixels_N3SS: Tensor) -> Tensor:
        hidden = self.norm(self.embeddings(pixels_N3SS))
        kept = {}
        for index, layer in enumerate(self.layers[: max(self._wanted) + 1]):
            hidden = layer(hidden, None)
            if index in self._wanted:
                kept[index] = hidden[:, 1:]
        joined = torch.cat([kept[index] for index in self._wanted], dim=-1)
        return joined.unflatten(1, (self._grid, self._grid))


class Vision(nn.Module):
    """All cameras through one tower; each pooled to its own grid by its own connector.

    Pooling concatenates the features of a window instead of averaging them: where in the
    window something lies stays readable.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        self._size = config.vision.image_size
        self._frozen = config.vision.frozen
        clip = config.vision.kind == "clip"
        self.tower: nn.Module = (ClipTower if clip else ConvTower)(config.vision)
        if self._frozen:
            self.tower.requires_grad_(False)
        self._mean_std = (_CLIP_MEAN, _CLIP_STD) if clip else ((0.5,) * 3, (0.25,) * 3)
        self.fill_buffers()
        channels, hidden = config.vision.hidden_sizes[-1], config.backbone.hidden
        self._windows = [config.vision.grid // camera.grid for camera in config.cameras]
        self.connectors = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(channels * window**2), nn.Linear(channels * window**2, hidden)
            )
            for window in self._windows
        )
        self.positions = nn.ParameterList(
            nn.Parameter(0.5 * torch.randn(camera.grid**2, hidden)) for camera in config.cameras
        )

    def fill_buffers(self) -> None:
        """Computes what is no weight."""
        mean, std = (255 * torch.tensor(values)[:, None, None] for values in self._mean_std)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images_VNHWC: list[Tensor]) -> Tensor:
        """One uint8 [B, H, W, 3] per camera, sizes may differ -> tokens [B, image tokens, C]."""
        tokens = []
        # One camera at a time: half the peak memory, and buffers small enough to be reused.
        for images, window, connector, position in zip(
            images_VNHWC, self._windows, self.connectors, self.positions, strict=True
        ):
            pixels = (fit_images(images, self._size) - self.mean) / self.std
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
                features = self.tower(pixels.to(position.dtype))
            tokens.append(connector(_windowed(features, window)) + position)
        return torch.cat(tokens, dim=1)


def _windowed(features_NggC: Tensor, window: int) -> Tensor:
    """[N, g, g, C] -> [N, (g / w)^2, w * w * C]."""
    count, side, _, channels = features_NggC.shape
    if window == 1:
        return features_NggC.reshape(count, side * side, channels)
    grid = side // window
    split = features_NggC.reshape(count, grid, window, grid, window, channels)
    return split.transpose(2, 3).reshape(count, grid * grid, window * window * channels)


class AttentionPool(nn.Module):
    """Molmo's connector: a window's mean asks its patches, the answer goes through a gated MLP.

    In: features [N, g, g, J] of J joined channels; out: [N, (g / w)^2, hidden].
    """

    def __init__(self, vision: VisionConfig, hidden: int):
        super().__init__()
        connector, width = vision.connector, vision.hidden_sizes[0]
        assert connector is not None
        self._heads = connector.heads
        joined = width * len(connector.layers)
        self.query, self.key = nn.Linear(joined, width), nn.Linear(joined, width)
        self.value, self.out = nn.Linear(joined, width), nn.Linear(width, width)
        self.gate = nn.Linear(width, connector.ffn, bias=False)
        self.up = nn.Linear(width, connector.ffn, bias=False)
        self.down = nn.Linear(connector.ffn, hidden, bias=False)
        for module in self.children():
            assert isinstance(module, nn.Linear)
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        # First added to patches that are all padding, then to those that are so in part.
        self.padding = nn.Parameter(torch.zeros(2, joined)) if connector.padding else None

    def forward(self, features_NggJ: Tensor, shares_gg: Tensor, window: int) -> Tensor:
        """`shares_gg`: how much of each patch is image; below 0 also means: in part."""
        if self.padding is not None:
            nothing_gg, part_gg = shares_gg == 0, (shares_gg < 1) & (shares_gg != 0)
            marks_2gg = torch.stack((nothing_gg, part_gg)).to(features_NggJ.dtype)
            features_NggJ = features_NggJ + torch.einsum("kxy,kj->xyj", marks_2gg, self.padding)
        count, patches = features_NggJ.shape[0], window * window
        windows = _windowed(features_NggJ, window).unflatten(-1, (patches, -1)).flatten(0, 1)
        query, key, value = (
            linear(x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for linear, x in (
                (self.query, windows.mean(1, keepdim=True)),
                (self.key, windows),
                (self.value, windows),
            )
        )
        pooled = functional.scaled_dot_product_attention(query, key, value)
        pooled = self.out(pooled.transpose(1, 2).flatten(1))
        tokens = self.down(functional.silu(self.gate(pooled)) * self.up(pooled))
        return tokens.unflatten(0, (count, -1))


class FramedVision(nn.Module):
    """All cameras as Molmo shows them to its language model; see `AttentionConnector`.

    A patch's token is the sum of its feature and a vector that all patches share.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        connector = config.vision.connector
        assert connector is not None
        self._vision, self._connector = config.vision, connector
        self._grids = [camera.grid for camera in config.cameras]
        self.tower = ClipTower(config.vision)
        if config.vision.frozen:
            self.tower.requires_grad_(False)
        self.pool = AttentionPool(config.vision, config.backbone.hidden)
        # Of the prefix's begin; an image's start and end; a patch; the end of a row.
        self.frame = nn.Parameter(0.02 * torch.randn(5, config.backbone.hidden))
        self.fill_buffers()

    def fill_buffers(self) -> None:
        """Computes what is no weight."""
        for name, values in (("mean", _CLIP_MEAN), ("std", _CLIP_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images_VNHWC: list[Tensor]) -> Tensor:
        """One uint8 [B, H, W, 3] per camera, sizes may differ -> tokens [B, image tokens, C]."""
        seen = len(images_VNHWC) - 1
        tokens = [self.frame[None, :1].expand(images_VNHWC[0].shape[0], -1, -1)]
        for camera, grid in enumerate(self._grids):
            if not self._connector.one_place:
                features = self._features(images_VNHWC[camera], grid)
            elif camera == 0:
                features = self._features(images_VNHWC[seen], grid)
            else:
                nothing = tokens[0].new_zeros(1, grid * grid, tokens[0].shape[-1])
                features = [nothing.expand(tokens[0].shape[0], -1, -1)] * self._connector.crops
            tokens += [self._framed(feature, grid) for feature in features]
        return torch.cat(tokens, dim=1)

    def _features(self, images_NHWC: Tensor, grid: int) -> list[Tensor]:
        """[N, grid^2, C] of every time the image is shown."""
        size, patch = self._vision.image_size, self._vision.patch_size
        pixels, shares_gg = pad_images(images_NHWC, size, patch)
        pixels = (pixels / 255 - self.mean) / self.std
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._vision.frozen):
            features = self.tower(pixels.to(self.frame.dtype))
        window = self._vision.grid // grid
        shown = [shares_gg, torch.full_like(shares_gg, -1)][: self._connector.crops]
        return [self.pool(features, shares, window) for shares in shown]

    def _framed(self, features_NPC: Tensor, grid: int) -> Tensor:
        """[start][row, column] x grid [end]."""
        _, start, end, patch, column = self.frame
        rows = (features_NPC + patch).unflatten(1, (grid, grid))
        columns = column.expand(*rows.shape[:2], 1, -1)
        body = torch.cat((rows, columns), dim=2).flatten(1, 2)
        edge = (body.shape[0], 1, -1)
        return torch.cat((start.expand(edge), body, end.expand(edge)), dim=1)
