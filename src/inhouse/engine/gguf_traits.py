"""What of a GGUF file not every engine computes, beside its architecture and number formats."""

from __future__ import annotations

from pathlib import Path

from inhouse.engine.gguf_fields import read_fields, read_tensors

# The position encoding's tables, by which Llama 3.1 and others stretch it.
_TABLES = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}


def traits_of(file: Path) -> frozenset[str]:
    """The traits of a GGUF file.

    `sentencepiece`: its tokenizer is no byte-level BPE. `scaled-rope`: its position encoding is stretched.
    `llama-attention-biases`: queries and keys have biases, whose rows the llama architecture reorders.

    Raises:
        ModelUnavailable: it is no GGUF file, or not a whole one.
    """
    fields = read_fields(file)
    architecture = fields.get("general.architecture")
    tensors = {tensor.name for tensor in read_tensors(file)}
    found = {
        "sentencepiece": fields.get("tokenizer.ggml.model") != "gpt2",
        "scaled-rope": fields.get(f"{architecture}.rope.scaling.type", "none") != "none" or bool(tensors & _TABLES),
        "llama-attention-biases": architecture == "llama" and "blk.0.attn_q.bias" in tensors,
    }
    return frozenset(name for name, present in found.items() if present)
