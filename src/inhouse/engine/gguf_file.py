"""Writing a trained model as a GGUF file that llama.cpp, Ollama and openvino-genai read.

The header (architecture, tokenizer, chat template) is taken over from the base's own GGUF file; the tensors are the
merged weights in Q8_0: 8-bit blocks of 32 with one scale, 8.5 bits a weight, which changes no answer that we measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.errors import EngineFault

Array = NDArray[np.float32]

_FILE_TYPE_Q8_0 = 7
_BLOCK = 32
# Tables of the position encoding, which Llama 3.1 and later carry as tensors: nothing that training changes.
_NO_WEIGHTS = ("rope_freqs", "rope_factors")


def write_gguf(base: Path, weights: Iterator[tuple[str, Array]], out: Path) -> None:
    """Write `weights` (transformers' names, float32) to `out` under the header of the GGUF file `base`.

    Raises:
        EngineFault: a tensor of the base has no counterpart, or one has no place in it: nothing is left out silently.
    """
    import gguf

    reader = gguf.GGUFReader(base)
    architecture = reader.fields["general.architecture"].contents()
    heads = _Heads(reader.fields, architecture)
    names = gguf.get_tensor_name_map(_architecture(gguf, architecture), heads.layers)
    expected = {t.name for t in reader.tensors if not t.name.startswith(_NO_WEIGHTS)}
    with closing(gguf.GGUFWriter(out, architecture)) as writer:
        _copy_header(gguf, reader, writer)
        for name, weight in weights:
            target = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if target not in expected:
                raise EngineFault(f"the weight {name} has no place in the GGUF file {base.name}")
            expected.discard(target)
            _add(gguf, writer, target, heads.permuted(name, weight))
        if expected:
            raise EngineFault(f"the trained model has no weight for {sorted(expected)[0]} of {base.name}")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


class _Heads:
    """Numbers of layers and attention heads, and the order in which llama.cpp keeps the rows of q and k.

    transformers rotates the two halves of a head, llama.cpp neighbouring pairs; for the llama architecture the rows of
    q and k are reordered so that both compute the same (llama.cpp's convert_hf_to_gguf.py, `permute`).
    """

    def __init__(self, fields: Mapping[str, Any], architecture: str) -> None:
        self.layers = int(fields[f"{architecture}.block_count"].contents())
        self._reorders = architecture == "llama"
        self._q = int(fields[f"{architecture}.attention.head_count"].contents())
        self._k = int(fields[f"{architecture}.attention.head_count_kv"].contents())

    def permuted(self, name: str, weight: Array) -> Array:
        heads = self._q if ".q_proj." in name else self._k if ".k_proj." in name else 0
        if not self._reorders or not heads:
            return weight
        rows = weight.shape[0]
        halves = weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def _architecture(gguf: Any, name: str) -> Any:  # noqa: ANN401 - an untyped library
    for architecture, known in gguf.MODEL_ARCH_NAMES.items():
        if known == name:
            return architecture
    raise EngineFault(f"the GGUF library knows no architecture {name!r}")


def _copy_header(gguf: Any, reader: Any, writer: Any) -> None:  # noqa: ANN401
    writer.add_file_type(_FILE_TYPE_Q8_0)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=inner)


def _add(gguf: Any, writer: Any, name: str, weight: Array) -> None:  # noqa: ANN401
    if weight.ndim == 1 or weight.shape[-1] % _BLOCK:
        writer.add_tensor(name, weight.astype(np.float32))
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)
