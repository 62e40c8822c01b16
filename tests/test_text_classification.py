"""Reading texts and labels: nothing in a file is lost, added or taken for missing."""

import numpy as np
import pytest

from tasks.sources import DataError, SourceFile
from tasks.text_classification import TextClassification, id_percentile
from tasks.wordpiece import train_wordpiece


def make_task(**changed):
    fields = {
        "name": "reviews",
        "version": 1,
        "train": SourceFile("train.txt", "http://127.0.0.1:9/train.txt", "0" * 64),
        "test": SourceFile("test.txt", "http://127.0.0.1:9/test.txt", "0" * 64),
        "id_column": "id",
        "text_column": "document",
        "label_column": "label",
        "label_names": ("negative", "positive"),
    }
    return TextClassification(**(fields | changed))


def write(directory, train, test=b"id\tdocument\tlabel\n1\tx\t0\n"):
    (directory / "train.txt").write_bytes(train)
    (directory / "test.txt").write_bytes(test)
    return directory


def rows(*texts, end="\n"):
    lines = ["id\tdocument\tlabel"] + [f"{n}\t{text}\t{n % 2}" for n, text in enumerate(texts)]
    return (end.join(lines) + end).encode()


def load_texts(directory, content):
    """All texts of the training file, in its order."""
    splits = make_task().load(write(directory, content))
    both = [*splits["train"], *splits["validation"]]
    return [row["text"] for row in sorted(both, key=lambda row: int(row["id"]))]


ODD_TEXTS = [
    "",
    "NA",
    "null",
    "nan",
    "None",
    "-",
    "#N/A",
    '"인용',
    '한 "두" 세',
    "'",
    "a,b",
    "1",
    "0.5",
    "줄\u2028바꿈",
    "줄\u2029바꿈",
    "줄\x85바꿈",
    "  앞뒤 공백  ",
    "\u200b숨은",
    "각",
    "😀👍🏽",
    "\\n",
]


def test_odd_texts_are_kept_as_they_are(tmp_path):
    assert load_texts(tmp_path, rows(*ODD_TEXTS)) == ODD_TEXTS


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_add_nothing(tmp_path, end, mark):
    texts = ["좋다", "", "NA", "나쁘다"]
    assert load_texts(tmp_path, mark + rows(*texts, end=end)) == texts


def test_labels_are_the_integers_of_the_file(tmp_path):
    splits = make_task().load(write(tmp_path, rows(*"abcdef")))
    both = [*splits["train"], *splits["validation"]]
    assert all(row["label"] == int(row["id"]) % 2 for row in both)
    assert splits["test"][:] == {"id": ["1"], "text": ["x"], "label": [0]}


def test_validation_is_a_stable_tenth_by_id(tmp_path):
    splits = make_task().load(write(tmp_path, rows(*["x"] * 5000)))
    train, validation = set(splits["train"]["id"]), set(splits["validation"]["id"])
    assert not train & validation
    assert len(train | validation) == 5000
    assert 0.085 < len(validation) / 5000 < 0.115
    assert all(id_percentile(identifier) < 10 for identifier in validation)
    # by the id alone: the same ids are held out of another file, and on every machine
    assert [n for n in range(60) if id_percentile(str(n)) < 10] == [16, 23, 32]
    again = make_task().load(write(tmp_path, rows(*["y"] * 100)))
    assert set(again["validation"]["id"]) == {n for n in validation if int(n) < 100}


def test_a_file_that_is_all_there_is_gives_a_fifth_for_the_test(tmp_path):
    splits = make_task(test=None).load(write(tmp_path, rows(*["x"] * 5000)))
    ids = {name: set(split["id"]) for name, split in splits.items()}
    assert sum(map(len, ids.values())) == len(set.union(*ids.values())) == 5000
    assert 0.18 < len(ids["test"]) / 5000 < 0.22
    # what is validation does not depend on where the test comes from
    assert ids["validation"] == set(make_task().load(tmp_path)["validation"]["id"])
    assert [file.path for file in make_task(test=None).files(tmp_path)] == ["train.txt"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id\ttext\tlabel\n1\tx\t0\n", "no column 'document'"),
        (b"id\tdocument\tlabel\n1\tx\t0\n2\ty\t7\n", "row 3: label '7'"),
        (b"id\tdocument\tlabel\n1\tx\t\n", "row 2: label ''"),
        (b"id\tdocument\tlabel\n1\tx\t0\n2\ty\tz\t1\n", "train.txt"),
        (b"", "no column"),
        (b"id\tdocument\tlabel\n1\t\xff\xfe\t0\n", "train.txt"),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path, content, says):
    with pytest.raises(DataError) as caught:
        make_task().load(write(tmp_path, content))
    assert says in str(caught.value)
    assert "train.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_are_listed_with_rows_and_checksums(tmp_path):
    files = make_task().files(write(tmp_path, rows("a", "b", "c")))
    assert [(file.path, file.rows, len(file.sha256)) for file in files] == [
        ("train.txt", 3, 64),
        ("test.txt", 1, 64),
    ]


def test_encoding_truncates_and_does_not_pad():
    task, tokenizer = make_task(), train_wordpiece(["가 나 다 라"], 30)
    encoded = task.encode({"text": ["가 나 다 라", "가", ""]}, tokenizer, 4)
    ids = encoded["input_ids"]
    assert [len(row) for row in ids] == [4, 3, 2]
    assert all(row[0] == tokenizer.cls_token_id for row in ids)
    assert all(row[-1] == tokenizer.sep_token_id for row in ids)
    batch = task.collator(tokenizer)([{"input_ids": row, "labels": 1} for row in ids])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert batch["input_ids"][2].tolist() == [*ids[2], 0, 0]


def test_metrics_follow_from_the_logits():
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.5]])
    labels = np.array([0, 1, 1, 1])
    task = make_task()
    assert task.decode(logits).tolist() == [0, 1, 0, 1]
    metrics = task.compute_metrics(logits, labels)
    # negative: precision 1/2, recall 1; positive: precision 1, recall 2/3
    assert metrics == {
        "accuracy": 0.75,
        "macro_f1": pytest.approx((2 / 3 + 4 / 5) / 2),
    }
