"""Conversions between a1_core's values and the wire; the wire's codes are a1_core's."""

import array
import dataclasses
import uuid

import numpy as np
import pytest
from a1_msgs import msg as wire
from sensor_msgs.msg import JointState

from a1_core.chunk import ActionChunk, ActionSpace, DeltaBase, RotationKind, Source
from a1_core.errors import A1Error
from a1_core.policy import ExitReason, ExitTrace
from a1_core.verdict import Verdict, VerdictCode
from a1_ros.messages import (
    chunk_to_msg,
    joint_state_arrays,
    msg_to_chunk,
    msg_to_uuid,
    msg_to_verdict,
    to_joint_state,
    trace_to_msg,
    uuid_to_msg,
    verdict_to_msg,
)
from a1_ros.times import ns_to_duration, ns_to_stamp, stamp_to_ns

STAMP_NS = 1_234_567_890_123_456_789
CHUNK = ActionChunk(
    stamp_ns=STAMP_NS,
    session_id=str(uuid.uuid4()),
    seq=7,
    source=Source.TAKEOVER,
    robot="franka",
    spec_digest="a" * 64,
    action_space=ActionSpace.EE_DELTA,
    delta_base=DeltaBase.PREVIOUS_ROW,
    rotation=RotationKind.ROT6D,
    tip_frame="hand",
    base_frame="base",
    period_ns=100_000_000,
    valid_for_ns=1_500_000_000,
    committed_rows=2,
    end_of_substep=0.25,
    exit_layer=5,
    checkpoint_digest="b" * 64,
    thresholds_digest="c" * 64,
    names=("x", "y", "gripper"),
    actions_HD=np.arange(12, dtype=np.float32).reshape(4, 3),
)


def test_a_chunk_survives_the_wire():
    msg = chunk_to_msg(CHUNK)
    assert (msg.horizon, msg.dim, msg.header.frame_id) == (4, 3, "base")
    back = msg_to_chunk(msg)
    for field in dataclasses.fields(ActionChunk):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(CHUNK, field.name))


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [
        ("horizon", 5, "send horizon \\* dim numbers"),
        ("names", ["x"], "dim names"),
        ("data", array.array("f"), "send horizon"),
        ("source", 9, "source 9 is unknown; send one of 0 POLICY"),
        ("action_space", 9, "JOINT_DELTA"),
        ("delta_base", 9, "PREVIOUS_ROW"),
        ("rotation", 9, "ROTVEC"),
    ],
)
def test_a_chunk_that_contradicts_itself_is_an_error(field, value, mend):
    msg = chunk_to_msg(CHUNK)
    setattr(msg, field, value)
    with pytest.raises(A1Error, match=mend):
        msg_to_chunk(msg)


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix"),
    [
        (Source, wire.ActionChunk, "SOURCE_"),
        (ActionSpace, wire.ActionChunk, ""),
        (DeltaBase, wire.ActionChunk, "DELTA_"),
        (RotationKind, wire.ActionChunk, ""),
        (ExitReason, wire.ExitState, ""),
        (VerdictCode, wire.ChunkVerdict, ""),
    ],
)
def test_codes_are_the_wires(ours, theirs, prefix):
    assert {m.name: m.value for m in ours} == {
        m.name: getattr(theirs, prefix + m.name) for m in ours
    }


def test_a_verdict_survives_the_wire():
    verdict = Verdict(code=VerdictCode.STEP, detail="0.3 rad")
    msg = verdict_to_msg(
        verdict, session_id=CHUNK.session_id, seq=7, stamp_ns=STAMP_NS, base_frame="base"
    )
    assert (msg_to_uuid(msg.session_id), msg.seq) == (CHUNK.session_id, 7)
    assert msg_to_verdict(msg) == verdict


def test_what_was_not_computed_is_nan_on_the_wire():
    trace = ExitTrace(
        exit_layer=3,
        num_layers=8,
        exit_index=1,
        depth_fraction=0.375,
        flops_fraction=0.4,
        discrepancy=float("nan"),
        threshold=float("nan"),
        reason=ExitReason.FIXED,
        preprocess_ms=1.0,
        vision_ms=2.0,
        backbone_ms=3.0,
        head_ms=4.0,
        total_ms=10.0,
        exits_evaluated=(1,),
        discrepancies=(float("nan"),),
        thresholds=(float("nan"),),
    )
    msg = trace_to_msg(
        trace,
        stamp_ns=STAMP_NS,
        base_frame="base",
        seq=2,
        end_of_substep=0.75,
        observation_age_ms=5.0,
        camera_skew_ms=1.0,
        wait_ms=0.5,
        publish_ms=0.25,
    )
    assert (msg.publish_ms, msg.end_of_substep) == (0.25, 0.75)
    assert np.isnan([msg.discrepancy, msg.threshold, *msg.discrepancies, *msg.thresholds]).all()
    assert (msg.reason, msg.exit_layer, list(msg.exits_evaluated)) == (3, 3, [1])


def test_joint_states_keep_names_positions_and_stamp():
    msg = to_joint_state(["a", "b"], [0.5, -1.0], STAMP_NS, velocities=np.array([0.1, 0.2]))
    stamp_ns, names, positions = joint_state_arrays(msg)
    assert (stamp_ns, names) == (STAMP_NS, ("a", "b"))
    np.testing.assert_array_equal(positions, [0.5, -1.0])
    assert list(msg.velocity) == [0.1, 0.2]
    assert joint_state_arrays(JointState())[1] == ()


def test_the_empty_session_is_all_zero():
    assert msg_to_uuid(uuid_to_msg("")) == ""


def test_times_are_exact_and_may_be_negative():
    assert stamp_to_ns(ns_to_stamp(STAMP_NS)) == STAMP_NS
    assert stamp_to_ns(ns_to_duration(-1_500_000_000)) == -1_500_000_000
