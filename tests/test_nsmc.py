"""NSMC itself, byte for byte, where it is at hand."""

import csv

import pytest

from tasks import TASKS
from tasks.sources import sha256
from tasks.wordpiece import train_wordpiece
from trainers.samplers import GroupedByLengthSampler, real_token_fraction

NSMC = TASKS["nsmc"]
pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def splits(data_dir):
    return NSMC.load(data_dir)


def test_the_checksums_are_those_of_the_files(data_dir):
    listed = dict(
        reversed(line.split(maxsplit=1))
        for line in (data_dir / "SHA256SUMS").read_text().splitlines()
    )
    listed = {name.strip().lstrip("*./"): checksum for name, checksum in listed.items()}
    for source in (NSMC.train, NSMC.test):
        assert source.sha256 == sha256(data_dir / source.path)
        assert source.sha256 == listed[source.path]


def test_every_row_is_there_as_upstream_has_it(data_dir, splits):
    assert len(splits["train"]) + len(splits["validation"]) == 150_000
    assert len(splits["test"]) == 50_000
    train = [*splits["train"]["text"], *splits["validation"]["text"]]
    assert train.count("") == 5
    assert splits["test"]["text"][:].count("") == 3
    # another reader: split by hand at tabs and newlines
    lines = (data_dir / NSMC.test.path).read_text(encoding="utf-8").split("\n")[1:-1]
    fields = [line.rstrip("\r").split("\t") for line in lines]
    assert fields == [
        [row["id"], row["text"], str(row["label"])] for row in splits["test"].to_list()
    ]
    with (data_dir / NSMC.train.path).open(encoding="utf-8", newline="") as file:
        upstream = {
            row["id"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        }
    assert len(upstream) == 150_000
    for name in ("train", "validation"):
        for row in splits[name].to_list():
            assert upstream[row["id"]]["document"] == row["text"]
            assert upstream[row["id"]]["label"] == str(row["label"])


def test_a_tenth_is_held_out_and_both_classes_are_in_it(splits):
    held_out = splits["validation"]
    assert len(held_out) == 15_056
    assert 0.48 < sum(held_out["label"]) / len(held_out) < 0.52
    assert not set(held_out["id"]) & set(splits["train"]["id"])
    assert not set(splits["test"]["id"]) & set(splits["train"]["id"])


def test_grouped_batches_are_at_least_93_percent_real(splits):
    texts = splits["train"]["text"][:]
    tokenizer = train_wordpiece(texts[:30_000], 8000)
    lengths = [len(ids) for ids in NSMC.encode({"text": texts}, tokenizer, 128)["input_ids"]]
    order = GroupedByLengthSampler(lengths, 32, seed=1).order()
    assert real_token_fraction([lengths[index] for index in order], 32) >= 0.93
    assert real_token_fraction(lengths, 32) < 0.4
