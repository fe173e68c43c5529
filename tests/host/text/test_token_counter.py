"""The editor's exact token counts, and the data of its estimate, against the host's CLIP tokenizer."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import comfy.sd1_clip
import pytest

import nodes

CLIP_DATA = Path(__file__).resolve().parents[2] / "web" / "clip_data.py"
TEXTS = ["a ginger cat", "(a glazed green teapot:1.2)"]
LAYOUT = json.dumps(
    {
        "caption": "a table",
        "boxes": [{"x": 0.1, "y": 0.1, "w": 0.4, "h": 0.5, "caption": text} for text in TEXTS],
    }
)


@pytest.fixture
def counter() -> Iterator[ModuleType]:
    """nodes/host/token_counter.py of the loaded pack, without memoized results before and after a test."""
    pack = nodes.NODE_CLASS_MAPPINGS["IFAdapterLoader"].__module__.removesuffix(".loader")
    module = sys.modules[f"{pack}.host.token_counter"]
    for memoized in (module._count, module._tokenizer):
        memoized.cache_clear()
    yield module
    for memoized in (module._count, module._tokenizer):
        memoized.cache_clear()


@pytest.fixture(scope="module")
def clip_data() -> ModuleType:
    """tests/web/clip_data.py, which writes the data of the editor's token estimate."""
    spec = importlib.util.spec_from_file_location("clip_data", CLIP_DATA)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_layout_node() -> dict[str, Any]:
    """The layout node's ui result, without the size."""
    output = nodes.NODE_CLASS_MAPPINGS["IFAdapterLayout"].execute(layout=LAYOUT, width=512, height=512)
    assert output.result[0].local_descriptions == TEXTS
    return {key: value for key, value in output.ui.items() if key != "ifadapter_canvas"}


def test_counts_include_start_and_end(counter: ModuleType) -> None:
    texts = ["", "a ginger cat", "(a ginger cat:1.2)", "cat " * 100]
    assert counter.count_tokens(texts) == [2, 5, 5, 102]


def test_layout_node_reports_the_exact_counts_of_its_descriptions(counter: ModuleType) -> None:
    assert run_layout_node() == {
        "ifadapter_tokens": [
            {"text": text, "tokens": count}
            for text, count in zip(TEXTS, counter.count_tokens(TEXTS), strict=True)
        ]
    }


def test_a_missing_tokenizer_is_one_warning_and_no_failed_run(
    counter: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("no vocab.json")

    monkeypatch.setattr(comfy.sd1_clip, "SDTokenizer", fail)
    with caplog.at_level(logging.WARNING):
        assert [run_layout_node(), run_layout_node()] == [{}, {}]
    assert (
        len([record for record in caplog.records if "tokenizer could not be loaded" in record.message]) == 1
    )


def test_caption_counts_of_the_editor_tests_are_those_of_clip(
    counter: ModuleType, clip_data: ModuleType
) -> None:
    captions = json.loads(clip_data.CAPTIONS_FILE.read_text(encoding="utf-8"))["captions"]
    assert len({caption["text"] for caption in captions}) == 200
    counts = counter.count_tokens([caption["text"] for caption in captions])
    assert counts == [caption["tokens"] for caption in captions]


def test_word_list_of_the_editor_is_that_of_clips_vocabulary(clip_data: ModuleType) -> None:
    vocabulary = comfy.sd1_clip.SDTokenizer().tokenizer.get_vocab()
    text = clip_data.WORDS_FILE.read_text(encoding="ascii")
    assert text == clip_data.words_text(clip_data.comments_of(text), vocabulary)
    assert "Copyright (c) 2021 OpenAI" in text
    assert len(text) <= 100_000  # bytes: the browser fetches the file
