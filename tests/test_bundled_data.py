"""The data that ships: what its card says of it is so."""

import json
import re
import statistics
from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from tasks import TASKS
from tasks.sources import BUNDLED_DIR

CARD = (BUNDLED_DIR / "README.md").read_text(encoding="utf-8")
MARK = re.compile(r"\[([^\[\]:]+):(PER|LOC|ORG|DAT|QTY)\]")


@pytest.fixture(scope="module")
def reviews():
    lines = (BUNDLED_DIR / "reviews.tsv").read_text(encoding="utf-8").splitlines()
    header, *rows = [line.split("\t") for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_reviews_are_balanced_and_many(reviews):
    assert len(reviews) == 2450
    assert len({row["id"] for row in reviews}) == 2450
    counts = Counter((row["topic"], row["label"]) for row in reviews)
    assert set(counts.values()) == {245}
    assert len(counts) == 10
    assert "2,450; 490 each" in CARD


def test_reviews_are_short_and_clean(reviews):
    lengths = [len(row["text"]) for row in reviews]
    assert f"{min(lengths)} to {max(lengths)}, median {statistics.median(lengths):.0f}" in CARD
    assert max(lengths) <= 140
    assert all(row["text"] == row["text"].strip() for row in reviews)


def test_splits_are_those_of_the_card():
    splits = TASKS["reviews"].load(None)
    sizes = {name: len(split) for name, split in splits.items()}
    assert "train {train:,}, validation {validation}, test {test}".format(**sizes) in CARD
    for split in splits.values():
        assert np.mean(split["label"]) == pytest.approx(0.5, abs=0.02)


def test_no_two_reviews_are_near_duplicates(reviews):
    texts = [row["text"] for row in reviews]
    rows = TfidfVectorizer(analyzer="char", ngram_range=(2, 3)).fit_transform(texts)
    alike = (rows @ rows.T).tolil()
    alike.setdiag(0)
    assert alike.tocsr().max() < 0.6


@pytest.mark.parametrize(("analyzer", "ngrams"), [("word", (1, 2)), ("char", (2, 5))])
def test_words_alone_do_not_give_the_label_away(reviews, analyzer, ngrams):
    model = make_pipeline(
        TfidfVectorizer(analyzer=analyzer, ngram_range=ngrams), LogisticRegression(C=10)
    )
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    labels = [row["label"] for row in reviews]
    accuracy = cross_val_score(model, [row["text"] for row in reviews], labels, cv=folds).mean()
    assert 0.6 < accuracy < 0.85
    told = re.search(rf"{analyzer.replace('char', 'character')}s (0\.\d\d)", CARD)
    assert accuracy == pytest.approx(float(told[1]), abs=0.015)  # libraries differ a little


def test_no_typing_habit_gives_the_label_away(reviews):
    for habit in ("ㅋ", "ㅠ", "!", "?", "..", "요", "습니다"):
        labels = [int(row["label"]) for row in reviews if habit in row["text"]]
        assert len(labels) > 30, habit
        assert 0.38 < np.mean(labels) < 0.62, habit


def test_entities_parse_and_are_counted():
    lines = (BUNDLED_DIR / "entities.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) >= 300
    assert f"{len(lines)}, of them {sum(not MARK.search(line) for line in lines)} without" in CARD
    kinds = Counter(kind for line in lines for _, kind in MARK.findall(line))
    assert (
        f"{kinds.total()}: {kinds['PER']} persons, {kinds['LOC']} places, {kinds['ORG']} "
        f"organisations, {kinds['DAT']} dates and times, {kinds['QTY']} quantities"
    ) in CARD
    bare = [MARK.sub(r"\1", line) for line in lines]
    assert not [line for line in bare if "[" in line or "]" in line]
    lengths = [len(line) for line in bare]
    assert f"{min(lengths)} to {max(lengths)}, median {statistics.median(lengths):.0f}" in CARD


def test_answers_are_slices_of_their_passages():
    data = json.loads((BUNDLED_DIR / "questions.json").read_text(encoding="utf-8"))["data"]
    passages = [paragraph for article in data for paragraph in article["paragraphs"]]
    questions = [(passage["context"], qa) for passage in passages for qa in passage["qas"]]
    assert len(passages) >= 60
    assert len(questions) >= 180
    for name in ("id", "question"):
        assert len({qa[name] for _, qa in questions}) == len(questions)
    for context, qa in questions:
        (answer,) = qa["answers"]
        start = answer["answer_start"]
        assert context[start : start + len(answer["text"])] == answer["text"]
    lengths = [len(passage["context"]) for passage in passages]
    assert f"{min(lengths)} to {max(lengths)}, median {statistics.median(lengths):.0f}" in CARD
    assert f"| passages | {len(passages)} |" in CARD
    assert f"| questions | {len(questions)}, each" in CARD
    answers = [len(qa["answers"][0]["text"]) for _, qa in questions]
    assert f"up to {max(answers)}, median {statistics.median(answers):.0f}" in CARD
