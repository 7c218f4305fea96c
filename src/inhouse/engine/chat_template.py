"""The one renderer that turns messages into token ids, for training and for serving.

The template's own text is tokenized with special tokens recognised; what a message *says* is tokenized apart with
special tokens off. So `<|im_end|>` inside a user's text stays eight characters of text and cannot end the turn.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from inhouse.errors import InputError, ModelUnavailable

Message = Mapping[str, Any]

# Before a text, it makes its tokens those of a text that is not the first. Two tokens where a space is put first.
_START = "\n"


# SentencePiece's tokens of one byte.
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_letters() -> dict[str, int]:
    """The letters that byte-level tokenizers write bytes as: itself where it shows, else one from U+0100 on."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + n): byte for n, byte in enumerate(hidden)}


_BYTE_OF = _byte_letters()


def _fail(message: str) -> None:
    raise TemplateError(message)


class ChatTemplate:
    """Messages to token ids and back.

    Args:
        folder: holds `tokenizer.json` and `chat_template.jinja`.
        end_of_turn: the token that ends an answer; found from the template when empty.
    """

    def __init__(self, folder: Path, end_of_turn: str = "") -> None:
        # Two tokenizers: whether special tokens are recognised is a switch on the object, and threads share it.
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._user_tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._user_tokenizer.encode_special_tokens = True
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _fail
        self._named_tokens = _named_tokens(folder / "tokenizer_config.json")
        self._template = environment.from_string((folder / "chat_template.jinja").read_text("utf-8"))
        self._start = self._user_tokenizer.encode(_START, add_special_tokens=False).ids
        self._skeletons = lru_cache(maxsize=256)(self._split)
        self._pieces = lru_cache(maxsize=1024)(self._template_ids)
        self._takes_system = self._takes("system", "user") and not self._joins_system()
        self.end_of_turn = self._find_end_of_turn(end_of_turn)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of `messages` up to where the assistant's answer begins.

        Raises:
            InputError: the template refuses these roles in this order.
        """
        return self.prompt_spans(messages)[0]

    def prompt_spans(self, messages: Sequence[Message]) -> tuple[list[int], list[tuple[int, int]]]:
        """As `prompt_ids`, with where each message's content stands: positions [start, end), with the token that ends
        its turn where that follows.

        Raises:
            InputError: the template refuses these roles in this order.
        """
        said = messages if self._takes_system else _without_system(messages)
        ids: list[int] = []
        spans: list[tuple[int, int]] = [(0, 0)] * len(said)
        for part in self._skeletons(tuple(m["role"] for m in said), True):
            if isinstance(part, str):
                ids += self._pieces(part, not ids)
                continue
            start = len(ids)
            ids += self.text_ids(said[part]["content"])
            spans[part] = (start, len(ids))
        ends = self.end_of_turn
        found = [(start, end + (end < len(ids) and ids[end] == ends)) for start, end in spans]
        return ids, [(0, 0)] * (len(messages) - len(said)) + found

    def answer_ids(self, text: str) -> list[int]:
        """Token ids of an answer with the token that ends it."""
        return [*self.text_ids(text), self.end_of_turn]

    def text_ids(self, text: str) -> list[int]:
        """Token ids of user text: special tokens inside it stay text."""
        return self._inner_ids(self._user_tokenizer, text)

    def plain_ids(self, text: str) -> list[int]:
        """Token ids of a text that stands alone, with what the tokenizer puts before one; no turns are made of it."""
        ids: list[int] = self._user_tokenizer.encode(text).ids
        return ids

    @property
    def special_tokens(self) -> frozenset[str]:
        """The tokens that are control and no text: beginnings, ends, roles."""
        return frozenset(t.content for t in self._tokenizer.get_added_tokens_decoder().values() if t.special)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer's ids, without the token that ends it."""
        return self._tokenizer.decode([i for i in ids if i != self.end_of_turn], skip_special_tokens=False)

    def token_bytes(self, token: int) -> bytes:
        """What a token stands for: a part of a letter where several tokens make one."""
        text = self._tokenizer.id_to_token(token) or ""
        if token in self._tokenizer.get_added_tokens_decoder():
            return text.encode()
        if "ByteLevel" in str(self._tokenizer.decoder):
            return bytes(_BYTE_OF[letter] for letter in text)
        if found := _BYTE_TOKEN.fullmatch(text):
            return bytes([int(found[1], 16)])
        return text.replace("\u2581", " ").encode()  # SentencePiece writes a space so

    def _template_ids(self, text: str, first: bool) -> list[int]:
        if first:
            return self._tokenizer.encode(text, add_special_tokens=False).ids
        return self._inner_ids(self._tokenizer, text)

    def _inner_ids(self, tokenizer: Tokenizer, text: str) -> list[int]:
        """Token ids of a text that is not the first: SentencePiece puts a space before each text; none belongs here.

        A grammar would forbid that space, and other programs, which cut the whole prompt at once, would not have it.
        """
        count = len(self._start)
        if count > 1:
            ids: list[int] = tokenizer.encode(_START + text, add_special_tokens=False).ids
            if ids[:count] == self._start:
                return ids[count:]
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def _split(self, roles: tuple[str, ...], ask: bool) -> list[str | int]:
        """Render placeholders and cut there: template text as str, the n-th message's content as int."""
        marks = [uuid.uuid4().hex for _ in roles]
        messages = [{"role": r, "content": m} for r, m in zip(roles, marks, strict=True)]
        try:
            text = self._template.render(messages=messages, add_generation_prompt=ask, **self._named_tokens)
        except TemplateError as error:
            raise InputError(
                f"the base model's chat template refuses messages with the roles {', '.join(roles)}: {error}",
                "send a system message (optional) and one user message",
            ) from error
        parts: list[str | int] = []
        for number, mark in enumerate(marks):
            before, found, text = text.partition(mark)
            if not found:
                raise InputError(
                    f"the base model's chat template leaves out the {roles[number]} message", "send no such message"
                )
            parts += [before, number]
        return [p for p in [*parts, text] if p != ""]

    def _takes(self, *roles: str) -> bool:
        try:
            self._split(roles, True)
        except InputError:
            return False
        return True

    def _joins_system(self) -> bool:
        """Whether the template puts a system message before the user's text, in the same turn, with a line between.

        Gemma 3's does. Both are then one text, as `_without_system` joins them: cut apart, an empty system message
        would leave line breaks in other tokens than programs have that cut the whole prompt.
        """
        parts = self._split(("system", "user"), True)
        return parts[parts.index(0) + 1] == "\n\n"

    def _find_end_of_turn(self, named: str) -> int:
        """The id of the named token, or of the special token that follows an assistant's message."""
        if named:
            token = self._tokenizer.token_to_id(named)
            if token is None:
                raise ModelUnavailable(f"the base model's tokenizer has no token {named!r}", "mend base_models.toml")
            return int(token)
        closing = self._split(("user", "assistant"), False)[-1]
        if not isinstance(closing, str):
            raise ModelUnavailable("the base model's chat template ends no turn", "take an instruct or chat model")
        special = self._tokenizer.get_added_tokens_decoder()
        for token in self._template_ids(closing, False):
            if token in special and special[token].special:
                return token
        raise ModelUnavailable(
            f"the base model's chat template ends an answer with {closing!r}, in which there is no special token",
            "take an instruct or chat model",
        )


def _without_system(messages: Sequence[Message]) -> Sequence[Message]:
    """For templates that give a system message no turn (Mistral's first, Gemma's): it goes before the user's text."""
    if not messages or messages[0]["role"] != "system":
        return messages
    system, *others = messages
    if not system["content"] or not others:
        return others
    first = {**others[0], "content": f"{system['content']}\n\n{others[0]['content']}"}
    return [first, *others[1:]]


def _named_tokens(file: Path) -> dict[str, str]:
    """The tokens that a template may name (`bos_token`, `eos_token`), as the tokenizer's settings give them."""
    settings = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    found = {}
    for name in ("bos_token", "eos_token"):
        value = settings.get(name) or ""
        found[name] = str(value.get("content", "")) if isinstance(value, dict) else str(value)
    return found
