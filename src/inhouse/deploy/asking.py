"""What is asked of a version, how a message becomes it, and what is heard of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from inhouse.core import ModelVersion
from inhouse.core.json_schema import compact
from inhouse.deploy.bases import BaseVersion
from inhouse.deploy.token_chances import TokenChance
from inhouse.engine.protocol import Sampling
from inhouse.errors import InputError

_SEEDS = 2**63


@dataclass(frozen=True, slots=True)
class Options:
    """How the caller wants a text to be written; nothing here changes a label or an object of a task.

    Attributes:
        most: fewer tokens than an answer may take.
        stop: strings that end the text and are no part of it.
        sampling: None for the likeliest text.
        chances: tell how likely each token was; of a label or an object too, if a language model writes it.
        schema: the JSON Schema that the text is held to, `{}` for any object; None where it is free.
    """

    most: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Sampling | None = None
    schema: Mapping[str, Any] | None = None
    chances: bool = False

    def of_choice(self, choice: int) -> Options:
        """The same for one of several answers: each has a seed of its own, which that of the next request is not."""
        if self.sampling is None or choice == 0:
            return self
        mixed = blake2b(f"{self.sampling.seed} {choice}".encode(), digest_size=8).digest()
        return replace(self, sampling=replace(self.sampling, seed=int.from_bytes(mixed) % _SEEDS))


LIKELIEST = Options()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the input's fields, how the answer is to be, and how many answers there are to be."""

    version: ModelVersion
    inputs: Mapping[str, str]
    options: Options = LIKELIEST
    count: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """What one of the answers has grown by, and the tokens that begin in it, where they were asked for."""

    text: str
    choice: int = 0
    tokens: tuple[TokenChance, ...] = ()


def inputs_of(version: ModelVersion, content: str) -> dict[str, str]:
    """A user message as the task's input fields.

    One field: the whole text. Several: a JSON object with the fields, or `field: value` lines as in training.

    Raises:
        InputError: a field is missing or unknown.
    """
    fields = version.fields
    if len(fields) == 1:
        return {fields[0]: content.strip()}
    found = _from_json(content) or _from_lines(content, fields)
    missing = [f for f in fields if f not in found]
    unknown = [f for f in found if f not in fields]
    if missing or unknown:
        what = f"field {missing[0]!r} is missing" if missing else f"field {unknown[0]!r} is not known"
        raise InputError(
            f"{what}; the task {version.task!r} reads {', '.join(fields)}",
            "send a JSON object with these keys, or one `field: value` line for each",
        )
    return {f: found[f].strip() for f in fields}


def conversation_of(version: ModelVersion, messages: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A request's messages, pairs of role and text, as a chat task's input.

    Raises:
        InputError: a role that the model was not trained with, or the last word is not the user's.
    """
    roles = {"developer": "system"}
    as_it_is = isinstance(version, BaseVersion)  # a task's texts were read without the space around them
    told = [{"role": roles.get(role, role), "content": text if as_it_is else text.strip()} for role, text in messages]
    odd = sorted({m["role"] for m in told} - {"system", "user", "assistant"})
    if odd:
        raise InputError(f"messages with the role {odd[0]!r} are not read", "send system, user and assistant messages")
    if not told or told[-1]["role"] != "user" or not told[-1]["content"].strip():
        raise InputError("the last message must be the user's, and say something", "end with a user message")
    return {version.fields[0]: compact(told)}


_PROMPT = "prompt"


def prompt_of(text: str) -> dict[str, str]:
    """A text that a base is to continue, as its input."""
    return {_PROMPT: text}


def prompt_in(inputs: Mapping[str, str]) -> str | None:
    """The text that a base is to continue; None where it has a conversation."""
    return inputs.get(_PROMPT)


def _from_json(content: str) -> dict[str, str] | None:
    try:
        value = json.loads(content)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return {str(k): "" if v is None else v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}


def _from_lines(content: str, fields: Sequence[str]) -> dict[str, str]:
    """`name: value` lines; a line that begins with no field's name goes on with the value before it."""
    found: dict[str, str] = {}
    current = ""
    for line in content.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() in fields and name.strip() not in found:
            current = name.strip()
            found[current] = value.strip()
        elif current:
            found[current] += f"\n{line}"
    return found
