"""What a pass costs: FLOPs, 2 per multiply-add.

Scope: matrix products and convolutions of vision, connector, backbone, expert and action
readouts. Norms, activations, softmax, embeddings and the point head are left out. Sizes are
those of one sample.
"""

from __future__ import annotations

from a1_model.config import ModelConfig


class FlopTable:
    """Costs of the pieces of one tick with `text` instruction tokens."""

    def __init__(self, config: ModelConfig, text: int, queries: int):
        self._config = config
        self._prefix = config.image_tokens + text
        self._tokens = self._prefix + queries

    @property
    def vision(self) -> int:
        """Tower and connectors, all cameras."""
        config, vision = self._config, self._config.vision
        if vision.kind == "clip":
            tower = self._clip_tower
        else:
            side, before, tower = vision.image_size // vision.patch_size, 3, 0
            for stage, (width, depth) in enumerate(
                zip(vision.hidden_sizes, vision.depths, strict=True)
            ):
                window = vision.patch_size if stage == 0 else 2
                side = side if stage == 0 else side // 2
                block = 49 * width + 8 * width * width
                tower += side**2 * (before * window**2 * width + depth * block)
                before = width
        channels, hidden = vision.hidden_sizes[-1], config.backbone.hidden
        if vision.connector is not None:
            seen = config.cameras[:1] if vision.connector.one_place else config.cameras
            pools = vision.connector.crops * sum(self._pool(camera.grid) for camera in seen)
            return 2 * (tower * len(seen) + pools)
        connectors = vision.grid**2 * channels * hidden * len(config.cameras)
        return 2 * (tower * len(config.cameras) + connectors)

    @property
    def block_keys_values(self) -> int:
        """First half of a backbone block."""
        sizes = self._config.backbone
        return 2 * self._tokens * sizes.hidden * 2 * sizes.kv_heads * sizes.head_dim

    @property
    def block_rest(self) -> int:
        """Second half of a backbone block; causal attention counted over all pairs."""
        sizes = self._config.backbone
        attention = 2 * sizes.heads * sizes.head_dim * (sizes.hidden + self._tokens)
        return 2 * self._tokens * (attention + 3 * sizes.hidden * sizes.ffn)

    def backbone(self, blocks: int, head: str) -> int:
        """All that the backbone computes for a chunk of the head after so many blocks.

        The flow-matching head needs only keys and values of the last of them.
        """
        return blocks * self.block_keys_values + (blocks - (head == "fm")) * self.block_rest

    @property
    def state_layer(self) -> int:
        """The state token through one expert layer."""
        return self._expert_layer(1, self._prefix + 1)

    @property
    def action_layer(self) -> int:
        """All action tokens through one expert layer."""
        rows = self._config.horizon
        return self._expert_layer(rows, self._prefix + 1 + rows)

    @property
    def expert_step(self) -> int:
        """One evaluation of the velocity through all expert layers, the state's keys at hand."""
        return (self._config.exits[-1] + 1) * self.action_layer + self.evaluation

    @property
    def evaluation(self) -> int:
        """Embedding and readout of one evaluation of the velocity."""
        return self.embedding + self.readout

    @property
    def embedding(self) -> int:
        """Noisy actions and their time to tokens."""
        width, dim = self._config.expert.hidden, self._config.noise_dim
        return 2 * self._config.horizon * (dim * width + 3 * width * width)

    @property
    def readout(self) -> int:
        """The velocity at one exit from the tokens."""
        width = self._config.expert.hidden
        readout = width * self._config.noise_dim
        if self._config.expert.released is not None:
            readout += 3 * width * width
        return 2 * self._config.horizon * readout

    @property
    def query_readout(self) -> int:
        """The MLP head at one exit."""
        config, hidden = self._config, self._config.backbone.hidden
        if config.released_mlp is not None:
            width = config.released_mlp.width
            return 2 * config.horizon * hidden * (width * hidden + 2 * hidden + width)
        rows = config.horizon // config.mlp_queries
        return 2 * config.mlp_queries * hidden * (hidden + rows * config.dim)

    def full(self, head: str, num_steps: int) -> int:
        """A whole tick that runs its head once, at the last exit, and nothing in vain."""
        blocks = self._config.exits[-1] + 1
        cost = self.vision + self.backbone(blocks, head)
        if head == "mlp":
            return cost + self.query_readout
        cost += blocks * self.state_layer
        return cost + num_steps * (blocks * self.action_layer + self.evaluation)

    @property
    def _clip_tower(self) -> int:
        """Multiply-adds of one image."""
        vision, patches = self._config.vision, self._config.vision.grid**2
        width = vision.hidden_sizes[0]
        block = 4 * width * width + 2 * width * vision.ffn + 2 * width * (patches + 1)
        return (patches + 1) * vision.depths[0] * block + patches * width * 3 * vision.patch_size**2

    def _pool(self, grid: int) -> int:
        """Multiply-adds of the attention connector, for one image."""
        vision, hidden = self._config.vision, self._config.backbone.hidden
        connector = vision.connector
        assert connector is not None
        width, patches, tokens = vision.hidden_sizes[0], vision.grid**2, grid**2
        joined = width * len(connector.layers)
        attention = 2 * patches * joined * width + tokens * joined * width + 2 * patches * width
        return attention + tokens * (width * width + connector.ffn * (2 * width + hidden))

    def _expert_layer(self, tokens: int, keys: int) -> int:
        sizes, shared = self._config.expert, self._config.backbone
        inner = sizes.heads * shared.head_dim
        projections = 2 * sizes.hidden * (inner + shared.kv_heads * shared.head_dim)
        return 2 * tokens * (projections + 2 * inner * keys + 3 * sizes.hidden * sizes.ffn)
