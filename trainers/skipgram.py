"""Embeddings to start pretraining from: skip-gram vectors of the word pieces."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np

logger = logging.getLogger(__name__)

SCALE = 0.1  # root mean square of the vectors' entries: large beside fresh positions (0.02)


class _Sentences:
    """The rows as gensim reads them, again for every epoch."""

    def __init__(self, rows: Sequence[np.ndarray]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[list[str]]:
        for row in self.rows:
            yield [str(token) for token in row.tolist()]


def skipgram_vectors(
    rows: Sequence[np.ndarray],
    dimension: int,
    *,
    epochs: int,
    window: int = 4,
    seed: int = 0,
    workers: int = 1,
) -> dict[int, np.ndarray]:
    """Trains skip-gram vectors with negative sampling (Mikolov et al. 2013) on token ids.

    Args:
        rows: Token ids of each example, without special tokens.
        dimension: Size of a vector.
        epochs: Passes over the rows.
        window: Most tokens between two that are to predict each other.
        seed: Seed; with one worker it determines the vectors.
        workers: Threads.

    Returns:
        Token id -> float [dimension], scaled to a root mean square of `SCALE` over all entries.

    Raises:
        ModuleNotFoundError: If gensim is not installed (the extra `pretrain`).
    """
    from gensim.models import Word2Vec  # only pretraining needs it

    model = Word2Vec(
        _Sentences(rows),
        vector_size=dimension,
        window=window,
        sg=1,
        negative=5,
        min_count=1,
        epochs=epochs,
        seed=seed,
        workers=workers,
    )
    vectors = model.wv.vectors * (SCALE / np.sqrt(np.mean(model.wv.vectors**2)))
    logger.info("skip-gram vectors of %d word pieces", len(vectors))
    return {int(word): vectors[index] for index, word in enumerate(model.wv.index_to_key)}
