"""Strict reading of the answer to a yes-or-no question. Standard library only."""

from __future__ import annotations

import re

from ..language.answers import plain_text

# Words of an answer, in lower case and without punctuation. Only repetitions of the question may follow.
SUBJECT = r"(?:it|this|that|(?:the|this) (?:picture|image|photo|crop))"
OBJECT = r"(?: (?:it|this|that|the description))?"
YES = re.compile(rf"(?:the answer is )?yes(?: {SUBJECT} (?:does|is|(?:shows|fits|matches){OBJECT}))?")
NO = re.compile(
    rf"(?:the answer is )?no(?: {SUBJECT} (?:does|is)(?:nt| not)(?: (?:show|fit|match){OBJECT})?)?"
)


def yes_or_no(answer: str) -> bool | None:
    """True or False if the answer only says yes or no, also as "Yes, it does."; else None."""
    words = " ".join(re.sub(r"[^\w\s]", "", plain_text(answer).lower()).split())
    return True if YES.fullmatch(words) else False if NO.fullmatch(words) else None
