"""chrF and ROUGE-L: equal to their definitions, and between 0 and 1 whatever the texts."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.scoring.texts import chrf, rouge_l

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat"]), max_size=9)


def chrf_by_hand(expected: str, answered: str) -> float:
    """Popović 2015 with beta 2 and n-grams of 1 to 6 letters, white space left out; orders that neither can have too."""
    precisions, recalls = [], []
    for n in range(1, 7):
        ours, theirs = (
            Counter(t[i : i + n] for i in range(len(t) - n + 1))
            for t in (answered.replace(" ", ""), expected.replace(" ", ""))
        )
        if not ours or not theirs:
            continue
        both = (ours & theirs).total()
        precisions.append(both / ours.total())
        recalls.append(both / theirs.total())
    p, r = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 5 * p * r / (4 * p + r) if p + r else 0.0


@pytest.mark.parametrize(
    ("expected", "answered"),
    [
        ("The cat sat on the mat.", "The cat is on the mat."),
        ("The cat sat on the mat.", "Die Katze saß auf der Matte."),
        ("Größe und Gewicht", "Grösse und Gewicht"),
        ("abc", "abcdefgh"),
    ],
)
def test_chrf_is_its_definition(expected: str, answered: str) -> None:
    assert chrf(expected, answered) == pytest.approx(chrf_by_hand(expected, answered), abs=1e-6)


def lcs(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        above = row[:]
        for j, y in enumerate(b):
            row[j + 1] = above[j] + 1 if x == y else max(above[j + 1], row[j])
    return row[-1]


@given(WORDS, WORDS)
def test_rouge_l_is_its_definition(expected: list[str], answered: list[str]) -> None:
    total = len(expected) + len(answered)
    by_hand = 2 * lcs(expected, answered) / total if total else 1.0
    assert rouge_l(" ".join(expected), ", ".join(answered).title()) == pytest.approx(by_hand)


@given(st.text(max_size=40), st.text(max_size=40))
def test_scores_lie_between_0_and_1_and_are_1_for_the_same(one: str, other: str) -> None:
    for score in (chrf, rouge_l):
        assert 0.0 <= score(one, other) <= 1.0
        assert score(one, one) == pytest.approx(1.0)


def test_nothing_is_like_nothing_only() -> None:
    for score in (chrf, rouge_l):
        assert (score("", ""), score("a b", ""), score("", "a b")) == (1.0, 0.0, 0.0)


def test_hundreds_of_letters_take_seconds_at_most() -> None:
    text = "a sentence of the kind that people write in letters to each other. " * 15
    begun = time.process_time()
    for i in range(200):
        chrf(text, f"{i} {text}")
        rouge_l(text, f"{i} {text}")
    assert time.process_time() - begun < 5
