"""The tokenizer trained on a task's own texts."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

from transformers import AutoTokenizer

from tasks.wordpiece import SPECIAL_TOKENS, train_wordpiece

REPOSITORY = Path(__file__).resolve().parent.parent
TEXTS = [
    f"영화 {word} 재미{ending}" for word in "가나다라마" for ending in ("있다", "없다", "Good")
]

# many merges are equally frequent, and the vocabulary is full in the midst of them
_random = random.Random(0)
TIED = [
    " ".join("".join(_random.choices("가나다라마바사아자차카타파하", k=5)) for _ in range(4))
    for _ in range(60)
]

DIGEST = """
import hashlib, json, sys
from tasks.wordpiece import train_wordpiece
tokenizer = train_wordpiece(json.loads(sys.stdin.read()), 120)
print(hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest())
"""


def test_the_same_texts_give_the_same_vocabulary_in_every_process():
    tokenizer = train_wordpiece(TIED, 120)
    assert len(tokenizer) == 120
    here = hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()
    for hash_seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", DIGEST],
            input=json.dumps(TIED),
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


def test_trained_again_in_one_process_it_is_the_same():
    first = train_wordpiece(TIED, 120).get_vocab()
    assert all(train_wordpiece(TIED, 120).get_vocab() == first for _ in range(5))


def test_special_tokens_come_first_and_frame_the_text():
    tokenizer = train_wordpiece(TEXTS, 80)
    assert len(tokenizer) <= 80
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS)
    assert tokenizer.pad_token_id == 0
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("영화 가").input_ids)
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"
    pair = tokenizer("영화", "재미있다")
    boundary = pair.input_ids.index(tokenizer.sep_token_id) + 1
    assert set(pair.token_type_ids[:boundary]) == {0}
    assert set(pair.token_type_ids[boundary:]) == {1}


def test_syllables_stay_whole_and_case_is_kept():
    tokenizer = train_wordpiece(TEXTS, 80)
    ids = tokenizer("재미있다 Good").input_ids
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "재미있다 Good"


def test_an_unknown_syllable_and_an_empty_text():
    tokenizer = train_wordpiece(TEXTS, 80)
    assert tokenizer.unk_token_id in tokenizer("쀍").input_ids
    assert tokenizer("").input_ids == [tokenizer.cls_token_id, tokenizer.sep_token_id]


def test_it_is_loaded_as_it_was_saved(tmp_path):
    tokenizer = train_wordpiece(TEXTS, 80)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*TEXTS, "쀍 영화", ""]:
        assert loaded(text).input_ids == tokenizer(text).input_ids
    assert loaded.model_input_names == tokenizer.model_input_names


def test_only_the_most_frequent_letters_are_known():
    texts = ["가나 가나 가다", "가나 힣"]
    assert train_wordpiece(texts, 40).tokenize("힣") == ["힣"]
    tokenizer = train_wordpiece(texts, 40, max_letters=3)
    assert tokenizer.tokenize("힣 가다") == ["[UNK]", "가다"]
    assert not [piece for piece in tokenizer.get_vocab() if "힣" in piece]
