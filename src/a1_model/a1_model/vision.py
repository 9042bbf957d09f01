"""Images to prefix tokens: resize, vision tower, connector, 2-D positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModel, ConvNextConfig, ConvNextModel

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
    """CLIP's vision transformer without its class token. Shapes as `ConvTower`."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.clip = CLIPVisionModel(
            CLIPVisionConfig(
                image_size=config.image_size,
                patch_size=config.patch_size,
                hidden_size=config.hidden_sizes[0],
                num_hidden_layers=config.depths[0],
                num_attention_heads=config.heads,
                intermediate_size=config.ffn,
                hidden_act=config.activation,
            )
        )

    def forward(self, pixels_N3SS: Tensor) -> Tensor:
        patches = self.clip(pixels_N3SS).last_hidden_state[:, 1:]
        side = round(patches.shape[1] ** 0.5)
        return patches.unflatten(1, (side, side))


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
        mean, std = (_CLIP_MEAN, _CLIP_STD) if clip else ((0.5,) * 3, (0.25,) * 3)
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None], persistent=False)
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

    def forward(self, images_VNHWC: list[Tensor]) -> Tensor:
        """One uint8 [B, H, W, 3] per camera, sizes may differ -> tokens [B, image tokens, C]."""
        tokens = []
        # One camera at a time: half the peak memory, and buffers small enough to be reused.
        for images, window, connector, position in zip(
            images_VNHWC, self._windows, self.connectors, self.positions, strict=True
        ):
            pixels = (fit_images(images, self._size) - self.mean) / self.std
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
                features = self.tower(pixels)
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
