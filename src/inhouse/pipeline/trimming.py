"""Inputs that a model has no room for, trimmed by relevance, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from inhouse.core import Dataset, Example, Reporter, Task, Trimming, render_input
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.prompts import TRAINED_SYSTEM, trained_messages
from inhouse.errors import NothingToLearn
from inhouse.train import fit_trimming, kept_share

# A shorter room holds a line or two of a document, and no choice among its parts.
LEAST_ROOM = 64
# The targets' values are looked for in so many documents, spread over all that are trimmed.
LOOKED_AT = 400


@dataclass(frozen=True)
class Trimmed:
    """A dataset as a model reads it, and how it was made.

    `count` examples were trimmed, of `before` tokens at the median to `after`; `kept` is the share of their targets'
    values that is still in the text, None where that cannot be told.
    """

    dataset: Dataset
    trimming: Trimming
    count: int
    before: int = 0
    after: int = 0
    kept: float | None = None

    def tell(self, reporter: Reporter) -> None:
        """Say what was trimmed, if anything was."""
        if self.count:
            reporter.say(f"{self.said} (train.trim in task.toml)")

    @property
    def said(self) -> str:
        """What was trimmed, in a sentence."""
        many = "1 example is" if self.count == 1 else f"{self.count:,} examples are"
        values = (
            "whether what their targets need is still in the text cannot be told"
            if self.kept is None
            else f"of their targets' values {self.kept:.0%} are still in the text"
        )
        return f"{many} trimmed from {self.before:,} to {self.after:,} tokens at the median; {values}"


def trimmed_by_relevance(task: Task, dataset: Dataset, template: ChatTemplate, max_tokens: int) -> Trimmed:
    """The dataset with inputs that fit beside the longest answer that is learned.

    Args:
        max_tokens: of input and answer together.

    Raises:
        NothingToLearn: the longest answer leaves no room for an input.
    """
    trimming = fit_trimming(task, dataset.of("train"), _room(dataset.learned, template, max_tokens))

    def count(text: str) -> int:
        return len(template.text_ids(text))

    examples, pairs = list[Example](), list[tuple[Example, Example]]()
    for example in dataset.examples:
        inputs = trimming(example.inputs, count)
        if inputs != example.inputs:
            pairs.append((example, replace(example, inputs=inputs)))
            examples.append(pairs[-1][1])
        else:
            examples.append(example)
    made = Trimmed(replace(dataset, examples=tuple(examples)), trimming, len(pairs))
    if not pairs:
        return made
    shown = pairs[:: max(1, len(pairs) // LOOKED_AT)]
    before, after = (round(median(count(render_input(pair[i].inputs)) for pair in shown)) for i in (0, 1))
    return replace(made, before=before, after=after, kept=kept_share(task, shown))


def _room(learned: Sequence[Example], template: ChatTemplate, max_tokens: int) -> int:
    """Tokens that the longest answer, and what the template itself says, leave for an input."""
    answers = (text for e in learned for text in (e.target, e.rejected) if text)
    longest = max((len(template.answer_ids(text)) for text in answers), default=0)
    room = max_tokens - longest - len(template.prompt_ids(trained_messages(TRAINED_SYSTEM, {"": ""})))
    if room < LEAST_ROOM:
        raise NothingToLearn(
            f"the longest answer takes {longest} tokens and leaves {max(room, 0)} of {max_tokens} for an input: too "
            "few to choose parts of a document",
            "raise `train.max_tokens` in task.toml, or shorten that target",
        )
    return room
