"""Skip-gram vectors: tokens that stand in the same places end up alike."""

import numpy as np
import pytest

from trainers.skipgram import SCALE, skipgram_vectors

pytest.importorskip("gensim", reason="needs gensim (the extra `pretrain`)")


def rows():
    """Words 0 to 19 stand among one set of neighbours, 20 to 39 among another."""
    generator = np.random.default_rng(0)
    made = []
    for _ in range(4000):
        side = generator.integers(2)
        neighbours = 100 + 50 * side + generator.integers(50, size=4)
        made.append(np.insert(neighbours, 2, 20 * side + generator.integers(20)))
    return made


def test_tokens_used_alike_are_alike_and_a_seed_gives_the_same():
    vectors = skipgram_vectors(rows(), 16, epochs=10, seed=1)
    assert set(range(40)) <= set(vectors)
    flat = np.stack(list(vectors.values()))
    assert flat.dtype == np.float32
    assert np.sqrt(np.mean(flat**2)) == pytest.approx(SCALE, rel=1e-4)

    def cosine(a, b):
        return vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])

    assert cosine(10, 11) > cosine(10, 30) + 0.1
    assert cosine(30, 31) > cosine(11, 31) + 0.1
    again = skipgram_vectors(rows(), 16, epochs=10, seed=1)
    assert all(np.array_equal(vectors[token], again[token]) for token in vectors)
