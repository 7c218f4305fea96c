"""What belongs to each question, looked up and shown: the most similar training examples, or passages of documents."""

from __future__ import annotations

import time
from collections.abc import Sequence

from inhouse.core import Prediction, render_input
from inhouse.core.documents import Passage
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


@contender("retrieval")
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


@contender("grounded")
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
    texts = [passage.text for passage in given.passages]
    vectors = given.vectors.of(texts) if len(texts) <= MOST_EMBEDDED else None
    if vectors is None:
        given.notes.append(f"grounded: {len(texts):,} passages are looked up by their words alone")
    index = Texts(texts, vectors)
    costs = [len(given.template.text_ids(f"[{passage.cited}] {passage.text}\n")) + 1 for passage in given.passages]
    given.fits["grounded"] += time.perf_counter() - begun
    ranked = index.nearest([render_input(e.inputs) for e in given.questions], asked, DEPTH)
    found = []
    for alone, near in zip(bare, ranked, strict=True):
        kept = fitting(near, [costs[i] for i in near], PASSAGES, left(given, alone, PASSAGE_TOKENS))
        found.append([given.passages[i] for i in kept])
    tell_bare(given, "grounded", found, "passage")
    return found
