"""Orders in which examples are visited."""

import datasets
import numpy as np
import pytest

from trainers.samplers import (
    GroupedByLengthSampler,
    SortedByLengthSampler,
    has_token_counts,
    real_token_fraction,
    token_counts,
)

LENGTHS = np.random.default_rng(0).lognormal(2.75, 0.75, 5000).clip(3, 128).astype(int)


@pytest.mark.parametrize("count", [1, 5, 31, 32, 33, 5000])
def test_every_example_is_visited_once(count):
    sampler = GroupedByLengthSampler(LENGTHS[:count], 32, seed=1)
    assert sorted(sampler) == list(range(count))
    assert len(sampler) == count


def test_batches_are_of_like_length_and_the_ragged_one_is_last():
    sampler = GroupedByLengthSampler(LENGTHS, 32, seed=1)
    order = sampler.order()
    assert real_token_fraction(LENGTHS[order], 32) > 0.93
    assert real_token_fraction(LENGTHS, 32) < 0.5
    spans = [np.ptp(LENGTHS[order[start : start + 32]]) for start in range(0, 4992, 32)]
    assert np.median(spans) <= 2
    # the last 5000 % 32 = 8 are a random handful, not the shortest ones
    assert np.ptp(LENGTHS[order[4992:]]) > 5


def test_the_order_of_batches_is_random():
    longest = LENGTHS[GroupedByLengthSampler(LENGTHS, 32, seed=1).order()][:4992]
    longest = longest.reshape(-1, 32).max(axis=1)
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_seed_and_epoch_determine_the_order():
    sampler = GroupedByLengthSampler(LENGTHS, 32, seed=1)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    assert list(GroupedByLengthSampler(LENGTHS, 32, seed=2)) != first
    again = GroupedByLengthSampler(LENGTHS, 32, seed=1)
    again.set_epoch(1)
    assert list(again) == second


def test_other_examples_share_a_batch_in_another_epoch():
    sampler = GroupedByLengthSampler(LENGTHS[:640], 32, seed=1)
    partners = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        batches = sampler.order().reshape(-1, 32)
        (row,) = np.flatnonzero((batches == 7).any(axis=1))
        partners.append(set(batches[row].tolist()))
    assert partners[0] != partners[1]


def test_sorted_visits_the_longest_first_and_restores():
    sampler = SortedByLengthSampler([3, 9, 1, 9])
    assert list(sampler) == [1, 3, 0, 2]
    visited = np.array([[10.0], [30.0], [0.0], [20.0]])
    assert sampler.restore(visited).ravel().tolist() == [0.0, 10.0, 20.0, 30.0]
    first, second = sampler.restore((visited, None))
    assert first.tolist() == sampler.restore(visited).tolist()
    assert second is None


def test_real_token_fraction_by_hand():
    # batches (3, 1) and (2,): 6 real of 3 * 2 + 2
    assert real_token_fraction([3, 1, 2], 2) == 6 / 8


def test_token_counts_of_both_kinds_of_data_set():
    rows = [{"input_ids": [1] * n, "labels": 0} for n in (3, 1, 7)]
    assert token_counts(rows).tolist() == [3, 1, 7]
    dataset = datasets.Dataset.from_list(rows)
    assert token_counts(dataset).tolist() == [3, 1, 7]
    assert token_counts(dataset.select([2, 0])).tolist() == [7, 3]


def test_has_token_counts():
    assert has_token_counts([{"input_ids": [1]}])
    assert not has_token_counts([{"pixel_values": [1]}])
    assert not has_token_counts([])
    assert not has_token_counts([(1, 2)])
