"""Orders in which examples are visited: grouped by length to train, sorted by it to infer."""

from collections.abc import Callable, Iterator, Sequence

import datasets
import numpy as np
import pyarrow.compute
import torch
from torch.utils.data import Dataset, Sampler
from transformers.trainer_utils import EvalPrediction

Rows = np.ndarray | tuple | None


def token_counts(dataset: Dataset, column: str = "input_ids") -> np.ndarray:
    """Counts the tokens of every example.

    Args:
        dataset: A `datasets.Dataset`, or a sequence of dictionaries.
        column: The column that holds the tokens.

    Returns:
        int [N].
    """
    if isinstance(dataset, datasets.Dataset):
        # read from Arrow: listing the rows one by one takes half a minute on 150,000
        tokens = dataset.with_format("arrow")[:][column]
        return pyarrow.compute.list_value_length(tokens).to_numpy()
    return np.array([len(dataset[index][column]) for index in range(len(dataset))])


def real_token_fraction(lengths: Sequence[int] | np.ndarray, batch_size: int) -> float:
    """Says what part of the tokens in padded batches is real.

    Args:
        lengths: Token counts in the order visited.
        batch_size: Examples per batch.

    Returns:
        Real tokens divided by all tokens, padding included.
    """
    lengths = np.asarray(lengths)
    padded = sum(
        lengths[start : start + batch_size].max() * len(lengths[start : start + batch_size])
        for start in range(0, len(lengths), batch_size)
    )
    return float(lengths.sum() / padded)


class GroupedByLengthSampler(Sampler[int]):
    """Visits the examples at random, in batches of nearly equal length.

    Each epoch shuffles the examples, sorts pools of `pool_batches` batches by length, cuts the
    pools into batches and shuffles the batches. A batch is that of one update over all
    processes, so every process gets texts of like length and the order of the examples does
    not depend on how many processes share it. The ragged last batch comes last.

    Args:
        lengths: Token counts, int [N].
        batch_size: Examples per batch, over all processes.
        seed: Seed of the order; with the epoch it determines it.
        pool_batches: Batches per sorted pool. More of them waste less on padding and mix less.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        batch_size: int,
        seed: int,
        pool_batches: int = 100,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.pool_size = pool_batches * batch_size
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order comes next."""
        self.epoch = epoch

    def order(self) -> np.ndarray:
        """Computes the epoch's order, int [N]."""
        generator = np.random.default_rng([self.seed, self.epoch])
        shuffled = generator.permutation(len(self.lengths))
        full = len(shuffled) // self.batch_size * self.batch_size
        pools = [
            pool[np.argsort(-self.lengths[pool], kind="stable")]
            for pool in np.split(shuffled[:full], range(self.pool_size, full, self.pool_size))
        ]
        batches = np.concatenate(pools).reshape(-1, self.batch_size)
        return np.concatenate([generator.permutation(batches).ravel(), shuffled[full:]])

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())


class SortedByLengthSampler(Sampler[int]):
    """Visits the examples from the longest to the shortest, so a lack of memory shows at once.

    Args:
        lengths: Token counts, int [N].
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray) -> None:
        self.order = np.argsort(-np.asarray(lengths), kind="stable")

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())

    def restore(self, visited: Rows) -> Rows:
        """Puts rows that came in this order back into the order of the data set.

        Args:
            visited: Rows as visited, [N, ...]; a tuple of such; None is none.

        Returns:
            Rows in data set order, likewise.
        """
        if visited is None:
            return None
        if isinstance(visited, tuple):
            return tuple(self.restore(part) for part in visited)
        rows = np.empty_like(visited)
        rows[self.order] = visited
        return rows


def restored(prediction: EvalPrediction, restore: Callable[[Rows], Rows]) -> EvalPrediction:
    """Puts what a metric function sees into data set order.

    Args:
        prediction: Predictions, labels and what else was asked for, as visited.
        restore: `SortedByLengthSampler.restore`.

    Returns:
        The same in data set order.
    """
    return EvalPrediction(
        predictions=restore(prediction.predictions),
        label_ids=restore(prediction.label_ids),
        inputs=restore(prediction.inputs),
        losses=restore(prediction.losses),
    )


def has_token_counts(dataset: Dataset) -> bool:
    """Says whether the examples are token lists whose lengths can be known beforehand."""
    if isinstance(dataset, torch.utils.data.IterableDataset) or len(dataset) == 0:
        return False
    first = dataset[0]
    return isinstance(first, dict) and "input_ids" in first
