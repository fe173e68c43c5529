"""The demo's vocabulary has CLIP's format and rules."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from ifadapter_diffusers.text import token_ids
from shapes.models.vocabulary import END, LENGTH, START, train_vocabulary
from shapes.sampler import TRAINING, World, sample_scene

SENTENCES = [sample_scene(World(), index).layout.prompt for index in TRAINING[:200]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary")
    train_vocabulary(SENTENCES, path)
    return path


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(str(folder))


def test_tokens_are_numbered_as_in_clip(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
    merges = (folder / "merges.txt").read_text("utf-8").splitlines()[1:]
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert len(vocabulary) == 512 + len(merges) + 2
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    assert [token + "</w>" for token in tokens[:256]] == tokens[256:512]
    assert tokens[512:-2] == ["".join(merge.split()) for merge in merges]
    assert tokens[-2:] == [START, END]


def test_training_is_deterministic(folder: Path, tmp_path: Path) -> None:
    train_vocabulary(SENTENCES, tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_texts_are_delimited_padded_and_truncated_as_in_clip(tokenizer: CLIPTokenizer) -> None:
    ids = token_ids(tokenizer, ["a red circle", "", "star " * 200])
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert ids.shape == (3, LENGTH) == (3, 77)
    assert ids[:, 0].tolist() == [start] * 3
    assert ids[:, -1].tolist() == [end] * 3
    assert ids[1].tolist() == [start] + [end] * 76
    assert int((ids[2] == end).sum()) == 1


def test_frequent_words_are_single_tokens(tokenizer: CLIPTokenizer) -> None:
    for word in ("circle", "red", "striped", "background"):
        assert len(tokenizer(word).input_ids) == 3, word
    longest = max(len(tokenizer(sentence).input_ids) for sentence in SENTENCES)
    assert longest <= LENGTH + 20


@pytest.mark.parametrize(
    "text",
    [
        "a red circle, striped",
        "Naive cafe 42!",
        "two    spaces",
        "it's zzyzx",
        "\u00e9t\u00e9 \u4e2d \U0001f600",
    ],
)
def test_any_text_round_trips(tokenizer: CLIPTokenizer, text: str) -> None:
    ids = tokenizer(text).input_ids[1:-1]
    assert tokenizer.eos_token_id not in ids
    back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert back.replace(" ", "") == text.lower().replace(" ", "")


def test_merges_apply_in_order_within_words(folder: Path, tokenizer: CLIPTokenizer) -> None:
    """Byte-pair encoding by hand: the earliest merge of the list first, as in CLIP's tokenizer."""
    vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
    ranks = {
        tuple(line.split()): rank
        for rank, line in enumerate((folder / "merges.txt").read_text("utf-8").splitlines()[1:])
    }
    for word in ("circles", "striped", "unknowable", "greenish"):
        parts = [*word[:-1], word[-1] + "</w>"]
        while pairs := [pair for pair in itertools.pairwise(parts) if pair in ranks]:
            best = min(pairs, key=ranks.__getitem__)
            first = next(index for index, pair in enumerate(itertools.pairwise(parts)) if pair == best)
            parts[first : first + 2] = ["".join(best)]
        assert tokenizer(word).input_ids[1:-1] == [vocabulary[part] for part in parts]


def test_merges_make_distinct_tokens(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
    lines = (folder / "merges.txt").read_text("utf-8").splitlines()[1:]
    assert len({"".join(line.split()) for line in lines}) == len(lines) == len(vocabulary) - 514
