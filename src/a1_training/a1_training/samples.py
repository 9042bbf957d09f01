"""From stored samples to training batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from a1_core.chunk import is_gripper
from a1_core.normaliser import Normaliser
from a1_model.batch import TrainBatch
from a1_model.tokenizer import InstructionTokenizer
from a1_world.shards import Shards


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is changed about a sample each time it is drawn.

    Attributes:
        brightness: largest relative change of all images of a sample.
        state_mask_probability: chance that the state is replaced by the middle of its range.
    """

    brightness: float
    state_mask_probability: float


def fit_normaliser(names: Sequence[str], *sources: Shards) -> Normaliser:
    """Quantile bounds (q01, q99) of states and of actions, all rows of all sources together.

    Sources without any action, such as pointing, do not count. Grippers are already in 0..1 and
    keep exactly these bounds, so that open and closed are reachable however rare one of them is
    in the data.
    """
    acting = [source for source in sources if source.action_valid_N.any()]
    state_ND = np.concatenate([source.state_ND for source in acting])
    actions_NHD = np.concatenate([source.actions_NHD for source in acting])
    state_low, state_high = np.quantile(state_ND, (0.01, 0.99), axis=0)
    rows_RD = actions_NHD.reshape(-1, actions_NHD.shape[-1])
    action_low, action_high = np.quantile(rows_RD, (0.01, 0.99), axis=0)
    grippers = [is_gripper(name) for name in names]
    for low, high in ((state_low, state_high), (action_low, action_high)):
        low[grippers], high[grippers] = 0.0, 1.0
    return Normaliser(
        names=tuple(names),
        state_low_D=state_low,
        state_high_D=state_high,
        action_low_D=action_low,
        action_high_D=action_high,
    )


# Offsets grow with the row, so equal weights would teach the last rows, which the next plan
# replaces before they are due, and leave the first ones to chance.
ROW_DECAY = 0.75


def row_weights(horizon: int, decay: float) -> np.ndarray:
    """float32 [H], mean 1: row r weighs (r + 1)^-decay."""
    weights_H = np.arange(1, horizon + 1) ** -float(decay)
    return (weights_H / weights_H.mean()).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Share:
    """One process's part of a batch.

    Attributes:
        batch: its samples.
        first: number of the first of them in the whole batch.
        total: samples of the whole batch.
    """

    batch: TrainBatch
    first: int
    total: int


class BatchSampler:
    """Draws batches from several sources in a given mixture, reproducibly.

    Args:
        sources: name to shards; a source without actions (pointing) trains the point head only.
        tokenizer: of the network that is trained.
        normaliser: of states and actions.
        seed: of the order in which samples are drawn and of the augmentation.
        row_decay: see `row_weights`.
    """

    def __init__(
        self,
        sources: Mapping[str, Shards],
        tokenizer: InstructionTokenizer,
        normaliser: Normaliser,
        augmentation: Augmentation,
        seed: int,
        row_decay: float = ROW_DECAY,
    ):
        self._sources = dict(sources)
        self._tokenizer = tokenizer
        self._normaliser = normaliser
        self._augmentation = augmentation
        self._row_decay = row_decay
        self.rng = np.random.default_rng(seed)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sources."""
        return tuple(self._sources)

    def draw(self, mixture: Mapping[str, float], images: int) -> TrainBatch:
        """All samples about `images` images, sources in the proportions of `mixture`."""
        return self.draw_share(mixture, images, slice(0, images)).batch

    def draw_share(self, mixture: Mapping[str, float], images: int, share: slice) -> Share:
        """Some of the batch that `draw` would give: all of it is drawn, the share is read.

        Args:
            share: of the images, with start and stop.
        """
        weights = np.array([mixture[name] for name in mixture], dtype=np.float64)
        counts = self.rng.multinomial(images, weights / weights.sum())
        chosen = [
            (self._sources[name], self.rng.integers(self._sources[name].num_images, size=count))
            for name, count in zip(mixture, counts, strict=True)
            if count
        ]
        samples_U = np.concatenate([x.samples_per_image(index) for x, index in chosen])
        starts_U = np.concatenate(([0], np.cumsum(samples_U)))
        first, stop, total = (int(starts_U[i]) for i in (share.start, share.stop, images))
        masked_N = self.rng.random(total) < self._augmentation.state_mask_probability
        spread = self._augmentation.brightness
        gain_U = self.rng.uniform(1 - spread, 1 + spread, size=images)
        batch = self._read(_within(chosen, share), masked_N[first:stop], gain_U[share])
        return Share(batch=batch, first=first, total=total)

    def _read(
        self,
        chosen: Sequence[tuple[Shards, np.ndarray]],
        masked_N: np.ndarray,
        gain_U: np.ndarray,
    ) -> TrainBatch:
        parts = [(shards, shards.samples_about(index)) for shards, index in chosen]
        per_image = [shards.samples_per_image(index) for shards, index in chosen]
        pictures = np.concatenate([shards.images_UVHWC(index) for shards, index in chosen])
        state = np.concatenate([shards.state_ND[index] for shards, index in parts])
        actions = np.concatenate([shards.actions_NHD[index] for shards, index in parts])
        valid = np.concatenate([shards.action_valid_N[index] for shards, index in parts])
        end = np.concatenate([shards.end_N[index] for shards, index in parts])
        points = np.concatenate(
            [
                np.stack((shards.points_NV2[index], shards.target_points_NV2[index]), axis=1)
                for shards, index in parts
            ]
        )
        weights_H = row_weights(actions.shape[1], self._row_decay)
        text = [shards.instructions[i] for shards, index in parts for i in index]
        ids, mask = self._tokenizer.encode(text)
        state = np.where(masked_N[:, None], 0.0, self._normaliser.encode_state(state))
        image_of_B = np.repeat(np.arange(len(gain_U)), np.concatenate(per_image))
        return TrainBatch(
            images_UVHWC=torch.from_numpy(_brighter(pictures, gain_U)),
            image_of_B=torch.from_numpy(image_of_B),
            text_ids_BT=ids,
            text_mask_BT=mask,
            state_BD=torch.from_numpy(state.astype(np.float32)),
            actions_BHD=torch.from_numpy(
                self._normaliser.encode_actions(actions).astype(np.float32)
            ),
            action_valid_B=torch.from_numpy(valid),
            row_weight_BH=torch.from_numpy(np.tile(weights_H, (len(valid), 1))),
            end_B=torch.from_numpy(end.astype(np.float32)),
            end_valid_B=torch.from_numpy(valid),
            points_BOV2=torch.from_numpy(np.nan_to_num(points).astype(np.float32)),
            points_valid_BOV=torch.from_numpy(np.isfinite(points).all(axis=-1)),
        )


def _within(
    chosen: Sequence[tuple[Shards, np.ndarray]], share: slice
) -> list[tuple[Shards, np.ndarray]]:
    """What of the chosen images lies in a share of them all, by source."""
    kept, before = [], 0
    for shards, index in chosen:
        mine = index[max(share.start - before, 0) : max(share.stop - before, 0)]
        before += len(index)
        if len(mine):
            kept.append((shards, mine))
    return kept


def _brighter(images_UVHWC: np.ndarray, gain_U: np.ndarray) -> np.ndarray:
    lit = images_UVHWC * gain_U.astype(np.float32)[:, None, None, None, None]
    return np.clip(lit, 0, 255).astype(np.uint8)
