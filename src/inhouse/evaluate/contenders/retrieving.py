"""What belongs to each question, looked up and shown: the most similar training examples, or passages of documents."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Prediction, render_input
from inhouse.core.documents import Passage
from inhouse.engine.prompt_file import LookUp, as_text
from inhouse.engine.prompts import prompted_messages
from inhouse.engine.retrieval import DEPTH, Texts, fitting
from inhouse.evaluate.contenders.generating import generate, room
from inhouse.evaluate.contenders.registry import Field, NotCompared, contender
from inhouse.evaluate.contenders.shots import (
    NEAREST,
    bare_prompts,
    embedded,
    left,
    nearest_shots,
    tell_bare,
)

PASSAGES, PASSAGE_TOKENS = 4, 600
# Of more passages than this an embedding each would take minutes; they are found by their words alone.
MOST_EMBEDDED = 5_000


@contender("retrieval", "the base model, shown your most similar examples with each request", encodes=True)
def retrieval(given: Field) -> list[Prediction]:
    """As `prompted`, with the training examples that are most similar to the question."""
    bare = bare_prompts(given)
    shots = nearest_shots(given, "retrieval", range(len(bare)), NEAREST, bare)
    tell_bare(given, "retrieval", shots, "similar example")
    prompts = [
        given.template.prompt_ids(prompted_messages(given.task, inputs, shown))
        for inputs, shown in zip(given.questions_read, shots, strict=True)
    ]
    return generate(given, "base", "retrieval", prompts, room(given))


@contender("grounded", "the base model, shown passages of your documents", encodes=True)
def grounded(given: Field) -> list[Prediction]:
    """As `prompted`, with the passages of the task's documents that belong to the question, which the answer cites."""
    if not given.passages:
        raise NotCompared(
            f"there are no documents to look things up in; put them into tasks/{given.task.name}/documents"
        )
    shown = _passages_for(given, bare_prompts(given))
    prompts = [
        given.template.prompt_ids(prompted_messages(given.task, inputs, passages=passages))
        for inputs, passages in zip(given.questions_read, shown, strict=True)
    ]
    answers = generate(given, "base", "grounded", prompts, room(given))
    return [
        answer.model_copy(update={"sources": tuple(p.cited for p in passages)})
        for answer, passages in zip(answers, shown, strict=True)
    ]


def _passages_for(given: Field, bare: Sequence[Sequence[int]]) -> list[list[Passage]]:
    """For each question the passages that belong to it, the nearest first, by words and by meaning."""
    _, asked = embedded(given, "grounded")
    begun = time.perf_counter()
    vectors = _passage_vectors(given)
    if vectors is None:
        given.notes.append(f"grounded: {len(given.passages):,} passages are looked up by their words alone")
    index, costs = Texts([passage.text for passage in given.passages], vectors), _passage_costs(given)
    given.fits["grounded"] += time.perf_counter() - begun
    ranked = index.nearest([render_input(e.inputs) for e in given.questions], asked, DEPTH)
    found = []
    for alone, near in zip(bare, ranked, strict=True):
        kept = fitting(near, [costs[i] for i in near], PASSAGES, left(given, alone, PASSAGE_TOKENS))
        found.append([given.passages[i] for i in kept])
    tell_bare(given, "grounded", found, "passage")
    return found


def passages_look_up(given: Field, encoder: str, encoder_sha256: str) -> LookUp:
    """How `grounded` finds passages, to be served so.

    Args:
        encoder, encoder_sha256: what `given.vectors` are made by.
    """
    vectors = _passage_vectors(given)
    return LookUp(
        count=PASSAGES,
        tokens=PASSAGE_TOKENS,
        encoder=encoder if vectors is not None else "",
        encoder_sha256=encoder_sha256 if vectors is not None else "",
        costs=tuple(_passage_costs(given)),
        vectors="" if vectors is None else as_text(vectors),
    )


def _passage_vectors(given: Field) -> NDArray[np.float32] | None:
    """Of each passage; None where there are too many."""
    texts = [passage.text for passage in given.passages]
    return given.vectors.of(texts) if len(texts) <= MOST_EMBEDDED else None


def _passage_costs(given: Field) -> list[int]:
    """Tokens that each passage takes in a prompt."""
    return [len(given.template.text_ids(f"[{passage.cited}] {passage.text}\n")) + 1 for passage in given.passages]
