"""The open questions, in the order of the README's table."""

from __future__ import annotations

from .studies import (
    cost,
    domains,
    ladder,
    ladder_control,
    looks,
    overlap,
    queries,
    sequence,
    tokens,
    tokens_trained,
)
from .study import Question, Study

QUESTIONS = (
    Question(
        "How many appearance queries does an instance need?",
        (queries.STUDY,),
        """The number needed follows the number of attributes in a description: here at most four. SDXL's
descriptions name more, and the release has 4 queries for each depth: it may need more than suffices here.""",
    ),
    Question(
        "A map of instances, or their tokens in the text's sequence?",
        (sequence.STUDY,),
        """A map keeps an instance's tokens out of other boxes in a model of any size. How well a large model
learns places from box embeddings alone this study cannot show; GLIGEN did so with far more training.""",
    ),
    Question(
        "Which tokens does an instance need?",
        (tokens_trained.STUDY, tokens.STUDY),
        """The release's adapter has the same two kinds of tokens and can be sampled without one of them
(*IFAdapter Encode*). SDXL's descriptions are longer and its EoT token is that of a large text encoder, so the
sizes of the effects do not carry over.""",
    ),
    Question(
        "What happens where boxes overlap?",
        (overlap.STUDY,),
        """The Semantic Map node offers the learned gate, which has the same form, and the layout order. How
much a hidden figure loses depends on the training data: this adapter saw figures of which at least 60 % are
visible, with a clear order of depth. Photos have no such rule.""",
    ),
    Question(
        "Does the adapter work on other base models of the same kind?",
        (looks.STUDY,),
        """That an adapter survives a fine-tuned base, and how its loss compares with the base's own, is the
question of every community checkpoint. The sizes of the effects depend on how far a checkpoint is from its
origin; these looks are far.""",
    ),
    Question(
        "Does it carry over to another domain?",
        (domains.STUDY,),
        """The base model here has seen neither the look nor the words of the domain; SDXL has seen
satellite pictures and sections. How much of the gain carries over is not measured.""",
    ),
    Question(
        "What does the adapter cost, and when must it act?",
        (cost.STUDY,),
        """When the adapter must act need not carry over. This base model learned to start from pure noise,
and its latents are thumbnails; SDXL's have finer details, which come late. The release acts for the first
30 % of the schedule with a style LoRA: the rest is the style's. Nor do the shares of time and memory:
[performance](performance.md) has those of SDXL's layers.""",
    ),
    Question(
        "How far do other methods get?",
        (ladder.STUDY, ladder_control.STUDY),
        """The order of the methods may carry over, the distances do not. This base model was trained with
rough positions in its captions, which SDXL was not, and its attention is too coarse for regional
attention.""",
    ),
)
STUDIES: dict[str, Study] = {study.key: study for question in QUESTIONS for study in question.studies}
