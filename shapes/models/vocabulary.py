"""The demo's vocabulary: byte-pair encoding as in CLIP, trained on the texts of the drawn world."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
LENGTH = 77  # tokens per text, as in CLIP
MAX_MERGES = 1000

# CLIP's word pattern (Radford et al. 2021).
_WORDS = Regex(r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""")


def train_vocabulary(sentences: Iterable[str], folder: Path) -> None:
    """Learn merges and write ``vocab.json``, ``merges.txt`` and ``tokenizer_config.json``.

    Tokens are numbered as in CLIP: 256 bytes, 256 bytes that end a word, the merges, start, end.
    Every byte has a token, so no text contains an unknown token.
    """
    # Learn the merges.
    bpe = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=2 * 256 + MAX_MERGES, end_of_word_suffix=WORD_END, show_progress=False
    )
    bpe.train_from_iterator(sentences, trainer)
    merges = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]

    # Number the tokens in CLIP's order, not in that of the trainer.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    word_ends = [byte + WORD_END for byte in alphabet]
    tokens = [*alphabet, *word_ends, *("".join(pair) for pair in merges), START, END]

    # Write the files of a CLIPTokenizer.
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), "utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "model_max_length": LENGTH,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
