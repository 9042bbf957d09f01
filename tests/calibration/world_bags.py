"""Bags of simulated episodes, and a tiny checkpoint with random weights."""

from pathlib import Path

import bag_rig
import numpy as np
import torch
from bag_rig import JOINTS, MS, START, Message, write_bag
from networks import eight_blocks

from a1_core.normaliser import Normaliser
from a1_core.spec import RobotSpec
from a1_model.checkpoint import save_checkpoint
from a1_model.network import A1Network
from a1_model.tokenizer import InstructionTokenizer
from a1_world.drive import Driver
from a1_world.expert import Expert
from a1_world.scene import FINGER_OPEN_M
from a1_world.world import World

TICK_S = 0.1
DELAY_NS = 5 * MS
WORDS = ["touch put the red green blue yellow purple orange white black cube in bowl"]
EPISODE_GAP_NS = 60_000 * MS


def record_episode(world: World, spec: RobotSpec, seed: int, seconds: float) -> list[Message]:
    """An episode of the scripted expert as a robot would publish it."""
    task = world.reset(seed, kind="touch")
    driver, expert = Driver(world), Expert(world)
    began_s = world.time_s
    messages = [
        Message(
            "/a1/episode",
            bag_rig.EPISODE,
            START,
            bag_rig.event(1, True, instruction=task.instruction),
        )
    ]
    while (elapsed := world.time_s - began_s) < seconds:
        stamp = START + seed * EPISODE_GAP_NS + round(elapsed * 1e9)
        messages += look(world, spec, stamp)
        driver.play(expert.rows(), TICK_S, stop_when_over=False)
    messages[0].received_ns = messages[1].received_ns - 1
    return messages


def look(world: World, spec: RobotSpec, stamp: int) -> list[Message]:
    arm, hand = spec.state_sources
    finger = world.finger_position
    q = world.joint_positions
    found = [
        Message(arm.topic, JOINTS, stamp, bag_rig.joints(stamp, arm.joints, q)),
        Message(hand.topic, JOINTS, stamp, bag_rig.joints(stamp, hand.joints, [finger])),
    ]
    assert finger <= FINGER_OPEN_M + 1e-2
    for camera in spec.cameras:
        pixels = world.render(camera.name)
        found.append(Message(camera.topic, bag_rig.IMAGE, stamp, bag_rig.image(stamp, pixels)))
    for message in found:
        message.received_ns += DELAY_NS
    return found


def write_bags(folder: Path, spec: RobotSpec, episodes: int, seconds: float) -> Path:
    """One bag an episode: episode_000, episode_001, ..."""
    folder.mkdir()
    with World() as world:
        for seed in range(episodes):
            messages = record_episode(world, spec, seed, seconds)
            write_bag(folder / f"episode_{seed:03d}", messages)
    return folder


def write_checkpoint(
    folder: Path, spec: RobotSpec, seed: int = 0, config=eight_blocks, **changes
) -> Path:
    """A network with random weights; `config` makes it for a number of words."""
    torch.manual_seed(seed)
    tokenizer = InstructionTokenizer.from_words(WORDS[0].split())
    network = A1Network(config(vocab_size=len(tokenizer), **changes)).eval()
    normaliser = Normaliser(
        names=spec.action_names,
        state_low_D=np.full(8, -3.0),
        state_high_D=np.full(8, 3.0),
        action_low_D=np.full(8, -0.02),
        action_high_D=np.full(8, 0.02),
    )
    save_checkpoint(
        folder,
        network=network,
        tokenizer=tokenizer,
        normaliser=normaliser,
        spec=spec,
        metadata={},
    )
    return folder
