"""One pass over one observation (or a batch) that goes deeper exit by exit.

Nothing is computed twice: blocks keep their keys and values, the last block's second half
waits until it is needed, and with the shared start the first Euler node of the expert, which is
the same at every exit, is carried from exit to exit. Its one-step estimates ("probe") can decide
where to leave; then the other steps are taken at that exit alone. So it is with real-time chunking:
exits are compared by what they would do without the plan in execution, as calibration saw them, and
the exit that is chosen makes its chunk once more around the committed rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from a1_model.blocks import HalfBlock
from a1_model.config import check_signal
from a1_model.expert import Context
from a1_model.flops import FlopTable
from a1_model.flow import euler_step, kept_velocity, noisy_actions
from a1_model.network import A1Network
from a1_model.stopwatch import Stopwatch


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """How actions are made at an exit.

    Attributes:
        head: "fm" or "mlp".
        num_steps: Euler steps of the flow-matching head.
        start: "cold", "shared", "direct" or "renoise".
        renoise_tau: where "renoise" begins.
        signal: what exits are compared by: "fm", "mlp" or "probe"; None: the head's own chunks.

    Raises:
        ValueError: the signal does not go with head or start.
    """

    head: str
    num_steps: int
    start: str
    renoise_tau: float
    signal: str | None = None

    def __post_init__(self) -> None:
        check_signal(self.compared, self.head, self.start)

    @property
    def compared(self) -> str:
        """What exits are compared by."""
        return self.signal or self.head

    @property
    def own(self) -> bool:
        """Whether the chunks that are compared are those that act."""
        return self.compared == self.head


@dataclass(frozen=True, kw_only=True)
class PassInput:
    """B observations, normalised and on the network's device.

    Attributes:
        images_VNHWC: one uint8 [B, h, w, 3] per camera in model order.
        noise_KBHD: standard normal; one an exit with the cold start, else the first is shared.
            Its last dimension is `ModelConfig.noise_dim`.
    """

    images_VNHWC: Sequence[Tensor]
    text_ids_BT: Tensor
    text_mask_BT: Tensor
    state_BD: Tensor
    noise_KBHD: Tensor


@dataclass(frozen=True, kw_only=True)
class KeptRows:
    """The plan in execution, normalised and on the network's device.

    Attributes:
        rows_BHD: on the row times of the new chunk.
        weight_BHD: 1 in committed rows, 0 where a chunk is free.
        guess: the flow begins at the rows, with noise added again.
    """

    rows_BHD: Tensor
    weight_BHD: Tensor
    guess: bool

    def blend(self, actions_BHD: Tensor) -> Tensor:
        """Actions pulled to the rows by their weights; the rows themselves where it is 1."""
        return torch.lerp(actions_BHD, self.rows_BHD, self.weight_BHD)

    def padded(self, dim: int) -> tuple[Tensor, Tensor]:
        """Rows and weights [B, H, dim] with free columns behind the real dimensions."""
        more = (0, dim - self.rows_BHD.shape[-1])
        return functional.pad(self.rows_BHD, more), functional.pad(self.weight_BHD, more)


class ExitPass:
    """State of one tick; thrown away with it, so no tick can leak into the next.

    Args:
        watch: receives the stages "vision", "backbone" and "head".
        compares: `signal` will be asked for.
    """

    def __init__(
        self,
        network: A1Network,
        settings: HeadSettings,
        given: PassInput,
        watch: Stopwatch,
        *,
        compares: bool = True,
    ):
        self._network = network
        self.settings = settings
        self._watch = watch
        self._flow = settings.head == "fm"
        self._queries = "mlp" in (settings.head, settings.compared if compares else "")
        tokens = network.vision(list(given.images_VNHWC))
        watch.mark("vision")
        self._hidden, self._layout = network.prefix(
            given.images_VNHWC,
            given.text_ids_BT,
            given.text_mask_BT,
            state_BD=given.state_BD if self._queries else None,
            image_tokens_BNC=tokens,
        )
        text = given.text_ids_BT.shape[1]
        count = network.query_head.count if self._queries else 0
        self._table = FlopTable(network.config, text, count)
        self._full = FlopTable(network.config, text, 0 if self._flow else count).full(
            settings.head, settings.num_steps
        )
        self.flops = self._table.vision
        self.blocks = 0
        self._half: HalfBlock | None = None
        if self._flow:
            self._noise_KBHD = given.noise_KBHD
            self._suffix = network.expert.suffix(self._layout)
            self._state = network.expert.embed_state(given.state_BD)
            self._fresh: list[HalfBlock] = []
            self._contexts: list[Context] = []
            self._carried: Tensor | None = None
            self._carried_layers = 0
            self._first: tuple[int, Tensor] | None = None
            self._previous: Tensor | None = None
        watch.mark("backbone")

    @property
    def flops_fraction(self) -> float:
        """FLOPs so far over those of a pass that runs its head once at the last exit."""
        return self.flops / self._full

    def signal(self, exit_index: int) -> Tensor:
        """What exit number `exit_index` is compared by: normalised [B, H, D]; exits must ascend."""
        if self.settings.compared == "mlp":
            return self._regressed(exit_index)
        if self.settings.compared == "fm":
            return self.actions(exit_index)
        block = self._reach(exit_index)
        noise = self._noise_KBHD[0]
        estimate = euler_step(noise, self._first_velocity(exit_index, block, noise), 1.0)
        self._watch.mark("head")
        return estimate[..., : self._network.config.dim]

    def actions(self, exit_index: int) -> Tensor:
        """Normalised actions [B, H, D] of exit number `exit_index`; exits must ascend."""
        if not self._flow:
            return self._regressed(exit_index)
        block = self._reach(exit_index)
        actions = self._integrate(exit_index, block)[..., : self._network.config.dim]
        self._watch.mark("head")
        return actions

    def kept_actions(self, exit_index: int, kept: KeptRows) -> Tensor:
        """Normalised actions [B, H, D] of an exit that go on from the plan in execution.

        The flow-matching head integrates from the tick's noise, whatever the start of free chunks,
        with its estimate of the data replaced by the rows at every step: committed rows follow the
        straight path from noise to the old plan and the others are made in view of them. With a
        guess it integrates from `renoise_tau` on that path in all rows. The MLP head has nothing
        to integrate: its rows are blended.
        """
        if not self._flow:
            return kept.blend(self._regressed(exit_index))
        block, dim = self._reach(exit_index), self._network.config.dim
        actions = self._integrate_kept(exit_index, block, kept)[..., :dim]
        self._watch.mark("head")
        return actions

    def end_probability(self, exit_index: int) -> Tensor:
        """Score [B] in 0..1 that the substep ends within the next row, after `actions`.

        Training weighs positives by END_POSITIVE_WEIGHT: 0.5 stands for odds of 1 to that.
        """
        if not self._flow:
            logit = self._network.query_head.end_logit(exit_index, self._query_hidden())
        else:
            logit = self._network.expert.end_logit(exit_index, self._state)
        return logit.float().sigmoid()

    def _regressed(self, exit_index: int) -> Tensor:
        """The MLP head's actions."""
        self._finish_up_to(self._network.config.exits[exit_index])
        self._watch.mark("backbone")
        actions = self._network.query_head.actions(exit_index, self._query_hidden()).float()
        self.flops += self._table.query_readout
        self._watch.mark("head")
        return actions

    def _reach(self, exit_index: int) -> int:
        """Everything the expert needs at an exit; returns its block."""
        block = self._network.config.exits[exit_index]
        self._keys_values_up_to(block)
        self._watch.mark("backbone")
        self._state_up_to_here()
        return block

    def _query_hidden(self) -> Tensor:
        return self._hidden[:, self._layout.prefix :]

    def _keys_values_up_to(self, block: int) -> None:
        backbone = self._network.backbone
        while self.blocks <= block:
            if self._half is not None:
                self._finish_half()
            self._half = backbone.keys_values(self.blocks, self._hidden, self._layout)
            if self._flow:
                self._fresh.append(self._half)
            self.flops += self._table.block_keys_values
            self.blocks += 1

    def _finish_up_to(self, block: int) -> None:
        self._keys_values_up_to(block)
        if self._half is not None:
            self._finish_half()

    def _finish_half(self) -> None:
        assert self._half is not None
        self._hidden = self._network.backbone.finish(self.blocks - 1, self._half, self._layout)
        self._half = None
        self.flops += self._table.block_rest

    def _state_up_to_here(self) -> None:
        for half in self._fresh:
            self._state, context = self._network.expert.state_layer(
                len(self._contexts), self._state, half, self._suffix, self._layout.prefix
            )
            self._contexts.append(context)
            self.flops += self._table.state_layer
        self._fresh.clear()

    def _integrate(self, exit_index: int, block: int) -> Tensor:
        steps = self.settings.num_steps
        noisy, first_tau = self._start(exit_index)
        step_size = (1.0 - first_tau) / steps
        for step in range(steps):
            tau = first_tau + step * step_size
            noisy = euler_step(noisy, self._velocity(exit_index, block, noisy, tau), step_size)
        self._previous = noisy
        return noisy

    def _velocity(self, exit_index: int, block: int, noisy: Tensor, tau: float) -> Tensor:
        """At `tau`; with the shared start the one at 0 is carried from exit to exit."""
        if tau == 0.0 and self.settings.start == "shared":
            return self._first_velocity(exit_index, block, noisy)
        hidden = self._through(self._embed(noisy, tau), 0, block)
        self.flops += self._table.readout
        return self._network.expert.velocity(exit_index, hidden, noisy, tau)

    def _noise(self, exit_index: int) -> Tensor:
        return self._noise_KBHD[exit_index if self.settings.start == "cold" else 0]

    def _integrate_kept(self, exit_index: int, block: int, kept: KeptRows) -> Tensor:
        steps = self.settings.num_steps
        noise = self._noise(exit_index)
        rows, weight = kept.padded(noise.shape[-1])
        first_tau = self.settings.renoise_tau if kept.guess else 0.0
        noisy = noisy_actions(rows, noise, first_tau) if kept.guess else noise
        step_size = (1.0 - first_tau) / steps
        for step in range(steps):
            tau = first_tau + step * step_size
            velocity = self._velocity(exit_index, block, noisy, tau)
            noisy = euler_step(noisy, kept_velocity(velocity, noisy, tau, rows, weight), step_size)
        return noisy

    def _start(self, exit_index: int) -> tuple[Tensor, float]:
        noise = self._noise(exit_index)
        if self._previous is None or self.settings.start in ("cold", "shared"):
            return noise, 0.0
        if self.settings.start == "direct":
            return self._previous, 0.0
        tau = self.settings.renoise_tau
        return noisy_actions(self._previous, noise, tau), tau

    def _first_velocity(self, exit_index: int, block: int, noise: Tensor) -> Tensor:
        """At tau = 0 from the shared noise; once an exit, whoever asks first."""
        if self._first is None or self._first[0] != exit_index:
            hidden = self._carry_to(block, noise)
            velocity = self._network.expert.velocity(exit_index, hidden, noise, 0.0)
            self._first = exit_index, velocity
            self.flops += self._table.readout
        return self._first[1]

    def _carry_to(self, block: int, noise: Tensor) -> Tensor:
        if self._carried is None:
            self._carried = self._embed(noise, 0.0)
        self._carried = self._through(self._carried, self._carried_layers, block)
        self._carried_layers = block + 1
        return self._carried

    def _embed(self, noisy: Tensor, tau: float) -> Tensor:
        tau_BS = torch.full((noisy.shape[0], 1), tau, device=noisy.device)
        self.flops += self._table.embedding
        return self._network.expert.embed_actions(noisy[:, None], tau_BS)

    def _through(self, hidden: Tensor, first: int, block: int) -> Tensor:
        for index in range(first, block + 1):
            hidden = self._network.expert.action_layer(
                index, hidden, self._contexts[index], self._suffix
            )
            self.flops += self._table.action_layer
        return hidden
