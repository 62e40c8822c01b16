"""Unlabeled text for pretraining: a file with one example a line, encoded once."""

import gzip
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from tasks.sources import DataError

logger = logging.getLogger(__name__)

HELD_OUT_PERMILLE = 5  # of the lines, to watch the pretraining losses on
ENCODED_AT_ONCE = 20_000  # lines


def read_lines(path: Path) -> list[str]:
    """Reads the examples of a text file, plain or gzipped; empty lines are none.

    Args:
        path: The file, UTF-8, one example a line.

    Returns:
        The examples, stripped, in the file's order.

    Raises:
        DataError: If the file can't be read or holds no text.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        # a line ends at \n and nowhere else: U+2028 and the like may stand in a review
        with opened(path, "rt", encoding="utf-8-sig", newline="\n") as file:
            lines = [line.strip() for line in file]
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: {error.strerror or error}") from error  # type: ignore[attr-defined]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{path}: no text in it")
    return lines


def is_held_out(line: str) -> bool:
    """Says whether a line is kept from training, from its text alone (the same everywhere)."""
    digest = hashlib.sha256(line.encode()).digest()
    return int.from_bytes(digest[:8], "big") % 1000 < HELD_OUT_PERMILLE


def encode_lines(
    lines: list[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> datasets.Dataset:
    """Encodes lines as `[CLS] line [SEP]`, truncated, not padded.

    Args:
        lines: The texts.
        tokenizer: The tokenizer.
        max_length: Most tokens of an example.

    Returns:
        A data set with the one column `input_ids`.
    """
    parts = []
    with tqdm(total=len(lines), desc="encoding", unit=" lines", disable=None) as bar:
        for chunk in _chunks(lines):
            encoded = tokenizer(
                chunk,
                truncation=True,
                max_length=max_length,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
            # 32 bits: half the memory, and no vocabulary needs more
            parts.append(pa.array(encoded["input_ids"], type=pa.list_(pa.int32())))
            bar.update(len(chunk))
    tokens = pa.chunked_array(parts, type=pa.list_(pa.int32()))  # typed: there may be no line
    return datasets.Dataset(pa.table({"input_ids": tokens}))


def _chunks(lines: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(lines), ENCODED_AT_ONCE):
        yield lines[start : start + ENCODED_AT_ONCE]


def token_rows(encoded: datasets.Dataset) -> list[np.ndarray]:
    """Gives the tokens of every example.

    Args:
        encoded: What `encode_lines` returned.

    Returns:
        One int array [T] per example, views of the same memory.
    """
    column = encoded.with_format("arrow")[:]["input_ids"].combine_chunks()
    flat = column.flatten().to_numpy()
    return np.split(flat, column.offsets.to_numpy()[1:-1])
