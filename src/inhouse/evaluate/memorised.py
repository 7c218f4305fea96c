"""Whether a model has learned training answers by heart: given the input and half of an answer, it writes the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from inhouse.core import Example, Metric
from inhouse.engine.prompts import trained_messages
from inhouse.engine.protocol import Engine
from inhouse.evaluate.contenders import Field
from inhouse.scoring import Judged, apart, summarise

# A shorter answer has no half that tells, and of a longer rest so many tokens are asked for.
SHORTEST, MOST = 24, 32


@dataclass(frozen=True)
class Memorised:
    """The share of answers whose rest is written word for word: of training answers and of such as it has not seen by
    the tuned model, and of the training answers by its base."""

    learned: Metric
    unseen: Metric
    base: Metric

    @property
    def sentence(self) -> str:
        """What it says, as a clause."""
        figures = (
            f"given the first half of an answer it writes the rest word for word for {self.learned.value:.0%} of the "
            f"training answers, {self.unseen.value:.0%} of unseen ones (its base: {self.base.value:.0%})"
        )
        _, low, high = apart(self.learned, self.unseen)
        span = f"95 % interval of the difference {100 * low:.0f} to {100 * high:.0f} points"
        if low > 0:
            return f"{figures}: it has learned answers by heart ({span})"
        return f"{figures}: that it has learned any by heart is not shown ({span})"


class _Half(NamedTuple):
    """A prompt that ends in the middle of an answer, and how the answer goes on."""

    prompt: list[int]
    rest: list[int]
    group: str


def long_enough(given: Field) -> tuple[list[Example], list[Example]]:
    """The training examples that can be asked, and the test examples that they are compared with.

    An answer that stands twice, or in both, is none that a single example teaches.
    """
    times = Counter(e.target for e in given.train)

    def fit(example: Example) -> bool:
        return len(given.template.text_ids(example.target)) >= SHORTEST

    return (
        [e for e in given.train if times[e.target] == 1 and fit(e)],
        [e for e in given.test if e.target not in times and fit(e)],
    )


def memorised(given: Field, learned: Sequence[Example], unseen: Sequence[Example], *, least: int) -> Memorised | None:
    """Ask the tuned model and its base, through the files that serve.

    Args:
        learned, unseen: of `long_enough`.
        least: None is found of fewer than so many of each, those left out that are too long for the model.
    """
    seen, other = _halves(given, learned), _halves(given, unseen)
    if min(len(seen), len(other)) < least:
        return None
    try:
        tuned = _share(given, given.tuned, seen), _share(given, given.tuned, other)
        given.release("tuned")
        return Memorised(*tuned, _share(given, given.base, seen))
    finally:
        given.close()


def _halves(given: Field, examples: Sequence[Example]) -> list[_Half]:
    found = []
    for example in examples:
        inputs = given.as_read(example.inputs)
        ids = given.template.text_ids(example.target)
        edge = len(ids) // 2
        prompt = given.template.prompt_ids(trained_messages(given.system, inputs, chat=given.task.input.chat))
        found.append(_Half([*prompt, *ids[:edge]], ids[edge : edge + MOST], example.group))
    return [one for one in found if len(one.prompt) + len(one.rest) <= given.max_tokens]


def _share(given: Field, engine: Engine, halves: Sequence[_Half]) -> Metric:
    """How often the rest comes word for word."""
    longest = max(len(one.rest) for one in halves)
    bar = given.reporter.bar("halves of answers", len(halves))
    written = engine.generate([one.prompt for one in halves], max_new_tokens=longest, progress=bar.update)
    decode = given.template.decode
    hits = [decode(w.ids).startswith(decode(one.rest)) for w, one in zip(written, halves, strict=True)]
    judged = Judged((), {"word_for_word": np.array(hits, dtype=float)})
    return summarise(judged, (), "word_for_word", [one.group for one in halves])
