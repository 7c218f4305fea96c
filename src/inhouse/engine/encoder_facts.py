"""What a folder says of its sentence encoder, told without loading it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inhouse.engine.hub_encoder import shape_in
from inhouse.engine.safetensors_file import shapes_of

Pooling = Literal["mean", "cls"]


@dataclass(frozen=True)
class EncoderFacts:
    """What a folder says of its encoder.

    Attributes:
        width: of its vectors.
        longest: the most tokens that it reads.
        pad: the id that fills a short text up; encoders that count positions by it must get this one.
        pooling: what becomes the text's vector: the mean over its tokens, or the first token's.
        layers, heads, parameters: how many.
        prefix: what the encoder was taught to find before a text (e5's `query: `).
    """

    width: int
    longest: int
    pad: int
    pooling: Pooling
    layers: int
    heads: int
    parameters: int
    prefix: str = ""


def facts_of(folder: Path) -> EncoderFacts:
    """The facts in `config.json` and in the files of sentence-transformers beside it, where there are any."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    pooling = _told(folder / "1_Pooling" / "config.json")
    sentences = _told(folder / "sentence_bert_config.json")
    prompts = _told(folder / "config_sentence_transformers.json").get("prompts") or {}
    positions, pad = int(config.get("max_position_embeddings") or 512), int(config.get("pad_token_id") or 0)
    if config.get("model_type") in ("xlm-roberta", "roberta", "camembert"):
        positions -= pad + 1  # these count positions from the padding's id on
    width, layers, heads = shape_in(config)
    return EncoderFacts(
        width=width,
        longest=min(positions, int(sentences.get("max_seq_length") or positions)),
        pad=pad,
        pooling="cls" if pooling.get("pooling_mode_cls_token") else "mean",
        layers=layers,
        heads=heads,
        parameters=sum(math.prod(shape) for shape in shapes_of(folder / "model.safetensors").values()),
        prefix=str(prompts.get("query") or ""),
    )


def _told(file: Path) -> dict[str, Any]:
    """What a file says, where it is there."""
    found = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found if isinstance(found, dict) else {}
