"""Bags over a Ray cluster: the result of one process. Real Ray, where it is installed."""

import struct
import sys
from dataclasses import replace

import numpy as np
import pytest

from a1_calibration.collect import Done, groups_of
from a1_calibration.many_bags import Work, _measure_group, _told, measure_on_ray, open_checkpoint
from a1_calibration.pipeline import calibrate
from a1_calibration.recordings import open_recordings
from a1_calibration.request import Cancelled
from a1_core.errors import A1Error, BagError, CheckpointError

BATCH = 2


@pytest.fixture
def work(make_request, spec):
    request = make_request(batch=BATCH, ray="local")
    digest = open_checkpoint(request, spec).digest
    return Work.of(request, spec, digest, "l2")


@pytest.fixture
def groups(work, spec):
    recordings = open_recordings(work.request.fit_bags, (), spec, work.request.read)
    return groups_of(recordings, BATCH, 1 / 3)


def test_groups_hold_every_bag_once_in_order_and_some_batches_each(groups):
    assert [number for group in groups for number in group] == list(range(8))
    assert len(groups) > 2
    assert {len(group) for group in groups[:-1]} == {3}  # of 17 images, a third of them ticks


def test_a_group_does_not_depend_on_what_is_done_elsewhere(work, groups):
    """Begun anew after its first batch it goes on with the same numbers."""
    whole = list(_measure_group(work, *_told(groups[1], Done())))
    first = whole[0].block
    (bag,) = set(first["bag_N"].tolist())
    done = Done(stamps={bag: first["stamp_N"].tolist()})
    rest = list(_measure_group(work, *_told(groups[1], done)))
    assert len(rest) == len(whole) - 1
    for ours, theirs in zip(rest, whole[1:], strict=True):
        assert ours.block.keys() == theirs.block.keys()
        for name in ours.block:
            np.testing.assert_array_equal(ours.block[name], theirs.block[name])
    assert [a.bag for m in whole for a in m.accounts] == list(groups[1])


def test_a_worker_that_sees_other_files_says_so(work, groups):
    bags, stamps, finished = _told(groups[0], Done())
    bags[0] = (*bags[0][:2], "e" * 64)
    with pytest.raises(BagError, match="not the bag that calibration was started with"):
        next(_measure_group(work, bags, stamps, finished))
    other = replace(work, checkpoint_digest="e" * 64)
    with pytest.raises(CheckpointError, match="let every machine of the cluster see the same"):
        next(_measure_group(other, *_told(groups[0], Done())))


def test_without_ray_there_is_one_clear_error(work, groups, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(A1Error, match="ray is not installed: `pip install ray`"):
        next(measure_on_ray(work, groups, Done()))


def test_ray_goes_on_with_what_one_process_began_and_gives_what_that_gives(
    make_request, spec, silent, tmp_path
):
    pytest.importorskip("ray", reason="optional: pip install ray")
    alone = make_request(batch=BATCH)
    spread = make_request(batch=BATCH, out=tmp_path / "spread.yaml")
    told = []

    def stop_after_two(stage, done, total):
        told.append(done)
        if len(told) == 3:  # the first says 0
            raise Cancelled

    with pytest.raises(Cancelled):
        calibrate(spread, spec, stop_after_two)
    found = calibrate(replace(spread, ray="local"), spec, silent)
    expected = calibrate(alone, spec, silent)
    assert found.file.thresholds.eta == expected.file.thresholds.eta
    assert found.file.bags == expected.file.bags
    assert found.samples == expected.samples
    assert sorted(blocks_of(spread.v_path)) == sorted(blocks_of(alone.v_path))


def blocks_of(path) -> list[bytes]:
    """The blocks' bytes of a V file, without the two lines before them."""
    data = path.read_bytes().split(b"\n", 2)[2]
    blocks = []
    while data:
        length, _ = struct.unpack_from("<QI", data)
        blocks.append(data[12 : 12 + length])
        data = data[12 + length :]
    return blocks


def test_what_a_worker_says_reaches_the_user(work, groups):
    pytest.importorskip("ray", reason="optional: pip install ray")
    other = replace(work, checkpoint_digest="e" * 64)
    with pytest.raises(CheckpointError, match="not the one that calibration was started with"):
        list(measure_on_ray(other, groups[:1], Done()))
