"""A WordPiece tokenizer trained on a task's own texts, for encoders without one."""

from collections import Counter
from collections.abc import Iterable

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(
    texts: Iterable[str], vocab_size: int, max_letters: int | None = None
) -> PreTrainedTokenizerFast:
    """Trains a cased WordPiece tokenizer that keeps Hangul syllables whole.

    The same texts give the same tokenizer in every process. Left alone, the trainer numbers the
    letters inside words in the order of a hash map, and breaks ties between merges by those
    numbers; so the letters are handed to it in order, and the word pieces are numbered anew.

    Args:
        texts: Training texts.
        vocab_size: Entries, special tokens included.
        max_letters: How many different letters (Hangul syllables, digits, signs) the vocabulary
            knows, the most frequent ones; all of them unless given. A word with another letter
            is unknown.

    Returns:
        A tokenizer that writes `[CLS] text [SEP]` and `[CLS] first [SEP] second [SEP]`.
    """
    trained = _tokenizer(models.WordPiece(unk_token="[UNK]"))
    texts = list(texts)
    words = Counter(word for text in texts for word in _words(trained, text))
    letters = _letters(words, max_letters)
    inner = sorted({f"##{letter}" for word in words for letter in word[1:] if letter in letters})
    trained.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            special_tokens=[
                *SPECIAL_TOKENS,
                *sorted(letters),
                *inner,
            ],
            # the trainer adds its own choice of letters unless told not to
            **({} if max_letters is None else {"limit_alphabet": 0}),
            show_progress=False,
        ),
    )
    pieces = sorted(set(trained.get_vocab()) - set(SPECIAL_TOKENS))
    vocab = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, *pieces])}
    tokenizer = _tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    cls, sep = vocab["[CLS]"], vocab["[SEP]"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
    )
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _letters(words: Counter[str], max_letters: int | None) -> set[str]:
    """Picks the most frequent letters; equally frequent ones in their own order."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for letter in word:
            counts[letter] += count
    return set(sorted(counts, key=lambda letter: (-counts[letter], letter))[:max_letters])


def _words(tokenizer: Tokenizer, text: str) -> list[str]:
    """Cuts a text as the tokenizer does before it looks for word pieces."""
    normalized = tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized)]


def _tokenizer(model: models.WordPiece) -> Tokenizer:
    """Wraps a model in BERT's pre-processing without lower case or accent stripping (no NFD)."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
