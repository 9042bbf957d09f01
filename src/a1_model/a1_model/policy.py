"""A policy that leaves the backbone as soon as its chunk has settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from a1_core.errors import A1Error, ObservationRefused
from a1_core.exit_rule import (
    Thresholds,
    decide,
    discrepancy,
    exits_that_matter,
    starts_from_each_other,
)
from a1_core.normaliser import Normaliser
from a1_core.observation import Observation
from a1_core.policy import ExitReason, ExitSetting, ExitTrace, PolicyOutput
from a1_core.prefix import Prefix
from a1_model.exit_pass import ExitPass, HeadSettings, KeptRows, PassInput
from a1_model.exit_study import ExitStudy
from a1_model.latency import SegmentTimes
from a1_model.network import A1Network
from a1_model.noise import tick_noise
from a1_model.stopwatch import Stopwatch
from a1_model.tokenizer import InstructionTokenizer

_NONE = float("nan")


class AdaptivePolicy:
    """Implements `a1_core.policy.Policy` for both heads.

    Nothing is kept from tick to tick but measured times; the noise of a tick depends on seed
    and stamp only.

    Args:
        network: in eval mode; its device is used.
        digest: of the checkpoint.
        spec_digest: of the robot spec the policy acts for.
        seed: of the noise.
        settings: how the head is run; by default as the configuration says.
        clock: steady seconds, for deadlines and traces.
    """

    def __init__(
        self,
        network: A1Network,
        tokenizer: InstructionTokenizer,
        normaliser: Normaliser,
        *,
        digest: str,
        spec_digest: str,
        seed: int = 0,
        settings: HeadSettings | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        config = network.config
        self.network = network
        self.tokenizer = tokenizer
        self.normaliser = normaliser
        self.digest = digest
        self.spec_digest = spec_digest
        self.seed = seed
        self.settings = settings or HeadSettings(
            head=config.head,
            num_steps=config.num_steps,
            start=config.start,
            renoise_tau=config.renoise_tau,
            signal=config.signal,
        )
        for name in (self.settings.head, self.settings.compared):
            if name not in (*config.parts, "probe"):
                raise A1Error(
                    f"settings: the network has no head {name}, only "
                    f"{list(config.parts) or 'vision and language'}; train it or choose another"
                )
        if not self.settings.own and not config.backbone.causal:
            raise A1Error(
                f"settings.signal: {self.settings.signal}, but the backbone is not causal, so its "
                "head is compared by its own chunks alone; leave the signal out"
            )
        self.clock = clock
        self.device = next(network.parameters()).device
        self.times = SegmentTimes()

    def reset(self) -> None:
        """Nothing to forget: every tick starts from its observation alone."""

    @torch.inference_mode()
    def act(
        self,
        observation: Observation,
        *,
        setting: ExitSetting,
        deadline_s: float | None = None,
        prefix: Prefix | None = None,
    ) -> PolicyOutput:
        """One chunk.

        Args:
            setting: adaptive, a fixed exit (block index), or full depth.
            deadline_s: budget from the call on. Adaptive ticks stop at the best chunk so far
                when the next exit would miss it; the others choose their depth beforehand.
                The first exit is always computed.
            prefix: rows of the plan in execution that the chunk goes on from. Where to leave is
                decided without them: committed rows agree between exits whatever these say.
        """
        watch = Stopwatch(self.device, self.clock)
        given = self.prepare([observation])
        watch.mark("preprocess")
        compares = setting.mode == "adaptive"
        going = ExitPass(self.network, self.settings, given, watch, compares=compares)
        plan = self._plan(setting)
        kept = None if prefix is None else self._kept(prefix)
        if setting.mode != "adaptive":
            return self._single(going, plan[0], setting, deadline_s, kept, watch)
        assert setting.thresholds is not None
        return self._adaptive(going, plan, setting.thresholds, deadline_s, kept, watch)

    def _kept(self, prefix: Prefix) -> KeptRows:
        rows_HD = self.normaliser.encode_actions(prefix.rows_HD).astype(np.float32)
        return KeptRows(
            rows_BHD=torch.from_numpy(rows_HD)[None].to(self.device),
            weight_BHD=torch.from_numpy(prefix.weight_HD)[None].to(self.device),
            guess=prefix.guess,
        )

    def _single(
        self,
        going: ExitPass,
        wanted: int,
        setting: ExitSetting,
        deadline_s: float | None,
        kept: KeptRows | None,
        watch: Stopwatch,
    ) -> PolicyOutput:
        reason = ExitReason.FULL if setting.mode == "full" else ExitReason.FIXED
        chosen = wanted
        if deadline_s is not None:
            while chosen > 0 and self.times.expected_s(-1, chosen) > deadline_s:
                self.times.blocked(-1, chosen)
                chosen -= 1
            if chosen < wanted:
                reason = ExitReason.DEADLINE
        actions_HD = _actions(going, chosen, kept)
        self.times.learn(-1, chosen, watch.elapsed_s())
        steps = _Steps()
        steps.add(chosen, actions_HD, _NONE, _NONE)
        return self._output(going, steps, actions_HD, reason, watch)

    def _adaptive(
        self,
        going: ExitPass,
        plan: Sequence[int],
        thresholds: Thresholds,
        deadline_s: float | None,
        kept: KeptRows | None,
        watch: Stopwatch,
    ) -> PolicyOutput:
        steps = _Steps()
        last, reason = -1, ExitReason.LAST_EXIT
        looked_at: Sequence[int] = range(len(plan))
        if deadline_s is None and not self._chained:  # else each may be the best so far, or needed
            looked_at = exits_that_matter(thresholds.eta)
        for number in looked_at:
            exit_index = plan[number]
            began_s = watch.elapsed_s()
            if steps.exits and deadline_s is not None:
                times = self.times
                needed_s = times.expected_s(last, exit_index) + times.finish_s(exit_index)
                if began_s + needed_s > deadline_s:
                    times.blocked(last, exit_index)
                    reason = ExitReason.DEADLINE
                    break
            # Reading the signal is the one synchronisation with a GPU that an exit costs.
            signal_HD = going.signal(exit_index)[0].cpu().numpy()
            delta = (
                _NONE if last < 0 else discrepancy(signal_HD, steps.signal_HD, thresholds.metric)
            )
            eta = float(thresholds.eta[number])
            steps.add(exit_index, signal_HD, delta, _NONE if last < 0 else eta)
            spent_s = watch.elapsed_s() - (began_s if last >= 0 else 0.0)
            self.times.learn(last, exit_index, spent_s)
            last = exit_index
            is_last = number == len(plan) - 1
            if decide(delta, eta, is_first=len(steps.exits) == 1, is_last=is_last):
                reason = ExitReason.LAST_EXIT if is_last else ExitReason.CONVERGED
                break
        actions_HD = self._finished(going, steps, kept, watch)
        return self._output(going, steps, actions_HD, reason, watch)

    def _finished(
        self, going: ExitPass, steps: _Steps, kept: KeptRows | None, watch: Stopwatch
    ) -> NDArray[np.float32]:
        """The chunk of the exit that the signal has chosen."""
        if self.settings.own and kept is None:
            return steps.signal_HD
        began_s, chosen = watch.elapsed_s(), steps.exits[-1]
        actions_HD = _actions(going, chosen, kept)
        self.times.learn(chosen, chosen, watch.elapsed_s() - began_s)
        return actions_HD

    def _output(
        self,
        going: ExitPass,
        steps: _Steps,
        actions_HD: NDArray[np.float32],
        reason: ExitReason,
        watch: Stopwatch,
    ) -> PolicyOutput:
        exit_index = steps.exits[-1]
        end = float(going.end_probability(exit_index)[0])
        watch.mark("head")
        config = self.network.config
        times_ms = watch.totals_ms()
        block = config.exits[exit_index]
        trace = ExitTrace(
            exit_layer=block + 1,
            num_layers=config.backbone.layers,
            exit_index=exit_index,
            depth_fraction=(block + 1) / config.backbone.layers,
            flops_fraction=going.flops_fraction,
            discrepancy=steps.deltas[-1],
            threshold=steps.thresholds[-1],
            reason=reason,
            preprocess_ms=times_ms["preprocess"],
            vision_ms=times_ms["vision"],
            backbone_ms=times_ms["backbone"],
            head_ms=times_ms["head"],
            total_ms=1e3 * watch.elapsed_s(),
            exits_evaluated=tuple(steps.exits),
            discrepancies=tuple(steps.deltas),
            thresholds=tuple(steps.thresholds),
        )
        return PolicyOutput(actions_HD=self._decode(actions_HD), end_of_substep=end, trace=trace)

    @torch.inference_mode()
    def all_exits(
        self, observations: Sequence[Observation], metric: str | None = None
    ) -> ExitStudy:
        """Every exit of a batch of observations, with the noise their ticks would have.

        Args:
            metric: of the discrepancies; by default the configuration's.
        """
        metric = metric or self.network.config.metric
        count = len(self.network.config.exits)
        given = self.prepare(observations)
        watch = Stopwatch(self.device, self.clock)
        going = ExitPass(self.network, self.settings, given, watch)
        signals, actions, ends = [], [], []
        for exit_index in range(count):
            signals.append(going.signal(exit_index).cpu().numpy())
            own = self.settings.own
            actions.append(signals[-1] if own else going.actions(exit_index).cpu().numpy())
            ends.append(going.end_probability(exit_index).cpu().numpy())
        normalised_KNHD, full_NHD = np.stack(signals), actions[-1]
        if self._chained:
            again = ExitPass(self.network, self.settings, given, watch)
            full_NHD = again.actions(count - 1).cpu().numpy()
        deltas_KN = np.full((count, len(observations)), _NONE)
        for k in range(1, count):
            for n in range(len(observations)):
                deltas_KN[k, n] = discrepancy(
                    normalised_KNHD[k, n], normalised_KNHD[k - 1, n], metric
                )
        return ExitStudy(
            normalised_KNHD=normalised_KNHD,
            actions_KNHD=self._decode(np.stack(actions)),
            full_NHD=self._decode(full_NHD),
            deltas_KN=deltas_KN,
            end_KN=np.stack(ends),
        )

    def prepare(self, observations: Sequence[Observation]) -> PassInput:
        """Normalised tensors on the network's device, with the noise of each tick.

        Raises:
            ObservationRefused: a camera of the model is missing.
        """
        config, device = self.network.config, self.device
        ids_BT, mask_BT = self.tokenizer.encode([o.instruction for o in observations])
        state_BD = self.normaliser.encode_state(np.stack([o.state_D for o in observations]))
        cold = self.settings.head == "fm" and self.settings.start == "cold"
        draws = len(config.exits) if cold else 1
        noise_KBHD = np.stack(
            [
                tick_noise(self.seed, o.stamp_ns, draws, config.horizon, config.noise_dim)
                for o in observations
            ],
            axis=1,
        )
        return PassInput(
            images_VNHWC=[
                torch.from_numpy(_images(observations, camera.name)).to(device)
                for camera in config.cameras
            ],
            text_ids_BT=ids_BT.to(device),
            text_mask_BT=mask_BT.to(device),
            state_BD=torch.from_numpy(state_BD.astype(np.float32)).to(device),
            noise_KBHD=torch.from_numpy(noise_KBHD).to(device),
        )

    def _decode(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.normaliser.decode_actions(normalised).astype(np.float32)

    def _plan(self, setting: ExitSetting) -> list[int]:
        """Numbers of the exits to look at, in order."""
        exits = self.network.config.exits
        if setting.mode == "full":
            return [len(exits) - 1]
        if setting.mode == "fixed":
            return [self._exit_index(setting.fixed_exit, "fixed_exit")]
        if setting.thresholds is None:
            raise A1Error("setting.thresholds: none; adaptive mode needs calibrated thresholds")
        blocks = setting.thresholds.exits
        plan = [self._exit_index(block, "thresholds.exits") for block in blocks]
        if self._chained and plan != list(range(len(exits))):
            raise A1Error(
                f"setting.thresholds.exits: {blocks}; with the start {self.settings.start} every "
                f"exit must be looked at, {exits}"
            )
        return plan

    @property
    def _chained(self) -> bool:
        """Whether an exit's chunk depends on the exits looked at before it."""
        return starts_from_each_other(self.settings.head, self.settings.start)

    def _exit_index(self, block: int | None, field: str) -> int:
        exits = self.network.config.exits
        if block not in exits:
            raise A1Error(f"setting.{field}: block {block} is no exit; one of {exits}")
        return exits.index(block)


class _Steps:
    """The exits looked at so far; only the newest signal is kept."""

    def __init__(self) -> None:
        self.exits: list[int] = []
        self.deltas: list[float] = []
        self.thresholds: list[float] = []
        self.signal_HD: NDArray[np.float32]

    def add(
        self, exit_index: int, signal_HD: NDArray[np.float32], delta: float, threshold: float
    ) -> None:
        self.exits.append(exit_index)
        self.deltas.append(delta)
        self.thresholds.append(threshold)
        self.signal_HD = signal_HD


def _actions(going: ExitPass, exit_index: int, kept: KeptRows | None) -> NDArray[np.float32]:
    """The one chunk [H, D] of an exit, normalised; free where nothing is kept."""
    if kept is None:
        return going.actions(exit_index)[0].cpu().numpy()
    return going.kept_actions(exit_index, kept)[0].cpu().numpy()


def _images(observations: Sequence[Observation], camera: str) -> NDArray[np.uint8]:
    for observation in observations:
        if camera not in observation.images:
            raise ObservationRefused(
                "CAMERA_MISSING",
                f"the model needs camera {camera}, got {sorted(observation.images)}",
            )
    return np.stack([observation.images[camera] for observation in observations])
