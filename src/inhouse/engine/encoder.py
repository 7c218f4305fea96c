"""Sentence embeddings by an encoder as it was published (unit length)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.protocol import Progress

MAX_TOKENS = 256
# Texts that are cut into tokens at a time: all that is known of a token takes much more room than its id.
_AT_ONCE = 1024
# Padded tokens that go through the encoder at once where nothing is learned.
TOKENS_AT_ONCE = 4096


class SentenceEncoder:
    """Texts to vectors [n, width].

    Args:
        folder: of the encoder (`models pull all-minilm-l6-v2`).
    """

    def __init__(self, folder: Path) -> None:
        from inhouse.engine.encoder_facts import facts_of
        from inhouse.engine.encoder_model import load_encoder, pooled

        self._facts = facts_of(folder)
        self._tokens = TextTokens.of_folder(folder, min(MAX_TOKENS, self._facts.longest), self._facts.prefix)
        self._forward = partial(pooled, load_encoder(folder), pooling=self._facts.pooling)

    @property
    def longest(self) -> int:
        """How many tokens of a text it reads; the rest is left out."""
        return self._tokens.longest

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, uncut."""
        return self._tokens.counts(texts)

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Unit vectors, one row per text, in order."""
        return vectors_of(self._forward, self._tokens.ids(texts), self._facts.pad, progress)


class TextTokens:
    """Texts as token ids, as an encoder reads them: with its first and last token, cut off after `longest`.

    Args:
        tokenizer: the text of a `tokenizer.json`.
        prefix: that every text gets.
    """

    def __init__(self, tokenizer: str, longest: int, prefix: str = "") -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.longest, self.prefix = longest, prefix

    @classmethod
    def of_folder(cls, folder: Path, longest: int, prefix: str = "") -> TextTokens:
        """Those of an encoder's folder."""
        return cls((folder / "tokenizer.json").read_text("utf-8"), longest, prefix)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, whole where it has no more than `longest`."""
        return [self._shortened(ids) for ids in self.whole(texts)]

    def whole(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, uncut."""
        found: list[list[int]] = []
        for start in range(0, len(texts), _AT_ONCE):
            prefixed = [self.prefix + text for text in texts[start : start + _AT_ONCE]]
            found += [list(e.ids) for e in self._tokenizer.encode_batch_fast(prefixed)]
        return found

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, uncut."""
        if not self.skips_spaces or self.prefix[-1:] not in ("", " "):
            return [len(ids) for ids in self.whole(texts)]
        # No token spans a space, so it is the sum over the words: a word that comes again is cut once.
        words = list({word for text in texts for word in text.split(" ")})
        ends, *sizes = [len(ids) for ids in self.whole(["", *words])]
        size = {word: size - ends for word, size in zip(words, sizes, strict=True)}
        return [ends + sum([size[word] for word in text.split(" ")]) for text in texts]

    @property
    def skips_spaces(self) -> bool:
        """Whether no token holds a space, as in BERT's family."""
        return type(self._tokenizer.pre_tokenizer).__name__ == "BertPreTokenizer"

    def _shortened(self, ids: list[int]) -> list[int]:
        """Without the end of the text; the token that closes every text stays."""
        return ids if len(ids) <= self.longest else [*ids[: self.longest - 1], ids[-1]]


def vectors_of(
    forward: Callable[[Any, Any], Any], rows: Sequence[Sequence[int]], pad: int, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Vectors [n, width] of token ids, in order; nothing is learned.

    Args:
        forward: from ids and mask, both [texts, length], to vectors [texts, width]; torch tensors.
        pad: the id that fills short texts up.
    """
    import torch

    from inhouse.engine.encoder_model import padded_texts

    found: list[tuple[list[int], NDArray[np.float32]]] = []
    done = 0
    with torch.inference_mode():
        for part in alike_in_length(rows):
            found.append((part, forward(*padded_texts([rows[i] for i in part], pad)).numpy()))
            done += len(part)
            if progress is not None:
                progress(done)
    out = np.zeros((len(rows), found[0][1].shape[1] if found else 0), np.float32)
    for part, vectors in found:
        out[part] = vectors
    return out


def alike_in_length(rows: Sequence[Sequence[int]], most: int = TOKENS_AT_ONCE) -> Iterator[list[int]]:
    """Places of the rows, the shortest first, in runs of at most `most` padded tokens: little of them is padding."""
    part: list[int] = []
    for place in sorted(range(len(rows)), key=lambda i: len(rows[i])):
        if part and len(rows[place]) * (len(part) + 1) > most:
            yield part
            part = []
        part.append(place)
    if part:
        yield part
