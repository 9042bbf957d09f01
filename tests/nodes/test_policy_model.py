"""The policy node with a real network: tiny, randomly initialised, saved and loaded."""

import numpy as np
import pytest
import torch
from a1_msgs.msg import ExitState
from networks import eight_blocks
from policy_rig import write_known_thresholds, write_quick_spec
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from a1_core.normaliser import Normaliser
from a1_core.spec import load_spec
from a1_model.checkpoint import save_checkpoint
from a1_model.network import A1Network
from a1_model.tokenizer import InstructionTokenizer
from a1_policy_node.node import PolicyNode
from a1_ros.messages import msg_to_chunk

SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.fixture
def checkpoint(spec_file, tmp_path):
    """(directory, digest, digest of the normaliser) of a checkpoint for the quick spec."""
    spec = load_spec(spec_file)
    torch.manual_seed(0)
    tokenizer = InstructionTokenizer.from_words(["touch", "the", "red", "cube"])
    ones_D = np.ones(spec.dim)
    normaliser = Normaliser(
        names=spec.action_names,
        state_low_D=-ones_D,
        state_high_D=ones_D,
        action_low_D=-0.1 * ones_D,
        action_high_D=0.1 * ones_D,
    )
    digest = save_checkpoint(
        tmp_path / "checkpoint",
        network=A1Network(eight_blocks(len(tokenizer))),
        tokenizer=tokenizer,
        normaliser=normaliser,
        spec=spec,
        metadata={},
    )
    return tmp_path / "checkpoint", digest, normaliser.digest


@pytest.fixture
def make_node(ros, spec_file, checkpoint):
    def make(**parameters):
        values = {"robot": str(spec_file), "checkpoint": str(checkpoint[0]), **parameters}
        return ros.add(
            PolicyNode(
                parameter_overrides=[Parameter(k, value=v) for k, v in values.items()],
                use_global_arguments=False,
            )
        )

    return make


def test_a_network_gives_chunks_and_its_exits_can_be_fixed(robot, make_node, checkpoint, wait_for):
    node = make_node(replan_period=0.05)
    assert node.trigger_configure() is SUCCESS
    assert node.trigger_activate() is SUCCESS
    robot.start()
    assert robot.ask("touch the red cube").success
    assert wait_for(lambda: len(robot.chunks) >= 2 and robot.exit_states)
    chunk, state = msg_to_chunk(robot.chunks[0]), robot.exit_states[0]
    assert chunk.actions_HD.shape == (16, 8)
    assert chunk.checkpoint_digest == checkpoint[1]
    assert (state.exit_layer, state.num_layers, state.reason) == (8, 8, ExitState.FULL)
    assert state.total_ms > state.backbone_ms > 0.0
    node.set_parameters_atomically(
        [Parameter("mode", value="fixed"), Parameter("fixed_exit", value=2)]
    )
    assert wait_for(lambda: robot.exit_states[-1].reason == ExitState.FIXED)
    assert robot.exit_states[-1].exit_layer == 3
    assert robot.exit_states[-1].exit_index == 1


def test_thresholds_let_a_network_leave_early(robot, make_node, checkpoint, tmp_path, wait_for):
    """With thresholds that everything passes, it leaves at the first exit that may fire."""
    _, digest, normaliser_digest = checkpoint
    path = tmp_path / "thresholds.yaml"
    file = write_known_thresholds(
        path, robot.spec, eta=1e9, checkpoint=digest, normaliser=normaliser_digest
    )
    node = make_node(replan_period=0.05, thresholds=str(path))
    assert node.trigger_configure() is SUCCESS
    assert node.trigger_activate() is SUCCESS
    robot.start()
    assert robot.ask("touch the red cube").success
    assert wait_for(lambda: robot.chunks and robot.exit_states)
    state = robot.exit_states[0]
    assert (state.exit_layer, state.exit_index, state.reason) == (3, 1, ExitState.CONVERGED)
    assert list(state.exits_evaluated) == [0, 1]
    assert state.discrepancy <= state.threshold
    assert robot.chunks[0].thresholds_digest == file.thresholds.digest


def test_a_checkpoint_that_was_changed_is_refused(make_node, checkpoint, heard_lifecycle, wait_for):
    weights = checkpoint[0] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert make_node().trigger_configure() is TransitionCallbackReturn.FAILURE
    assert wait_for(lambda: any("copy it again" in m for m in heard_lifecycle)), heard_lifecycle


def test_a_device_that_is_not_there_is_refused(make_node, heard_lifecycle, wait_for):
    node = make_node(device="cuda:99")
    assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert wait_for(lambda: any("cuda:99" in m for m in heard_lifecycle)), heard_lifecycle


def test_a_checkpoint_for_other_cameras_is_refused(make_node, tmp_path, heard_lifecycle, wait_for):
    spec = write_quick_spec(tmp_path / "other.yaml")
    spec.write_text(spec.read_text().replace("name: wrist", "name: side"))
    assert make_node(robot=str(spec)).trigger_configure() is TransitionCallbackReturn.FAILURE
    assert wait_for(lambda: any("cameras" in m and "'side'" in m for m in heard_lifecycle))
