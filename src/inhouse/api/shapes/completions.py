"""The bodies of `/v1/completions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr

from inhouse.api.shapes.chat import Head, finish, ours, usage_of
from inhouse.api.shapes.logprobs import of_completion
from inhouse.api.shapes.wishes import Wishes, not_supported
from inhouse.deploy import Answered, Piece

KIND = "text_completion"
# What OpenAI cuts a text off at where the request names no bound.
USUAL_TOKENS = 16
_Prompts = Annotated[list[StrictStr], Field(min_length=1, max_length=128)]
_Ids = Annotated[list[StrictInt], Field(min_length=1)]


class CompletionRequest(Wishes):
    """The body."""

    prompt: StrictStr | _Prompts | _Ids | Annotated[list[_Ids], Field(min_length=1)]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None

    @property
    def most(self) -> int | None:
        """See `Wishes.most`."""
        return self.max_tokens or USUAL_TOKENS

    @property
    def prompts(self) -> list[str]:
        """The prompts as texts.

        Raises:
            ApiError: they are token ids.
        """
        found = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        texts = [one for one in found if isinstance(one, str)]
        if not texts or len(texts) < len(found):
            raise not_supported("prompt", "send texts: token ids are those of one tokenizer")
        return texts

    def refuse_what_is_not_done(self) -> None:
        """Say no, rather than ignore what the caller counts on.

        Raises:
            ApiError
        """
        if self.echo:
            raise not_supported("echo", "the prompt is not repeated")
        if self.suffix:
            raise not_supported("suffix", "a text is continued at its end")
        if self.best_of not in (None, self.count):
            raise not_supported("best_of", "every answer is returned: ask for `n`")
        self.refuse_what_is_unknown()


def whole(
    heads: Sequence[Head],
    answers: Sequence[Sequence[Answered]],
    warnings: Sequence[Sequence[str]],
    top: int | None,
) -> dict[str, Any]:
    """The answers to every prompt, `n` to each, in their order."""
    several = sum(map(len, answers)) > 1
    choices: list[dict[str, Any]] = []
    for head, of_prompt in zip(heads, answers, strict=True):
        for answered in of_prompt:
            logprobs = None if top is None else of_completion(answered.tokens, top)
            one = _choice(str(answered.prediction.target), len(choices), logprobs, finish(answered))
            choices.append({**one, **(ours(head, answered, ()) if several else {})})
    first = ours(heads[0], answers[0][0], warnings[0])
    return {**heads[0].of(KIND), "choices": choices, "usage": usage_of(answers), **first}


def chunk(head: Head, piece: Piece, index: int, top: int | None) -> dict[str, Any]:
    """A piece of an answer."""
    logprobs = None if top is None else of_completion(piece.tokens, top)
    return {**head.of(KIND), "choices": [_choice(piece.text, index, logprobs, None)]}


def last_chunk(head: Head, answered: Answered, index: int, warnings: Sequence[str]) -> dict[str, Any]:
    """The end of an answer that came in pieces."""
    ended = {**head.of(KIND), "choices": [_choice("", index, None, finish(answered))]}
    return {**ended, **ours(head, answered, warnings)}


def usage_chunk(head: Head, answers: Sequence[Sequence[Answered]]) -> dict[str, Any]:
    """What `include_usage` asks for."""
    return {**head.of(KIND), "choices": [], "usage": usage_of(answers)}


def _choice(text: str, index: int, logprobs: dict[str, Any] | None, ended: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": ended}
