"""How likely each token of an answer was."""

from __future__ import annotations

from dataclasses import dataclass

from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.protocol import Generation


@dataclass(frozen=True, slots=True)
class TokenChance:
    """One token of an answer.

    Attributes:
        text: the bytes that it stands for; several tokens can make one letter.
        logprob: as the model itself has it, before any grammar or temperature.
        start: the letter of the answer that it begins with.
    """

    text: bytes
    logprob: float
    start: int


class Chances:
    """The tokens of an answer that grows, without the one that ends it."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._found: list[TokenChance] = []
        self._end = 0

    def of(self, given: Generation) -> tuple[TokenChance, ...]:
        """All of them so far; `given` goes on from what it was before."""
        for place in range(len(self._found), len(given.ids)):
            token = given.ids[place]
            if token == self._template.end_of_turn:
                break
            self._found.append(TokenChance(self._template.token_bytes(token), given.logprobs[place], self._end))
            text = self._template.decode(given.ids[: place + 1]).rstrip("\ufffd")  # half a letter
            self._end = max(self._end, len(text))
        return tuple(self._found)
