"""The encoder that ships: what AutoModel takes, small, and as its card says."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from experiments import list_experiments, load_experiment
from experiments.encoders import build_model, build_tokenizer
from heads import HEADS

ENCODER = Path(__file__).resolve().parent.parent / "encoders" / "ko_electra_mini"
CARD = (ENCODER / "README.md").read_text(encoding="utf-8")
PHASES = json.loads((ENCODER / "pretraining.json").read_text(encoding="utf-8"))["phases"]


def test_it_is_small_and_complete():
    files = {path.name for path in ENCODER.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]
    assert sum(path.stat().st_size for path in ENCODER.iterdir()) <= 16e6


def test_auto_classes_take_it_whole():
    model, info = AutoModel.from_pretrained(ENCODER, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert all(weights.isfinite().all() for weights in model.state_dict().values())
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    assert 8_000 <= len(tokenizer) == model.config.vocab_size <= 12_000
    assert f"{model.num_parameters():,} parameters" in CARD
    assert f"{len(tokenizer):,} word pieces" in CARD


def test_hangul_syllables_stay_whole():
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    ids = tokenizer("재미있는 영화, 강추합니다 ㅋㅋ Good")["input_ids"]
    assert tokenizer.unk_token_id not in ids
    pieces = tokenizer.convert_ids_to_tokens(ids)
    assert "".join(piece.removeprefix("##") for piece in pieces[1:-1]) == (
        "재미있는영화,강추합니다ㅋㅋGood"
    )
    # none of the letters that a decomposed syllable consists of
    parts = re.compile("[\u1100-\u1112\u1161-\u1175\u11a8-\u11c2]")
    assert not [piece for piece in tokenizer.get_vocab() if parts.search(piece)]


def test_words_used_alike_lie_together():
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    table = AutoModel.from_pretrained(ENCODER, dtype=torch.float32).get_input_embeddings().weight
    table = torch.nn.functional.normalize(table.detach(), dim=1)

    def alike(one, other):
        return (table[tokenizer.convert_tokens_to_ids(one)] @ (
            table[tokenizer.convert_tokens_to_ids(other)])).item()  # fmt: skip

    assert alike("최고", "쵝오") > alike("최고", "쓰레기") + 0.1
    assert alike("지루", "지루하다") > alike("지루", "감동") + 0.1


def test_the_card_tells_what_the_history_says():
    for phase in PHASES:
        assert f"{phase['steps']:,} steps" in CARD
        assert phase["text_sha256"] == PHASES[0]["text_sha256"]
    assert PHASES[0]["text_sha256"] in CARD
    assert f"{PHASES[0]['lines']:,}" in CARD
    assert "pretraining.png" in CARD
    assert (ENCODER / "pretraining.png").read_bytes().startswith(b"\x89PNG")


def test_history_and_config_name_no_place_of_a_machine():
    for name in ("pretraining.json", "config.json", "tokenizer_config.json"):
        text = (ENCODER / name).read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|tmp|work)/", text), name


@pytest.mark.parametrize("head", HEADS)
def test_every_head_sits_on_it_in_fp32_from_anywhere(head, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the experiment's path is one in the project
    assert f"{head}_nsmc_mini" in list_experiments()
    experiment = load_experiment(f"{head}_nsmc_mini")
    tokenizer = build_tokenizer(experiment.encoder, [])
    model = build_model(experiment, tokenizer).eval()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    logits = model(
        **tokenizer(["재미있다", "별로였어요"], padding=True, return_tensors="pt")
    ).logits
    assert logits.shape == (2, 2)
    assert logits.isfinite().all()
