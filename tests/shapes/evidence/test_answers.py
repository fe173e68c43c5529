"""Answers follow the numbers, in both directions."""

from __future__ import annotations

import pytest
from records import record

from shapes.evidence.numbers.intervals import Estimate
from shapes.evidence.studies import (
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
from shapes.evidence.study import in_words


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (
            Estimate(0.123, 0.091, 0.155),
            "A: 12.3 points more judged right than B (95 %: +9.1 to +15.5)",
        ),
        (
            Estimate(-0.05, -0.08, -0.02),
            "A: 5.0 points fewer judged right than B (95 %: -8.0 to -2.0)",
        ),
        (
            Estimate(0.01, -0.012, 0.03),
            "no difference seen between A and B (judged right: +1.0 points, 95 %: -1.2 to +3.0)",
        ),
        (
            Estimate(0.0, 0.0, 0.0),
            "no difference seen between A and B (judged right: 0.0 points, 95 %: 0.0 to 0.0)",
        ),
    ],
)
def test_a_difference_in_words(difference: Estimate, expected: str) -> None:
    assert in_words("A", "B", difference) == expected


def test_tokens_switched_off() -> None:
    clear = tokens.STUDY.answer(record(tokens.STUDY, {"full": 0.9, "eot": 0.1, "appearance": 0.7}))
    assert "both kinds: 80.0 points more judged right than EoT token only" in clear
    assert "both kinds: 20.0 points more judged right than appearance tokens only" in clear
    same = tokens.STUDY.answer(record(tokens.STUDY, {"full": 0.7, "eot": 0.9, "appearance": 0.7}))
    assert "both kinds: 20.0 points fewer judged right than EoT token only" in same
    assert "no difference seen between both kinds and appearance tokens only" in same
    brief = tokens.STUDY.brief(record(tokens.STUDY, {"full": 0.7, "eot": 0.9, "appearance": 0.7}))
    assert brief.endswith(
        "both kinds 70 %, appearance tokens only 70 % (no difference seen), EoT token only 90 %"
    )


def test_the_ladder() -> None:
    first = ladder.STUDY.answer(record(ladder.STUDY, {"full": 0.8, "placed": 0.6}))
    assert "IFAdapter: 20.0 points more judged right than caption with rough positions" in first
    second = ladder.STUDY.brief(record(ladder.STUDY, {"full": 0.6, "placed": 0.8}))
    assert "IFAdapter 60 %" in second
    assert second.endswith("caption with rough positions 80 %")


def test_overlap_names_the_sets_in_which_a_rule_is_better_or_worse() -> None:
    rates = {"order pairs 0.4": 0.6, "order stacks 5": 0.3, "order pairs 0": 0.9, "gate counts 10": 0.2}
    answer = overlap.STUDY.answer(record(overlap.STUDY, rates))
    points = "pairs of IoU 0.4 +10.0, stacks of 5 -20.0"
    assert f"layout order in place of the learned gate, points: {points};" in answer
    assert "plain mean: no difference seen from the learned gate in any set" in answer
    assert "10 instances: 30.0 points fewer judged right than 6" in answer
    more = overlap.STUDY.answer(record(overlap.STUDY, {"gate counts 10": 0.51}))
    assert "no difference seen between 10 instances and 6" in more


def test_overlap_tells_front_and_back_apart() -> None:
    groups = {("gate pairs 0.4", "front"): 0.8, ("gate pairs 0.4", "back"): 0.3}
    answer = overlap.STUDY.answer(record(overlap.STUDY, {}, groups=groups))
    assert "gets 80.0 % of the front and 30.0 % of the back instances" in answer


def test_overlap_in_short_counts_the_layout_sets() -> None:
    rates = {"order pairs 0.2": 0.4, "order stacks 5": 0.2, "mean pairs 0": 0.1}
    groups = {("gate pairs 0.4", "front"): 0.8, ("order pairs 0.4", "back"): 0.1}
    brief = overlap.STUDY.brief(record(overlap.STUDY, rates, groups=groups))
    fewer = "10 to 30 points fewer in 2 of 7 sets with overlap"
    assert f"layout order: {fewer}, no difference seen in 5" in brief
    assert "plain mean: no difference seen. In pairs" in brief  # pairs 0 do not overlap
    assert "50 % of the front ones (learned gate 80 %)" in brief
    assert brief.endswith("10 % of the back ones (learned gate 50 %)")


def test_cost_finds_the_earliest_end_without_a_loss() -> None:
    rates = {"strength 1": 0.8, **{f"end {end:g}": 0.8 for end in cost.ENDS[:-1]}, "end 0.1": 0.5}
    unseen = "no loss of judged right is seen"
    early = cost.STUDY.answer(record(cost.STUDY, rates))
    assert f"down to an end of 0.2, which saves 80 % of its steps, {unseen} (drawn well" in early
    # A loss at a later end counts, even if an earlier one has none.
    late = cost.STUDY.answer(record(cost.STUDY, {**rates, "end 0.5": 0.7}))
    assert f"down to an end of 0.7, which saves 30 % of its steps, {unseen}" in late
    never = cost.STUDY.answer(record(cost.STUDY, {**rates, "end 0.9": 0.7}))
    assert "every earlier end loses some (-10.0 points at 0.9, no difference seen at 0.3)" in never


def test_cost_finds_the_latest_start_without_a_loss() -> None:
    rates = {"strength 1": 0.8, **{f"start {start:g}": 0.8 for start in cost.STARTS[1:]}}
    brief = cost.STUDY.brief(record(cost.STUDY, rates))
    assert "up to a start of 0.5 no loss of judged right is seen" in brief
    # A loss at an earlier start counts, even if a later one has none.
    some = cost.STUDY.answer(record(cost.STUDY, {**rates, "start 0.3": 0.7}))
    assert "up to a start of 0.2 no loss of judged right is seen (drawn well: no difference seen)" in some
    assert "(by start, 0: 80.0 %, 0.1: 80.0 %" in some
    never = cost.STUDY.brief(record(cost.STUDY, {**rates, "start 0.1": 0.7}))
    assert "every later start loses some" in never


def test_cost_names_the_strengths_that_do_not_differ() -> None:
    rates = {f"strength {value:g}": 0.2 for value in cost.STRENGTHS} | {"strength 1": 0.8}
    other = cost.STUDY.answer(record(cost.STUDY, rates))
    assert "strength 1 has the highest rate (80.0 %); all others differ from 1" in other
    same = cost.STUDY.answer(record(cost.STUDY, {**rates, "strength 1.25": 0.81}))
    assert "strength 1.25 has the highest rate (81.0 %); no difference seen from strength 1 at 1.25" in same


def test_cost_tells_times_only_if_they_were_measured() -> None:
    assert "longer" not in cost.STUDY.answer(record(cost.STUDY, {}))
    steps = [
        {"instances": count, "plain_ms": 10.0, "adapted_ms": time, "encode_ms": 3.0}
        for count, time in ((1, 11.0), (6, 12.5))
    ]
    timed = {"steps": steps, "weight_share": 0.16, "repeats": 30, "device": "cpu"}
    answer = cost.STUDY.brief(record(cost.STUDY, {}, extra=timed))
    assert "with 1 to 6 instances a step takes 10 to 25 % longer" in answer
    assert "16 % of the UNet's weights" in answer
    assert "| 6 | 10.00 | 12.50 | 25 % |" in cost.STUDY.tables(record(cost.STUDY, {}, extra=timed))


def test_queries_name_the_smallest_number_that_suffices() -> None:
    extra = {"weights": {f"L {count}": 768_000 + count for count in queries.COUNTS}, "times": {}}
    rates = {"L 1": 0.5, "L 2": 0.7, "L 4": 0.71, "L 8": 0.71}
    found = record(queries.STUDY, rates, extra=extra)
    assert queries.STUDY.brief(found).startswith(
        "no difference seen between 2 and more for each text depth, fewer are worse (1: 50 %"
    )
    assert "L = 2: 20.0 points more judged right than L = 1" in queries.STUDY.answer(found)
    rising = record(queries.STUDY, {"L 1": 0.4, "L 2": 0.5, "L 4": 0.6, "L 8": 0.7}, extra=extra)
    assert queries.STUDY.brief(rising).startswith("8 for each text depth are better than 4 (1: 40 %")
    # A loss with more queries does not count as one with fewer.
    falling = record(queries.STUDY, {"L 1": 0.7, "L 2": 0.7, "L 4": 0.7, "L 8": 0.5}, extra=extra)
    assert queries.STUDY.brief(falling).startswith(
        "no difference seen between 1 and more for each text depth ("
    )
    assert "| L = 8 | 768,008 |" in queries.STUDY.tables(found)


def test_tokens_trained_alone() -> None:
    rates = {"both": 0.7, "appearance": 0.71, "eot": 0.2, "shallow": 0.6}
    brief = tokens_trained.STUDY.brief(record(tokens_trained.STUDY, rates))
    assert "appearance tokens only 71 % (no difference seen)" in brief
    assert brief.endswith("EoT token only 20 %, both kinds at one text depth 60 %")


def test_map_against_sequence_in_both_directions() -> None:
    better = sequence.STUDY.answer(record(sequence.STUDY, {"map": 0.8, "sequence": 0.3}))
    assert "semantic map: 50.0 points more judged right than tokens in the sequence" in better
    assert "semantic map: 50.0 points more leaked than tokens in the sequence" in better
    worse = sequence.STUDY.answer(record(sequence.STUDY, {"map": 0.3, "sequence": 0.8}))
    assert "semantic map: 50.0 points fewer judged right than tokens in the sequence" in worse


def test_looks_compare_the_loss_with_that_of_the_base_alone() -> None:
    rates = {"adapter own": 0.8, "adapter lines": 0.5, "alone own": 0.6, "alone lines": 0.6}
    rates |= dict.fromkeys(("adapter palette", "adapter 8 steps"), 0.8) | {"alone palette": 0.6}
    answer = looks.STUDY.answer(record(looks.STUDY, rates))
    assert "line drawings: -30.0 points (the base alone: no difference seen" in answer
    assert "another palette: no difference seen" in answer
    assert "half line drawings: -30.0 points (the base alone: -10.0" in answer
    brief = looks.STUDY.brief(record(looks.STUDY, rates))
    assert "80 % on its own base; line drawings -30 points (the base alone: no difference seen)" in brief
    assert "8 steps no difference seen (the base alone: -10 points). Drawn well: 80 %" in brief
    assert brief.endswith(
        "in the looks 50 %, 80 %, 50 % (the base alone: 60 %, in the looks 60 %, 60 %, 50 %)"
    )
    assert "8 steps no difference seen for either" in looks.STUDY.brief(record(looks.STUDY, {}))


def test_domains_tell_the_gain_of_the_steps() -> None:
    rates = {"section 0": 0.1, "section 1000": 0.4, "top view 0": 0.2, "top view 1000": 0.21}
    answer = domains.STUDY.answer(record(domains.STUDY, rates))
    assert "1000 steps: 30.0 points more judged right than 0 steps" in answer
    assert "no difference seen between 1000 steps and 0 steps" in answer
    assert "grey sections 10 %, then 50 %, 50 %, 40 % (the autoencoder keeps 50 %)" in domains.STUDY.brief(
        record(domains.STUDY, rates)
    )


def test_controlnet() -> None:
    extra = {"weights": {"adapter": 768_000, "control": 2_500_000}}
    found = record(ladder_control.STUDY, {"adapter": 0.8, "control": 0.3}, extra=extra)
    answer = ladder_control.STUDY.answer(found)
    assert "IFAdapter, same budget: 50.0 points more judged right than ControlNet on coloured boxes" in answer
    assert "768,000 and 2,500,000" in answer
