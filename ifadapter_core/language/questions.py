"""Questions about a picture of one instance, for a vision-language model. Standard library only."""

from __future__ import annotations

import re
from pathlib import Path

PROMPTS = Path(__file__).parent / "prompts"
ARTICLE = re.compile(r"(?:an?|the) ", re.IGNORECASE)


def prompt_text(name: str) -> str:
    """The prompt in ``prompts/<name>.txt``, with its fields in braces."""
    return (PROMPTS / f"{name}.txt").read_text("utf-8").strip()


def caption_question(description: str = "") -> str:
    """Asks for a description of the instance that a picture shows.

    description: what the instance is, such as a detector's label; "" if nothing is known of it.
    """
    category = " ".join(description.split()).rstrip(".")
    category = category[article.end() :] if (article := ARTICLE.match(category)) else category
    if not category:
        return prompt_text("describe")
    return prompt_text("describe_named").replace("{category}", category)


def check_question(description: str) -> str:
    """Asks whether a picture fits the description of its instance; the answer is yes or no.

    Raises ValueError without a description.
    """
    if not description.strip():
        raise ValueError("The description is empty. Write what the instance should look like.")
    return prompt_text("fits").replace("{description}", description.strip())
