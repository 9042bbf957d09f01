"""Action tokens: what is lost, what is joined, what is refused."""

import numpy as np
import pytest
import torch

from a1_core.errors import A1Error
from a1_model.fast_tokens import FastTokenizer


def smooth(count, seed=0, horizon=16, dim=8):
    """Chunks that move evenly, as arms do."""
    rng = np.random.default_rng(seed)
    ends = rng.uniform(-1, 1, (count, 1, dim))
    return np.linspace(0, 1, horizon)[None, :, None] * ends


@pytest.fixture(scope="module")
def fast():
    return FastTokenizer.fit(smooth(400), vocab=300)


def test_a_chunk_comes_back_within_the_rounding(fast):
    chunks = smooth(20, seed=1)
    ids, mask = fast.encode(chunks)
    for row, real, chunk in zip(ids, mask, chunks, strict=True):
        back = fast.decode(row[real].tolist())
        # Orthonormal cosines: the rounding of the coefficients is all that is lost.
        assert np.sqrt(np.mean((back - chunk) ** 2)) <= 0.5 / fast.scale + 1e-9


def test_smooth_chunks_are_short_sentences_and_noise_is_not(fast):
    _, mask = fast.encode(smooth(20, seed=1))
    assert mask.sum(1).max() < 16 * 8 / 2
    _, noisy = fast.encode(0.3 * np.random.default_rng(0).normal(size=(20, 16, 8)))
    assert noisy.sum(1).float().mean() > mask.sum(1).float().mean()


def test_every_sentence_ends_once(fast):
    ids, mask = fast.encode(smooth(9, seed=2))
    assert ((ids == 0) & mask).sum(1).eq(1).all()
    last = mask.sum(1) - 1
    assert ids[torch.arange(9), last].eq(0).all()


def test_the_lowest_frequencies_come_first(fast):
    chunk = smooth(1, seed=3)
    ids, mask = fast.encode(chunk)
    half = ids[0, : int(mask.sum()) // 2].tolist()
    rough, nothing = fast.decode(half), fast.decode([])
    assert not nothing.any()
    assert np.abs(rough - chunk[0]).mean() < 0.5 * np.abs(chunk[0]).mean()


def test_numbers_never_met_become_the_nearest_known(fast):
    ids, mask = fast.encode(np.full((1, 16, 8), 50.0))
    assert np.allclose(fast.decode(ids[0][mask[0]].tolist())[0, 0], fast.high / fast.scale / 4)


def test_it_survives_being_written(fast):
    again = FastTokenizer.from_json(fast.to_json())
    chunks = smooth(5, seed=4)
    assert torch.equal(again.encode(chunks)[0], fast.encode(chunks)[0])
    assert again.vocab == fast.vocab <= 300


def test_the_same_chunks_give_the_same_tokens(fast):
    assert FastTokenizer.fit(smooth(400), vocab=300).to_json() == fast.to_json()


@pytest.mark.parametrize(
    ("chunks", "named"),
    [
        (np.zeros((0, 16, 8)), "at least one"),
        (np.full((1, 16, 8), np.nan), "all finite"),
        (1e3 * smooth(3), "vocab is 512"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(chunks, named):
    with pytest.raises(A1Error, match=named):
        FastTokenizer.fit(chunks)


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_tokens_that_cannot_be_read(text):
    with pytest.raises(A1Error, match="action tokens: cannot be read"):
        FastTokenizer.from_json(text)
