"""Outlines: what training texts share is found, kept by nearly all of them, and missed where it is not there."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.core import Outline
from inhouse.dataset.outline import describe_outline, infer_outline
from inhouse.errors import TooFewExamples
from inhouse.scoring.outlines import bullet_count, check_names, outline_checks


def summary(rng: random.Random, first: str = "Key qualifications", second: str = "Availability") -> str:
    bullets = "\n".join(
        f"- {' '.join(rng.choices(['plans', 'nails', 'steel', 'audit'], k=4))}" for _ in range(rng.randint(2, 5))
    )
    return f"{first}\n{bullets}\n\n{second}\nFree from {rng.choice(['May', 'June'])}, {rng.randint(20, 40)} hours."


def summaries(count: int = 200) -> list[str]:
    rng = random.Random(1)
    return [summary(rng) for _ in range(count)]


def share_passing(outline: Outline, targets: list[str]) -> float:
    return sum(all(outline_checks(outline, t).values()) for t in targets) / len(targets)


# --- checks


def test_only_what_is_set_is_checked() -> None:
    assert outline_checks(Outline(), "anything") == {}
    assert check_names(Outline(sections=("A",), words=(1, 2))) == ("sections", "words")
    assert check_names(Outline(sections=("A", "B"))) == ("sections", "order")


@pytest.mark.parametrize(
    ("outline", "good", "bad"),
    [
        ({"sections": ["Skills"]}, "Skills\n- x", "My Skills\n- x"),
        ({"sections": ["Skills"]}, "x\n  Skills  \ny", "skills\nx"),
        ({"sections": ["Total:"]}, "Total: 5", "A Total: 5"),
        ({"sections": ["## A"]}, "## A", "A"),
        ({"words": [2, 3]}, "a b", "a"),
        ({"words": [2, 3]}, "a b c", "a b c d"),
        ({"lines": [2, 2]}, "a\n\n \nb\n", "a"),
        ({"bullets": [1, 1]}, "x\n* y", "x\n*y*"),
        ({"bullets": [2, 2]}, "1. a\n2) b", "1.5 a\n2) b"),
        ({"patterns": [r"\bRef \d+"]}, "see Ref 12", "see Ref x"),
        ({"forbidden": ["as an AI"]}, "it was an AIM", "well, As  an\nai I"),
        ({"forbidden": ["here is"]}, "where is it", "(Here is it)"),
        ({"forbidden": ["als ki-"]}, "als kita", "Als KI-Modell"),
    ],
)
def test_each_check_takes_the_one_and_not_the_other(outline: dict[str, Any], good: str, bad: str) -> None:
    (name,) = outline
    built = Outline.model_validate(outline)
    assert outline_checks(built, good) == {name: True}
    assert outline_checks(built, bad) == {name: False}


def test_order_and_presence_are_two_things() -> None:
    outline = Outline(sections=("A", "B", "C"))
    assert outline_checks(outline, "A\nB\nC") == {"sections": True, "order": True}
    assert outline_checks(outline, "A\nC\nB") == {"sections": True, "order": False}
    assert outline_checks(outline, "A\nC") == {"sections": False, "order": True}


def test_bullets_of_many_kinds_are_counted() -> None:
    assert bullet_count("- a\n  • b\n* c\n12. d\n– e\n-f\n3 g\n2024. h") == 5


@pytest.mark.parametrize(
    ("outline", "told"),
    [
        ({"patterns": ["("]}, "'('"),
        ({"words": [5, 2]}, "the least first"),
        ({"bullets": [-1, 2]}, "the least first"),
        ({"sections": [" "]}, "empty"),
        ({"forbidden": [""]}, "empty"),
    ],
)
def test_an_outline_that_cannot_be_used_is_told(outline: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=next(iter(outline))) as caught:
        Outline.model_validate(outline)
    assert told in str(caught.value)


# --- inferring


def test_sections_and_ranges_of_a_house_style() -> None:
    targets = summaries()
    outline = infer_outline(targets)
    assert outline.sections == ("Key qualifications", "Availability")
    assert share_passing(outline, targets) == 1.0
    assert outline.bullets is not None
    assert outline.bullets[0] <= 2 < 5 <= outline.bullets[1] <= 6
    assert any("Key qualifications | Availability" in line for line in describe_outline(outline))


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (lambda t: t.replace("Availability\n", ""), "sections"),
        (lambda t: "\n".join(t.split("\n\n")[::-1]), "order"),
        (lambda t: t.replace("- ", ""), "bullets"),
        (lambda t: t + "\n" + "and so on " * 200, "words"),
        (lambda t: t + "\nx" * 60, "lines"),
        (lambda t: "Sure, here is the summary. " + t, "forbidden"),
    ],
)
def test_a_text_that_leaves_the_style_fails_the_check_that_it_breaks(wrong: Any, check: str) -> None:
    targets = summaries()
    assert not outline_checks(infer_outline(targets), wrong(targets[0]))[check]


def test_headings_before_a_colon_and_in_markdown() -> None:
    labelled = [
        f"Problem: the {w} broke.\nCause: {w} was old.\nFix: a new {w}" for w in ("pump", "belt", "fan", "cord")
    ]
    assert infer_outline(labelled).sections == ("Problem:", "Cause:", "Fix:")
    marked = [f"## Summary\nAll is {w}.\n**Next steps**\n- buy a {w}" for w in ("pump", "belt", "fan", "cord")]
    assert infer_outline(marked).sections == ("## Summary", "**Next steps**")


def test_a_heading_that_one_in_twenty_lacks_would_fail_too_many() -> None:
    rng = random.Random(2)
    targets = [summary(rng, second="Other" if n % 20 == 0 else "Availability") for n in range(200)]
    outline = infer_outline(targets)
    assert outline.sections == ("Key qualifications",)
    assert share_passing(outline, targets) >= 0.99
    rare = [summary(rng, second="Other" if n == 0 else "Availability") for n in range(200)]
    assert infer_outline(rare).sections == ("Key qualifications", "Availability")


def test_headings_without_a_constant_order_are_not_held_to_one() -> None:
    targets = [
        f"Alpha\n{n} x.\nBeta\ny {n}.\nGamma\nz." if n % 2 else f"Beta\n{n} x.\nAlpha\ny {n}.\nGamma\nz."
        for n in range(60)
    ]
    outline = infer_outline(targets)
    assert "Gamma" in outline.sections
    assert not {"Alpha", "Beta"} <= set(outline.sections)
    assert share_passing(outline, targets) >= 0.99


def test_fixed_first_and_last_words_become_patterns_and_chance_does_not() -> None:
    ends = ["by mail", "now", "soon", "at last", "today", "in May"]
    targets = [
        f"Thank you for your letter of {n + 1} May, it came {e}. We remain yours, Bolt (Ltd.)"
        for n, e in enumerate(ends)
    ]
    outline = infer_outline(targets)
    assert len(outline.patterns) == 2
    assert share_passing(outline, targets) == 1.0
    assert not outline_checks(outline, targets[0].replace("Thank you", "Thanks"))["patterns"]
    assert not outline_checks(outline, targets[0].replace("(Ltd.)", "[Ltd.]"))["patterns"]
    assert infer_outline([f"The {e} is it, and {e} it stays" for e in ends]).patterns == ()


def test_what_a_target_says_is_not_forbidden() -> None:
    targets = [*summaries(50), "Here is the list: I cannot come."]
    forbidden = infer_outline(targets).forbidden
    assert "as an ai" in forbidden
    assert not {"here is the", "i cannot"} & set(forbidden)


def test_no_outline_of_nothing() -> None:
    with pytest.raises(TooFewExamples):
        infer_outline([])


LINES = st.sampled_from(
    ["Skills", "Total: 5", "- a thing", "A sentence.", "", "## X", "1. one", "Dear Ann,", "**B**", "x" * 90]
)
TARGETS = st.lists(st.lists(LINES, max_size=7).map("\n".join), min_size=1, max_size=40)


@given(TARGETS)
@settings(deadline=None)
def test_nearly_all_training_targets_pass_whatever_they_are(targets: list[str]) -> None:
    outline = infer_outline(targets)
    assert share_passing(outline, targets) >= 0.99
    assert all(re.compile(pattern) for pattern in outline.patterns)
