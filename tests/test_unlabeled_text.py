"""Text for pretraining: every line once, its tokens as they are."""

import gzip

import pytest

from tasks.sources import DataError
from tasks.unlabeled_text import (
    encode_lines,
    is_held_out,
    read_lines,
    token_rows,
)
from tasks.wordpiece import train_wordpiece

LINES = [f"영화 {number} 참 {word}" for number in range(40) for word in ("좋다", "싫다 정말로")]


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
def test_lines_end_at_line_feeds_alone(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    content = "\ufeff좋다\r\n\n  나쁘다 \n줄\u2028바꿈\x85끝\n마지막".encode()
    path.write_bytes(gzip.compress(content) if suffix == ".txt.gz" else content)
    assert read_lines(path) == ["좋다", "나쁘다", "줄\u2028바꿈\x85끝", "마지막"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"\xff\xfe\xff"),
        ("b.txt.gz", b"no gzip"),
        ("c.txt", b"\n \n"),
        ("d.txt", None),
    ],
)
def test_what_is_no_text_is_told_with_its_name(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_lines(tmp_path / name)


def test_lines_are_held_out_by_their_text():
    lines = [f"글 {number}" for number in range(20_000)]
    held_out = [line for line in lines if is_held_out(line)]
    assert 60 < len(held_out) < 140
    assert held_out == [line for line in reversed(lines) if is_held_out(line)][::-1]


def test_rows_are_the_tokenizers(monkeypatch):
    monkeypatch.setattr("tasks.unlabeled_text.ENCODED_AT_ONCE", 7)
    tokenizer = train_wordpiece(LINES, 60)
    encoded = encode_lines(LINES, tokenizer, 8)
    expected = [tokenizer(line, truncation=True, max_length=8)["input_ids"] for line in LINES]
    assert encoded["input_ids"][:] == expected
    assert [row.tolist() for row in token_rows(encoded)] == expected
    assert len(encode_lines([], tokenizer, 8)) == 0  # of a short text no line is held out
