"""Sentence embeddings by all-MiniLM-L6-v2 (mean pooling over tokens, unit length)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.protocol import Progress
from inhouse.engine.quiet import settle_transformers

MAX_TOKENS = 256


class SentenceEncoder:
    """Texts to vectors [n, 384].

    Args:
        folder: of the encoder (`models pull all-minilm-l6-v2`).
    """

    def __init__(self, folder: Path) -> None:
        settle_transformers()
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModel

        self._torch = torch
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Unit vectors, one row per text, in order."""
        encoded = [e.ids for e in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        out = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            out[part] = self._vectors([encoded[i] for i in part])
            if progress is not None:
                progress(start + len(part))
        return out

    def _vectors(self, rows: list[list[int]]) -> NDArray[np.float32]:
        torch = self._torch
        width = max(map(len, rows))
        ids = torch.tensor([r + [0] * (width - len(r)) for r in rows])
        mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            weight = mask[:, :, None].to(hidden.dtype)
            mean = (hidden * weight).sum(1) / weight.sum(1)
            vectors: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return vectors
