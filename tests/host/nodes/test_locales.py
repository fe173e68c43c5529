"""Node texts in each language, and help pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import nodes

PACK = Path(__file__).resolve().parents[3]
LANGUAGES = sorted(path.parent.name for path in PACK.glob("locales/*/nodeDefs.json"))
IDS = sorted(node_id for node_id in nodes.NODE_CLASS_MAPPINGS if node_id.startswith("IFAdapter"))


def node_defs(language: str) -> dict[str, Any]:
    return json.loads((PACK / "locales" / language / "nodeDefs.json").read_text("utf-8"))


def texts_of(part: Any) -> dict[str, str]:
    return {"name": part.display_name or part.id, "tooltip": part.tooltip}


def schema_texts(node_id: str) -> dict[str, Any]:
    schema = nodes.NODE_CLASS_MAPPINGS[node_id].GET_SCHEMA()
    texts = {"display_name": schema.display_name, "description": schema.description}
    if schema.inputs:
        texts["inputs"] = {part.id: texts_of(part) for part in schema.inputs}
    return {**texts, "outputs": {str(number): texts_of(part) for number, part in enumerate(schema.outputs)}}


def shape(value: Any) -> Any:
    return (
        {key: shape(part) for key, part in value.items()} if isinstance(value, dict) else bool(value.strip())
    )


def test_languages_exist() -> None:
    assert {"en", "zh", "ja"} <= set(LANGUAGES)


def test_english_equals_the_schemas() -> None:
    assert node_defs("en") == {node_id: schema_texts(node_id) for node_id in IDS}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_complete(language: str) -> None:
    assert shape(node_defs(language)) == shape(node_defs("en"))


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_texts_call_nodes_by_the_names_of_their_language(language: str) -> None:
    """Quotation marks enclose names of nodes, of this pack's and of the host's."""
    defs = node_defs(language)
    quoted = re.findall(
        "[\u201c\u300c]([^\u201d\u300d]+)[\u201d\u300d]", json.dumps(defs, ensure_ascii=False)
    )
    named = {name for name in quoted if "IFAdapter" in name}
    assert named
    assert named <= {node["display_name"] for node in defs.values()}
    assert "Generate Text" not in quoted  # the host's page calls it TextGenerate in these languages


@pytest.mark.parametrize("node_id", IDS)
def test_every_node_has_a_help_page_with_all_its_inputs_and_outputs(node_id: str) -> None:
    page = PACK / "web" / "docs" / f"{node_id}.md"
    text = page.read_text("utf-8")
    schema = nodes.NODE_CLASS_MAPPINGS[node_id].GET_SCHEMA()
    assert text.startswith(f"# {schema.display_name}\n")
    names = [part.id for part in schema.inputs] + [part.display_name for part in schema.outputs]
    assert not [name for name in names if f"`{name}`" not in text]
    pictures = [line.split("](")[1].split(")")[0] for line in text.splitlines() if line.startswith("![")]
    assert not [picture for picture in pictures if not (page.parent / picture).exists()]
