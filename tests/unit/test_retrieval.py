"""Looking things up: passages of documents, shared words, likeness of meaning, and both joined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import Silent, bm25
from inhouse.core.documents import MOST_WORDS, passages_of
from inhouse.engine.retrieval import Texts, fused, most_alike
from inhouse.pipeline.evaluating.documents import documents_of
from inhouse.store import Workspace

NOTES = ["rigid tubes of plastics", "fittings of plastics", "sofas and seats", "tubes of steel and of copper"]


def test_passages_are_paragraphs_with_their_headings_and_can_be_cited():
    text = (
        "Chapter 39\n\n3917 Rigid tubes of polyethylene and of other plastics.\nAlso: PE pipe.\n\n\nThe second note "
        + ("says that whoever doubts asks the shipper.")
    )
    found = passages_of("notes/39.txt", text)
    assert [p.cited for p in found] == ["notes/39.txt#1", "notes/39.txt#2"]
    assert found[0].text.startswith("Chapter 39\n3917 Rigid tubes")
    assert found[1].text.startswith("The second note")


@given(st.lists(st.lists(st.sampled_from(["tube.", "steel", "of", "and", "seat;"]), max_size=400), max_size=5))
def test_passages_hold_every_word_once_in_order_and_none_is_too_long(paragraphs):
    text = "\n\n".join(" ".join(words) for words in paragraphs)
    found = passages_of("a.txt", text)
    assert [word for p in found for word in p.text.split()] == text.split()
    # A heading may stand above a whole passage.
    assert all(len(p.text.split()) <= MOST_WORDS + 8 for p in found)
    assert [p.number for p in found] == list(range(1, len(found) + 1))


def test_documents_of_a_task_are_read_once_and_what_cannot_be_is_told(tmp_path):
    workspace, said = Workspace(tmp_path), Silent()
    read = documents_of(workspace, "tickets", said)
    assert read() == (), "there is no folder"
    folder = workspace.paths.documents("tickets")
    (folder / "law").mkdir(parents=True)
    (folder / "law" / "39.md").write_text("Tubes of plastics are of chapter 39 of the list.\n")
    (folder / "page.html").write_text("<p>Seats are of chapter 94, says the office in its own list.</p>")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    read = documents_of(workspace, "tickets", said)
    found = read()
    workspace.close()
    assert {p.cited: p.text.split()[0] for p in found} == {"law/39.md#1": "Tubes", "page.html#1": "Seats"}
    assert read() is found
    assert any("broken.pdf" in warning and "nothing is looked up in it" in warning for warning in said.warned)
    assert any("1 file passed over" in warning for warning in said.warned)


def test_rare_shared_words_count_most_and_strangers_are_not_found():
    index = Texts(NOTES)
    assert index.by_words(["Seats, and TUBES"])[0][0] == 2, "`seats` is rarer than `tubes` and `and`"
    assert index.by_words(["tubes of plastics"])[0][0] == 0
    assert index.by_words(["qwertz", ""]) == [[], []]


def test_scores_are_those_of_the_formula():
    """The ranking of two texts of one shared word each follows the formula worked out by hand."""
    texts = ["a a b", "a c d e f g h i"]
    mean = (3 + 8) / 2
    rare = bm25.rarity(2, 2)
    twice, once = bm25.weight(rare, 2, 3, mean), bm25.weight(rare, 1, 8, mean)
    assert twice == pytest.approx(np.log(1.2) * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 5.5)))
    index = Texts(texts)
    assert index._weights[0, index._places["a"]] == pytest.approx(twice)
    assert index._weights[1, index._places["a"]] == pytest.approx(once)


def test_what_stands_high_in_both_rankings_comes_first():
    assert fused([[1, 2, 3], [4, 2, 5]], 3) == [2, 1, 4]
    vectors = np.eye(4, dtype=np.float32)
    asked = np.array([[0.1, 0.9, 0.0, 0.3]], np.float32)
    found = Texts(NOTES, vectors).nearest(["plastics fittings"], asked, 2)
    assert found[0][0] == 1
    assert Texts(NOTES).nearest(["plastics fittings"], None, 2)[0] == [1, 0]


def test_the_most_alike_are_those_of_all_pairs_however_many_are_asked():
    dice = np.random.default_rng(0)
    vectors, asked = (dice.normal(size=(n, 5)).astype(np.float32) for n in (70, 600))
    every = np.argsort(-(asked @ vectors.T), axis=1, kind="stable")[:, :7]
    assert most_alike(asked, vectors, 7) == every.tolist()
    assert most_alike(asked[:1], vectors[:3], 7)[0] == np.argsort(-(asked[0] @ vectors[:3].T)).tolist()
    assert Texts([]).nearest(["a"], None, 3) == [[]]
