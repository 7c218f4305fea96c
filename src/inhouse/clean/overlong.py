"""Inputs longer than what a model reads of them: told before anything is trained, never cut in silence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from inhouse.clean.findings import TEST_STAYS, count, finding, places, short
from inhouse.clean.registry import CountTokens, Subject, check
from inhouse.core import Dataset, Finding, render_input

# Tokens that begin and end a text, at most.
_ENDS = 2
# Characters of a text that are counted; the rest of a longer one is taken to be alike, and the sum is rounded up to a
# thousand. Counting a million characters takes seconds, and what is so long is read by few bases.
COUNTED = 200_000


@check("overlong", beside=True)
def overlong(subject: Subject) -> Iterator[Finding]:
    """Input and target of more tokens than training takes, and inputs of more than the encoder reads.

    Not looked at without a tokenizer. One finding per reader and side, the longest example first.
    """
    limits = subject.limits
    if subject.count_tokens is not None and subject.max_tokens is not None:
        for in_test, lengths in _longer(subject.dataset, subject.count_tokens, subject.max_tokens, targets=True):
            yield _of_training(subject, lengths, subject.max_tokens, in_test=in_test)
    if limits.encoder is not None:
        for in_test, lengths in _longer(
            subject.dataset,
            limits.encoder.count_tokens,
            limits.encoder.reads,
            targets=False,
            skips_spaces=limits.encoder.skips_spaces,
        ):
            yield _of_encoder(subject, lengths, in_test=in_test)


def _longer(
    dataset: Dataset, count_tokens: CountTokens, most: int, *, targets: bool, skips_spaces: bool = False
) -> Iterator[tuple[bool, dict[int, int]]]:
    """By side, positions of what is longer with its tokens, the longest first.

    A token is a byte of UTF-8 at least: what has no more bytes than tokens are read need not be counted. An encoder
    also reads the tokens that begin and end a text.
    """
    room = most if targets else most - _ENDS
    texts: dict[int, str] = {}
    for i, example in enumerate(dataset.examples):
        inputs = example.inputs
        # Four bytes a character at most: what is short for certain need not be put together.
        if 4 * sum([len(name) + len(value) + 3 for name, value in inputs.items()], len(example.target)) <= room:
            continue
        text = render_input(inputs)
        text = f"{text}\n{example.target}" if targets else text
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if size > room and (not skips_spaces or size - text.count(" ") > room):
            texts[i] = text
    counts = count_tokens([text[:COUNTED] for text in texts.values()]) if texts else []
    lengths = {i: _of_all(n, len(text)) for (i, text), n in zip(texts.items(), counts, strict=True)}
    order = sorted((i for i, length in lengths.items() if length > most), key=lambda i: -lengths[i])
    for in_test in (False, True):
        if side := {i: lengths[i] for i in order if (dataset.splits[i] == "test") == in_test}:
            yield in_test, side


def _of_all(tokens: int, size: int) -> int:
    """The tokens of a text of that size whose counted part has so many."""
    return tokens if size <= COUNTED else 1000 * math.ceil(tokens * size / COUNTED / 1000)


def _of_training(subject: Subject, lengths: dict[int, int], most: int, *, in_test: bool) -> Finding:
    dataset, positions = subject.dataset, list(lengths)
    if subject.trimmed is not None:
        return _of_trimmed(subject, lengths, subject.trimmed)
    dropped = TEST_STAYS if in_test else f"drop {count(len(positions), 'example')}"
    return finding(
        dataset,
        "overlong",
        "warning",
        positions,
        f"{_examples(len(positions))} more tokens than the {most:,} that are read, up to {lengths[positions[0]]:,}, at "
        f"{places(dataset, positions)}: {short(dataset.examples[positions[0]])}",
        f'{dropped}; or set train.trim = "relevance" in task.toml, which keeps the parts that matter; or '
        f"{_room(subject, lengths[positions[0]], most)}",
        about="training",
        notes=_notes(lengths),
        cost=_cost(subject, in_test=in_test),
        drop=() if in_test else tuple(positions),
    )


def _of_trimmed(subject: Subject, lengths: dict[int, int], trimmed: Callable[[], str]) -> Finding:
    """Where the task trims them: what that leaves."""
    positions = list(lengths)
    return finding(
        subject.dataset,
        "overlong",
        "info",
        positions,
        f"{_examples(len(positions))} up to {lengths[positions[0]]:,} tokens, at {places(subject.dataset, positions)}: "
        f"{trimmed()}",
        "nothing is changed: train.trim in task.toml leaves out what matters least, in training and in service",
        about="training",
        notes=_notes(lengths),
        cost="what is asked about a part that is left out cannot be answered",
    )


def _examples(number: int) -> str:
    return "one example has" if number == 1 else f"{number:,} examples have"


def _notes(lengths: dict[int, int]) -> dict[int, str]:
    return {i: f"{length:,} tokens" for i, length in lengths.items()}


def _cost(subject: Subject, *, in_test: bool) -> str:
    if in_test:
        return "what is asked at the end of it is not seen when the test is answered"
    if subject.kind == "classify":
        return "its label is learned without the end of its input"
    return "it is not learned from, as without the end of its input the answer would be an invention"


def _room(subject: Subject, longest: int, most: int) -> str:
    """How all of it could be read."""
    limits = subject.limits
    if limits.context >= longest:
        return f"set train.max_tokens = {longest} in task.toml: {limits.title} reads up to {limits.context:,}"
    longer = [f"{name} ({context:,})" for name, context in limits.longer if context >= longest]
    raised = (
        f"set train.max_tokens = {limits.context} in task.toml, the most that {limits.title} reads; or "
        if limits.context > most
        else ""
    )
    if longer:
        return f"{raised}take a base_model that reads it all, such as {', '.join(longer[:2])}, with train.max_tokens"
    return f"{raised}cut the documents into parts"


def _of_encoder(subject: Subject, lengths: dict[int, int], *, in_test: bool) -> Finding:
    encoder = subject.limits.encoder
    assert encoder is not None
    dataset, positions = subject.dataset, list(lengths)
    return finding(
        dataset,
        "overlong",
        "warning" if encoder.trained else "info",
        positions,
        f"{_examples(len(positions))} an input of more tokens than the {encoder.reads:,} that the sentence encoder "
        f"{encoder.title} reads, up to {lengths[positions[0]]:,}, at {places(dataset, positions)}",
        "nothing is changed: let what decides stand at the beginning of the input, or train the language model, which "
        'reads more (train.model = "causal")',
        about="encoder",
        notes=_notes(lengths),
        cost=f"{'the trained model' if encoder.trained else 'what rests on the encoder'} answers without the end of it",
    )
