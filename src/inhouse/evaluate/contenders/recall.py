"""Answers that were given before to the very same prompt, so that nothing is asked, or paid for, twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

from inhouse.core import Prediction, canonical_hash
from inhouse.evaluate.contenders.registry import Asked, Field


def ask_once(
    given: Field, name: str, which: str, prompts: Mapping[int, object], ask: Callable[[list[int]], list[Prediction]]
) -> dict[int, Prediction]:
    """One answer per prompt: the kept one, where the same model had the same prompt before.

    What was not answered is not kept, as that may pass; of a remote model all that was paid for is.

    Args:
        name: the contender's.
        which: of `given.identities`, the model that is asked; one that is not named there has nothing kept.
        prompts: all that an answer depends on beside the model and the form of answers, by the question's place.
        ask: answers the questions at some places, in their order.
    """
    named = which in given.identities
    keys = {i: content_key(given, which, _told(given, i, p)) for i, p in prompts.items()} if named else {}
    kept = {i: given.known[key] for i, key in keys.items() if key in given.known}
    fresh = [i for i in prompts if i not in kept]
    ready, begun = given.fits.get(name, 0.0), time.perf_counter()
    found = dict(zip(fresh, ask(fresh), strict=True)) if fresh else {}
    answering = time.perf_counter() - begun - (given.fits.get(name, 0.0) - ready)
    seconds = {i: kept[i][1] if i in kept else answering / len(fresh) for i in prompts}
    for i, answer in found.items():
        if i in keys and (answer.error is None or not which.startswith("remote:") or answer.prompt_tokens):
            given.known[keys[i]] = (answer.model_dump_json(), seconds[i])
            given.fresh.add(keys[i])
    given.asked[name] = Asked(
        keys=[keys[i] if keys.get(i) in given.known else "" for i in range(len(given.questions))],
        seconds=[seconds.get(i, 0.0) for i in range(len(given.questions))],
        cached=sum(keys[i] not in given.fresh for i in kept),
        seconds_before=sum(seconds[i] for i in kept),
    )
    return found | {i: Prediction.model_validate_json(text) for i, (text, _) in kept.items()}


def _told(given: Field, place: int, prompt: object) -> object:
    """What an answer depends on: to a question that is put again also how often it was."""
    attempt = given.attempts[place] if given.attempts else 0
    return (attempt, prompt) if attempt else prompt


def content_key(given: Field, which: str, prompt: object) -> str:
    """What an answer hangs on, hashed: the model, what answers may look like, and the prompt.

    The program's own version is part of it, as another one may hold answers to their form in another way.
    """
    task = given.task
    form = [
        task.kind,
        task.labels,
        task.json_schema,
        {path: str(held) for path, held in (task.from_input or {}).items()},
        task.outline.model_dump(mode="json"),
        given.form.max_tokens,
    ]
    return canonical_hash([version("inhouse"), given.identities[which], form, prompt], 64)
