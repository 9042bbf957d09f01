"""The compiled segments give the chunks of the plain ones."""

import dataclasses

import pytest
import torch

from a1_model.compiled import compile_segments
from a1_model.exit_pass import ExitPass, HeadSettings
from a1_model.stopwatch import Stopwatch


@pytest.fixture
def make_shallow(make_network):
    """Three layers: their kernels are those of any number."""

    def make():
        config = make_network().config
        backbone = dataclasses.replace(config.backbone, layers=3)
        return make_network(backbone=backbone, exits=(1, 2)).requires_grad_(False)

    return make


@torch.inference_mode()
def test_compiled_segments_give_the_same_chunks(make_shallow, make_policy, make_observation):
    plain, compiled = make_shallow(), make_shallow()
    compile_segments(compiled)
    for head in ("fm", "mlp"):
        settings = HeadSettings(head=head, num_steps=2, start="shared", renoise_tau=0.5)
        for text in ("touch the red cube", "put the green cube in the bowl"):
            given = make_policy(plain, settings=settings).prepare(
                [make_observation(instruction=text)]
            )
            one, other = (
                ExitPass(network, settings, given, Stopwatch(torch.device("cpu")))
                for network in (plain, compiled)
            )
            for exit_index in range(2):
                found, expected = other.actions(exit_index), one.actions(exit_index)
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    kernels = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert kernels >= 3, "nothing was compiled"
