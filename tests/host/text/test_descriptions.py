"""Local descriptions -> instance tokens, against transformers' CLIP and tests/reference."""

from __future__ import annotations

import logging

import pytest

import oracle
from transformers_clip import EMBEDDING, EMBEDDING_IDS

TOLERANCE = 1e-4  # on tokens of order 1, after 32 + 4 layers


def ifadapter_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "IFAdapter" in record.getMessage()]


@pytest.mark.parametrize(
    "text",
    [
        "a cat",
        ".",
        "a green sofa with white stripes on it, standing in front of a brick wall",
        "ein gr\u00fcner L\u00f6we, \u65e5\u672c\u8a9e \U0001f600",
        "UPPER case,  two  blanks\nand a line break",
        "antidisestablishmentarianism",
    ],
)
def test_plain_words(check, encoders, text):
    check([text], [encoders.words(text)])


def test_longest_text_that_fits(check, encoders, caplog):
    text = " ".join(["red", "blue", "green"] * 25)  # 75 words of one token each
    check([text], [encoders.words(text)])
    assert not ifadapter_warnings(caplog)


def test_words_beyond_77_tokens_are_dropped_and_named(check, encoders, caplog):
    kept, dropped = " ".join(["red", "blue", "green"] * 25), "a shiny copper kettle"
    with caplog.at_level(logging.WARNING):
        check(["a cat", f"{kept} {dropped}"], [encoders.words("a cat"), encoders.words(kept)])
    assert len(ifadapter_warnings(caplog)) == 1
    assert "box 2 " in ifadapter_warnings(caplog)[0]
    assert ifadapter_warnings(caplog)[0].endswith(f"dropped: {dropped}")


def test_far_too_many_words(check, encoders, caplog):
    """Text of several chunks of 77 tokens."""
    kept, dropped = " ".join(["red"] * 75), " ".join(["blue"] * 170)
    with caplog.at_level(logging.WARNING):
        check([f"{kept} {dropped}"], [encoders.words(kept)])
    assert ifadapter_warnings(caplog)[0].endswith(f"dropped: {dropped}")


def test_weighted_group_across_the_limit_is_dropped_whole(check, encoders, caplog):
    """The host does not split a short weighted group."""
    kept = " ".join(["red"] * 73)
    with caplog.at_level(logging.WARNING):
        check([f"{kept} (blue green yellow:1.2)"], [encoders.words(kept)])
    assert ifadapter_warnings(caplog)[0].endswith("dropped: blue green yellow")


def test_weights(check, encoders):
    words = [
        *encoders.words("a"),
        *encoders.words("red", 1.3),
        *encoders.words("cat and a dog", 0.6),
        *encoders.words("outside"),
    ]
    check(["a (red:1.3) (cat and a dog:0.6) outside"], [words])


def test_brackets_without_a_number(check, encoders):
    check(
        ["a ((red)) cat"], [[*encoders.words("a"), *encoders.words("red", 1.1 * 1.1), *encoders.words("cat")]]
    )


def test_escaped_brackets_are_words(check, encoders):
    check([r"a cat \(red:1.3\)"], [encoders.words("a cat (red:1.3)")])


@pytest.mark.parametrize("weight", [1.0, 1.4])
def test_embeddings(check, encoders, weight):
    text = f"embedding:{EMBEDDING}" if weight == 1.0 else f"(embedding:{EMBEDDING}:{weight})"
    words = [
        *encoders.words("a cat in"),
        *((token, weight) for token in EMBEDDING_IDS),
        *encoders.words("trousers"),
    ]
    check([f"a cat in {text} trousers"], [words])


def test_missing_embedding_is_left_out(check, encoders, caplog):
    with caplog.at_level(logging.WARNING):
        check(
            ["a cat in embedding:nowhere trousers"],
            [[*encoders.words("a cat in"), *encoders.words("trousers")]],
        )
    assert any("nowhere" in record.getMessage() for record in caplog.records)


MIXED = [
    "a cat",
    "a (red:1.3) dog with a collar",
    f"trousers in embedding:{EMBEDDING}",
    ".",
    " ".join(["blue"] * 90),
    r"brackets \(here\)",
    "a cat",
]


def test_many_descriptions_at_once(check, encoders):
    check(
        MIXED,
        [
            encoders.words("a cat"),
            [*encoders.words("a"), *encoders.words("red", 1.3), *encoders.words("dog with a collar")],
            [*encoders.words("trousers in"), *((token, 1.0) for token in EMBEDDING_IDS)],
            encoders.words("."),
            encoders.words(" ".join(["blue"] * 75)),
            encoders.words("brackets (here)"),
            encoders.words("a cat"),
        ],
    )


def test_descriptions_are_independent(encode):
    """Compares cond - uncond, without the grounding, which depends on the box."""
    together = encode(MIXED)
    for index, text in enumerate(MIXED):
        alone = encode([text])
        got, want = (tokens.cond[i] - tokens.uncond[i] for tokens, i in ((together, index), (alone, 0)))
        assert oracle.max_difference(got, want) <= TOLERANCE
