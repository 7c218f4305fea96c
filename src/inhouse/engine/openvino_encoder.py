"""Encoders in OpenVINO, which need no torch: those of classifiers, and those that were published."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.encoder import MAX_TOKENS, TOKENS_AT_ONCE, TextTokens
from inhouse.engine.encoder_facts import EncoderFacts, facts_of
from inhouse.engine.quiet import settle
from inhouse.engine.signal_stack import usual_signal_stack
from inhouse.errors import EngineFault, ModelUnavailable

# In an encoder's folder: its OpenVINO form in float32, made when it is first asked for.
_KEPT = "vectors.xml"
# How far a number of a vector may lie from torch's.
_NEAR = 1e-3
# What it costs to ask the encoder once more, in tokens (docs/log.md).
_CALL = 40


class Vectors:
    """A compiled OpenVINO encoder; safe to be asked by several threads.

    Args:
        xml, weights: the two files of the IR.
        pad: the id that fills short texts up.
        threads: 0 for all cores.
        exact: computed in float32, not in the fastest precision that there is.

    Raises:
        ModelUnavailable: OpenVINO cannot read it.
    """

    def __init__(self, xml: bytes, weights: bytes, pad: int, *, threads: int, exact: bool) -> None:
        settle()
        import openvino

        properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            properties["INFERENCE_NUM_THREADS"] = threads
        if exact:
            properties["INFERENCE_PRECISION_HINT"] = "f32"
        core = openvino.Core()
        try:
            held = openvino.Tensor(np.frombuffer(weights, np.uint8))
            with usual_signal_stack():
                self._model: Any = core.compile_model(core.read_model(xml, held), "CPU", properties)
        except RuntimeError as error:
            told = " ".join(str(error).split())[:200]
            raise ModelUnavailable(f"OpenVINO cannot read the encoder: {told}", "train again") from error
        self._pad, self._lock = pad, threading.Lock()

    def __call__(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Vectors [n, width] of token ids, in order; texts of about the same length go through the encoder together."""
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        found = np.zeros((len(rows), self._model.output(0).partial_shape[1].get_length()), np.float32)
        for start, end in pairwise(cheapest_cuts([len(rows[place]) for place in order])):
            part = order[start:end]
            found[part] = self._together([rows[place] for place in part])
        return found

    def _together(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        width = max(map(len, rows))
        ids = np.full((len(rows), width), self._pad, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        with self._lock:
            return np.array(self._model([ids, mask])[0], np.float32)

    def close(self) -> None:
        """Free the model."""
        self._model = None


class OpenVinoEncoder:
    """What `SentenceEncoder` is, with the same vectors, sooner ready and quicker.

    Its OpenVINO form is kept in the encoder's folder. Making it takes torch, once, and proves it against torch.

    Args:
        folder: of the encoder.
        threads: 0 for all cores.

    Raises:
        ModelUnavailable: OpenVINO cannot read what was kept.
        EngineFault: what was made gives other vectors than torch.
    """

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        facts = facts_of(folder)
        self._tokens = TextTokens.of_folder(folder, min(MAX_TOKENS, facts.longest), facts.prefix)
        xml = folder / _KEPT
        if not xml.is_file():
            _make(folder, facts, self._tokens)
        try:
            self._vectors = Vectors(
                xml.read_bytes(), xml.with_suffix(".bin").read_bytes(), facts.pad, threads=threads, exact=True
            )
        except (ModelUnavailable, OSError) as error:
            told = f"the encoder in {folder} is not whole in OpenVINO's form"
            raise ModelUnavailable(told, f"delete {xml}: it is made again", file=xml) from error

    @property
    def longest(self) -> int:
        """How many tokens of a text it reads; the rest is left out."""
        return self._tokens.longest

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, uncut."""
        return self._tokens.counts(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, one row per text, in order."""
        return self._vectors(self._tokens.ids(texts))


def cheapest_cuts(lengths: Sequence[int]) -> list[int]:
    """Where texts are parted, from 0 to their number, so that padding and calls of the encoder cost least together.

    A part has at most `TOKENS_AT_ONCE` padded tokens, unless one text has more.

    Args:
        lengths: of the texts in tokens, the shortest first.
    """
    best, begins = np.zeros(len(lengths) + 1), np.zeros(len(lengths) + 1, np.int64)
    places = np.arange(len(lengths))
    for end, longest in enumerate(lengths, 1):
        first = max(0, end - max(1, TOKENS_AT_ONCE // longest))
        costs = best[first:end] + _CALL + (end - places[first:end]) * longest
        chosen = int(costs.argmin())
        best[end], begins[end] = costs[chosen], first + chosen
    cuts = [len(lengths)]
    while cuts[-1]:
        cuts.append(int(begins[cuts[-1]]))
    return cuts[::-1]


def _make(folder: Path, facts: EncoderFacts, tokens: TextTokens) -> None:
    """Write the OpenVINO form of an encoder into its folder, whole or not at all."""
    import torch

    from inhouse.engine.encoder_model import PooledEncoder, load_encoder, padded_texts, write_openvino

    encoder = PooledEncoder(load_encoder(folder), facts.pooling)
    rows = tokens.ids(["a word", "a few more words, so that one of the texts is filled up", "12 345 " * tokens.longest])
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as name:
        made = Path(name) / _KEPT
        write_openvino(encoder, facts.pad, made, half=False)
        vectors = Vectors(made.read_bytes(), made.with_suffix(".bin").read_bytes(), facts.pad, threads=0, exact=True)
        with torch.inference_mode():
            right = encoder(*padded_texts(rows, facts.pad)).numpy()
        apart = float(np.abs(vectors(rows) - right).max())
        if not apart <= _NEAR:
            raise EngineFault(f"the encoder in {folder} has other vectors in OpenVINO, by up to {apart:.2g}")
        for suffix in (".bin", ".xml"):  # the second one says that it is whole
            made.with_suffix(suffix).replace((folder / _KEPT).with_suffix(suffix))
