"""The loss that makes exits agree."""

import pytest
import torch

from a1_model.losses import training_losses


def distil(network, batch):
    return training_losses(network, batch, torch.Generator().manual_seed(5), ("distil",))


def test_distil_is_the_distance_of_each_exit_from_the_last_one(make_network, make_batch):
    """Of what each says the actions are, in all draws, over the rows that count."""
    network, batch = make_network(), make_batch()
    seen, velocity = [], network.expert.velocity

    def watched(exit_index, actions, noisy, tau):
        said = velocity(exit_index, actions, noisy, tau)
        seen.append((noisy + (1 - tau) * said).unflatten(1, (-1, network.config.horizon)))
        return said

    network.expert.velocity = watched
    values = distil(network, batch)
    rows = batch.row_weight_BH * batch.action_valid_B[:, None]
    heard = []
    for each in seen[:-1]:
        error = (each - seen[-1]).square().mean((1, 3))
        heard.append((error * rows).sum() / rows.sum())
    assert len(heard) == len(network.config.exits) - 1 >= 1
    torch.testing.assert_close(values["distil_by_exit"], torch.stack(heard))
    torch.testing.assert_close(values["distil"], torch.stack(heard).mean())


def test_distil_moves_the_earlier_exits_only(make_network, make_batch):
    network = make_network()
    distil(network, make_batch())["distil"].backward()
    last = len(network.config.exits) - 1
    moved = [
        any(
            p.grad is not None and p.grad.abs().sum() > 0
            for p in network.expert.readouts[number].parameters()
        )
        for number in range(last + 1)
    ]
    assert moved == [True] * last + [False]


def test_distil_wants_every_exit(make_network, make_batch):
    with pytest.raises(ValueError, match="all_exits"):
        training_losses(make_network(), make_batch(), None, ("distil",), "random_exit")
