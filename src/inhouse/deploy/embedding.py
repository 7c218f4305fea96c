"""Texts to vectors, by the sentence encoders on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inhouse.engine import Base
from inhouse.engine.bases import bases_here
from inhouse.engine.openvino_encoder import OpenVinoEncoder
from inhouse.errors import ModelNotFound, PromptTooLong
from inhouse.store import Settings

MOST_LOADED = 2
# Texts that are embedded before others have their turn.
PART = 64


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit vectors [n, width], one for each text, and how many tokens were read."""

    vectors: NDArray[np.float32]
    tokens: int


class Embedder:
    """The encoders by their own names. One thread asks them, so that nothing else waits for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inhouse-embed")
        self._open = lru_cache(maxsize=MOST_LOADED)(partial(OpenVinoEncoder, threads=settings.threads))

    def bases(self) -> list[Base]:
        """The encoders on this machine, in the order of their names."""
        return bases_here(self._settings, "encoder")

    def find(self, name: str) -> Base:
        """The encoder with that name, or that id on the hub.

        Raises:
            ModelNotFound: there is none.
        """
        bases = self.bases()
        by_id = {base.hub_id: base for base in bases if base.hub_id}
        found = {**by_id, **{base.spec.name: base for base in bases}}.get(name)
        if found is None:
            known = ", ".join(base.spec.name for base in bases) or "none"
            raise ModelNotFound(
                f"The model `{name}` does not exist, or gives no embeddings", f"Sentence encoders here: {known}"
            )
        return found

    async def embed(self, base: Base, texts: Sequence[str]) -> Embedded:
        """The vectors of some texts, a part after the other, between those of others. Cancelled, it ends behind a part.

        Raises:
            PromptTooLong: a text is longer than the encoder reads: its end would count for nothing.
        """
        parts = [
            await asyncio.wrap_future(self._thread.submit(self._embed, base.folder, texts[at : at + PART], at))
            for at in range(0, len(texts), PART)
        ]
        return Embedded(np.concatenate([part.vectors for part in parts]), sum(part.tokens for part in parts))

    def _embed(self, folder: Path, texts: Sequence[str], first: int) -> Embedded:
        encoder = self._open(folder)
        counts = encoder.counts(texts)
        for place, count in enumerate(counts, first):
            if count > encoder.longest:
                raise PromptTooLong(
                    f"input {place} takes {count} tokens, and the encoder reads {encoder.longest} at most",
                    "cut it into parts",
                )
        return Embedded(encoder.embed(texts), sum(counts))

    def close(self) -> None:
        """Free the encoders; what waits is not answered."""
        self._thread.shutdown(cancel_futures=True)
        self._open.cache_clear()
