"""The checks of text, language, length and representativeness: what they find, what they mend, what they leave."""

from __future__ import annotations

import pytest

from inhouse.clean import CHECKS, EncoderLimit, Limits, Subject, find
from inhouse.core import Dataset, Example, Provenance, input_key


def dataset(*rows):
    """Rows of (text or inputs, target, split); the line is the position."""
    examples = []
    for line, (text, target, _) in enumerate(rows):
        inputs = text if isinstance(text, dict) else {"text": text}
        examples.append(Example(inputs, target, input_key(inputs), Provenance("d.csv", line)))
    return Dataset("task", 1, tuple(examples), tuple(split for _, _, split in rows))


def run(check, *rows, kind="classify", **more):
    return list(CHECKS[check](Subject(dataset(*rows), kind, **more)))


# --- overlong


def words(texts):
    return [len(text.split()) for text in texts]


LONG = (("one two three", "a b", "train"), ("one two", "a", "train"), ("1 2 3 4 5", "a", "test"))


def test_overlong_counts_input_and_target():
    train, test = run("overlong", *LONG, count_tokens=words, max_tokens=4)
    assert (train.severity, train.drop, train.count) == ("warning", (0,), 1)
    assert "one example has more tokens than the 4 that are read, up to 5, at d.csv:0" in train.reason
    assert (test.drop, test.evidence[0].note) == ((), "6 tokens")
    assert find(dataset(*LONG), kind="classify", count_tokens=None, max_tokens=None) == []


def test_overlong_shows_the_longest_first_and_counts_only_what_may_be_long():
    counted = []

    def count(texts):
        counted.extend(texts)
        return words(texts)

    rows = [("a b", "x", "train"), ("a b c d e f", "x", "train"), ("a b c d e f g h", "x", "train")]
    [found] = run("overlong", *rows, count_tokens=count, max_tokens=5)
    assert found.drop == (2, 1)
    assert counted == ["a b c d e f\nx", "a b c d e f g h\nx"]


@pytest.mark.parametrize(
    ("limits", "remedy"),
    [
        (Limits("Base", 8), "set train.max_tokens = 6 in task.toml: Base reads up to 8"),
        (Limits("Base", 5, (("short", 5), ("long", 900))), "take a base_model that reads it all, such as long (900)"),
        (Limits("Base", 4), "cut the documents into parts"),
    ],
)
def test_overlong_says_how_all_of_it_could_be_read(limits, remedy):
    found = run("overlong", *LONG, count_tokens=words, max_tokens=4, limits=limits)[-1]
    assert remedy in found.action


def test_overlong_looks_at_the_encoder_by_its_own_count():
    limit = EncoderLimit("MiniLM", 4, words)
    [found] = run("overlong", *LONG, limits=Limits(encoder=limit))
    assert (found.severity, found.drop, found.examples) == ("info", (), (dataset(*LONG).examples[2].id,))
    assert "5 that" not in found.reason
    assert "more tokens than the 4 that the sentence encoder MiniLM reads, up to 5, at d.csv:2" in found.reason
    [trained] = run("overlong", *LONG, limits=Limits(encoder=EncoderLimit("MiniLM", 4, words, trained=True)))
    assert trained.severity == "warning"
