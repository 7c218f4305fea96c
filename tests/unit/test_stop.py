"""Stop strings: where a text ends does not depend on how it came in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.engine.stop_strings import NO_STOPS, StopStrings

TEXTS = st.text(alphabet="abé\n", max_size=30)
STOPS = st.lists(st.text(alphabet="abé\n", min_size=1, max_size=4), min_size=1, max_size=4)


def as_told(stops, pieces):
    """What a client reads of a text that comes in pieces, and whether a stop string ended it."""
    told, text = "", ""
    for piece in pieces:
        text += piece
        if (end := stops.end(text)) is not None:
            return told + text[len(told) : end], True
        certain = stops.certain(text)
        assert certain >= len(told)  # what was told stays
        told += text[len(told) : certain]
    return told + text[len(told) :], False


@given(TEXTS, STOPS, st.data())
def test_pieces_do_not_matter(text, strings, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stops = StopStrings(strings)
    told, ended = as_told(stops, pieces)
    assert (told, ended) == as_told(stops, list(text))
    assert not any(one in told for one in strings)
    assert text.startswith(told)
    assert ended == any(one in text for one in strings)
    if not ended:
        assert told == text


@given(TEXTS, STOPS)
def test_no_more_is_held_back_than_may_begin_a_stop_string(text, strings):
    stops = StopStrings(strings)
    if stops.end(text) is None:
        held = text[stops.certain(text) :]
        assert held == "" or any(one.startswith(held) and one != held for one in strings)


@pytest.mark.parametrize(
    ("strings", "text", "end"),
    [
        (("b", "abcd"), "xabcd", 2),  # whole first
        (("cd", "abcd"), "xabcd", 1),  # whole with the same letter: the longest
        (("\n\n",), "a\nb\n\nc\n\n", 3),
        (("ab",), "ab", 0),
        (("ab",), "a b", None),
    ],
)
def test_which_one_ends_a_text(strings, text, end):
    assert StopStrings(strings).end(text) == end


def test_without_stop_strings_all_is_certain():
    assert (NO_STOPS.end("abc"), NO_STOPS.certain("abc")) == (None, 3)
