"""Search aliases of the nodes. tests/web/search.js tries the same words in ComfyUI's node search."""

from __future__ import annotations

import pytest

import nodes

PACK = [name for name in nodes.NODE_CLASS_MAPPINGS if name.startswith("IFAdapter")]


def aliases(name: str) -> list[str]:
    return nodes.NODE_CLASS_MAPPINGS[name].define_schema().search_aliases or []


@pytest.mark.parametrize(
    "word",
    [
        "box",
        "boxes",
        "bbox",
        "bounding box",
        "region",
        "regional",
        "regional prompt",
        "layout",
        "place",
        "position",
        "area",
        "composition",
        "spatial",
        "instance",
        "multi subject",
        "characters",
        "attention couple",
        "gligen",
        "grounding",
        "adetailer",
        "crop and stitch",
        "regional prompter",
        "bbox to segs",
        "judge",
    ],
)
def test_a_word_that_artists_type_is_an_alias_or_a_name(word: str) -> None:
    known = {alias for name in PACK for alias in aliases(name)}
    titles = [nodes.NODE_CLASS_MAPPINGS[name].define_schema().display_name.lower() for name in PACK]
    assert word in known or any(word in title for title in titles)


@pytest.mark.parametrize("name", PACK)
def test_aliases_are_lower_case_and_unique(name: str) -> None:
    known = aliases(name)
    assert len(set(known)) == len(known)
    assert [alias.lower() for alias in known] == known
